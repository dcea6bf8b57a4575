"""The commands that go through the past, with their options; what they do is imported when they run."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from orchestra import allowance
from orchestra.subject import LARGEST_CAPITAL


class _Range(click.FloatRange):
    """A range without NaN, which is neither below its end nor above it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"Expected a number, found {value}.", param, ctx)
        return found


CAPITAL = _Range(0, LARGEST_CAPITAL, min_open=True)  # dollars
SLIPPAGE = _Range(0, 10_000)  # 1/100 %


class AtMarketTime(click.Command):
    """A command that looks at the market, as of the market's own time."""

    def invoke(self, ctx: click.Context) -> Any:
        from orchestra import demo

        demo.join_clock()
        return super().invoke(ctx)


@click.command(cls=AtMarketTime)
@click.argument("algorithm")
@click.argument("ticker")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First session; default 20 back.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last session; default the newest.")
@click.option("--capital", type=CAPITAL, default=10_000.0)
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=NUMBER", help="A parameter. Repeatable."
)
@click.option(
    "--fill",
    type=click.Choice(["close", "open"]),
    default="close",
    show_default=True,
    help="At the last close, as the simulated exchange does, or the next bar's open.",
)
@click.option("--slippage-bps", type=SLIPPAGE, default=0.0, help="Worse by 1/100 %.")
@click.option(
    "--warmup", type=click.IntRange(0), default=0, help="Bars before --start it may read."
)
@click.option(
    "--research/--no-research",
    "measures_of_the_trade",
    default=True,
    help="Measures of the trade as well, where the research requirements are installed.",
)
@click.option(
    "--csv",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write trades.csv and equity.csv into this folder.",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw equity and fall as PNG."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def backtest(**arguments: Any) -> None:
    """Run ALGORITHM, a file or a name, over the past minutes of TICKER.

    It is asked as on the wall and never sees past its minute. Missing history is fetched first; Ctrl-C
    keeps what was done. Exit code 1 where it failed three times in a row.
    """
    allowance.give_way()
    from orchestra.backtest import command, output

    with output.leaving():
        sys.exit(0 if command.backtest(**arguments) else 1)


@click.command(cls=AtMarketTime)
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def replay(**arguments: Any) -> None:
    """Run DAY (YYYY-MM-DD, by default the newest session) again and compare with what was done.

    Every card's decisions and fills are equal, or each difference is told with its cause. Exit code 1
    where one has none.
    """
    allowance.give_way()
    from orchestra.backtest import replay_command

    sys.exit(0 if replay_command.replay(**arguments) else 1)


@click.command(cls=AtMarketTime)
@click.argument("algorithm")
@click.argument("ticker")
@click.option(
    "--set",
    "ranges",
    multiple=True,
    metavar="NAME=FIRST:LAST:STEP",
    help="Values of a parameter, LAST included; or NAME=VALUE. Repeatable.",
)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First session; default 20 back.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last session; default the newest.")
@click.option("--capital", type=CAPITAL, default=10_000.0)
@click.option("--fill", type=click.Choice(["close", "open"]), default="close", show_default=True)
@click.option("--slippage-bps", type=SLIPPAGE, default=0.0, help="Worse by 1/100 %.")
@click.option(
    "--warmup", type=click.IntRange(0), default=0, help="Bars before --start it may read."
)
@click.option(
    "--parts",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Equal parts of the time for the walk forward: the best before each is tried in it.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes here; default one a core.")
@click.option(
    "--scheduler",
    metavar="tcp://…",
    help="Send the work to this Dask cluster instead. A run that hangs there is ended by nobody: Ctrl-C"
    " keeps what was done.",
)
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="A row a choice."
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw a heat map as PNG."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def sweep(**arguments: Any) -> None:
    """Try ALGORITHM with many values of its parameters over the past minutes of TICKER.

    All cores are used. Ctrl-C keeps what was done; so does a worker that dies, with exit code 1.
    """
    allowance.give_way()
    from orchestra.backtest import sweep_command

    sweep_command.run(**arguments)


@click.command(hidden=True)
@click.argument("request")
def preview(request: str) -> None:
    """Answer the page's REQUEST for a backtest: JSON in, JSON out."""
    from orchestra.backtest import output
    from orchestra.backtest import preview as command

    with output.leaving():
        click.echo(command.preview(request))
        sys.exit(0)
