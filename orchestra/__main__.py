"""The command line: python -m orchestra COMMAND."""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

try:
    import click

    from orchestra.backtest import cli
    from orchestra.base.errors import AutoTraderError
except (ImportError, SyntaxError):  # no packages, or a Python from before them
    from orchestra import first_aid

    sys.exit(first_aid.only_this(sys.argv[1:]))


class _JsonObject(click.ParamType[dict[str, Any]]):
    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"Expected a JSON object: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail("Expected a JSON object", param, ctx)
        return found


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """AutoTrader's commands. Settings come from the environment, else from .env."""


@main.command()
@click.option(
    "--fault",
    "faults",
    type=_JsonObject(),
    multiple=True,
    metavar="JSON",
    help='Misbehave from the start, e.g. \'{"name": "delay", "seconds": 1}\'. Repeatable.',
)
def simulate(faults: tuple[dict[str, Any], ...]) -> None:
    """Run the simulated exchange: Alpaca's protocols on SIMULATOR_PORT and SIMULATOR_STREAM_PORT."""
    from orchestra import simulator

    sys.exit(simulator.run(list(faults)))


@main.command()
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option("--setup-only", is_flag=True, help="Create the databases and stop.")
def start(no_browser: bool, setup_only: bool) -> None:
    """Run the whole terminal until Ctrl-C, as ./start_pi.sh does."""
    from orchestra import launch

    launch.launch(open_browser=not no_browser, setup_only=setup_only)


@main.command(hidden=True)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def prepare(folder: Path) -> None:
    """Prepare a start by the service manager, and leave in FOLDER what the services share."""
    from orchestra import prepare as command

    command.prepare(folder)


@main.command(hidden=True)
def kiosk() -> None:
    """Open the page full screen once it is there, and stay until the browser ends."""
    from orchestra import kiosk as command

    command.kiosk()


@main.command(hidden=True)
@click.argument("action", type=click.Choice(["install", "remove"]))
def desktop(action: str) -> None:
    """Have this user's desktop open the page at power-on, or no longer."""
    from orchestra import desktop as command

    system_rc, displays = Path("/etc/xdg/labwc/rc.xml"), Path("/sys/class/drm")
    for told in getattr(command, action)(system_rc, displays):
        click.echo(told)


@main.command(cls=cli.AtMarketTime)
@click.argument("tickers", nargs=-1)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First day; default a year ago.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default today.")
@click.option(
    "--csv",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Load recorded TICKER/YYYY-MM-DD.csv from a folder instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def fetch(**arguments: Any) -> None:
    """Fill stocks.db with minute bars of TICKERS, or with recorded files.

    Only what was never asked for is fetched; interrupted, it goes on where it stopped.
    """
    from orchestra import fetch as command

    command.fetch(**arguments)


@main.command(cls=cli.AtMarketTime)
@click.argument("algorithm")
@click.argument("ticker")
@click.option("--capital", type=cli.CAPITAL, default=10_000.0)
@click.option("--minutes", type=click.IntRange(1, 100_000), default=390, show_default=True)
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=NUMBER", help="A parameter. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def check(**arguments: Any) -> None:
    """Rehearse ALGORITHM, a file or a name, over past minutes of TICKER.

    Reports what it decides, errors, time, memory, and whether it looks ahead. The ledger is not
    touched. Exit code 1 where problems were found.
    """
    from orchestra import check as command

    sys.exit(0 if command.check(**arguments) else 1)


@main.command(cls=cli.AtMarketTime)
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), required=False)
@click.option(
    "--csv",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write all transactions, sales with gains and lots held into a folder instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def report(**arguments: Any) -> None:
    """Say how DAY (YYYY-MM-DD, by default the newest session) went: minutes, orders, P&L.

    With --csv the ledger is written as transactions.csv, sales.csv (first in, first out, with the gain
    of each), lots.csv and ledger.json.
    """
    from orchestra import report as command

    command.report(**arguments)


@main.command()
@click.option("--if-due", is_flag=True, help="Only if tonight's is not in its place yet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def backup(if_due: bool, as_json: bool) -> None:
    """Back the ledger up, also while it is traded on: verified, into BACKUP_DIR.

    The newest of each of 14 days and 12 months is kept. The running terminal does this once a night.
    """
    from orchestra import backup as command
    from orchestra import nightly
    from orchestra.base import clock

    if not if_due or nightly.is_due(clock.machine_now()) or nightly.is_wanting():
        command.backup(as_json)


@main.command()
def pin() -> None:
    """Set another PIN, whatever the old one was: before LIVE, or where it is forgotten."""
    from orchestra import new_pin

    new_pin.new_pin()


@main.command()
def notify() -> None:
    """Send a test message to each of NOTIFY_URLS, and say what came of it."""
    from orchestra import notify as command

    sys.exit(0 if command.notify() else 1)


@main.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Only list the backups there are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def restore(**arguments: Any) -> None:
    """Bring the ledger back from FILE, by default from the newest backup that is whole.

    The terminal must be stopped. What is replaced is kept beside it.
    """
    from orchestra import restore as command

    command.restore(**arguments)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def doctor(as_json: bool) -> None:
    """Look machine and terminal over, and say what to do about what is not well.

    Exit code 1 where something needs you.
    """
    from orchestra import doctor as command

    sys.exit(0 if command.doctor(as_json) else 1)


for command in (cli.backtest, cli.replay, cli.sweep, cli.preview):
    main.add_command(command)


if __name__ == "__main__":
    try:
        main(prog_name="python -m orchestra")
    except AutoTraderError as error:
        sys.exit(str(error))
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # only of this very kind is the file's damage
            raise
        sys.exit(
            f"A database cannot be read ({error}): python -m orchestra doctor says which one, and what"
            " to do."
        )
    except ModuleNotFoundError:
        from orchestra import first_aid

        if not first_aid.missing_packages():
            raise
        sys.exit(first_aid.only_this(sys.argv[1:]))
