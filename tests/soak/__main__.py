"""The soak's command line: ``python -m tests.soak DAYS``. tests/soak.sh calls it."""

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

from orchestra.base.settings import ROOT
from tests.soak import form, report
from tests.soak.run import run

PAGE = ROOT / "docs" / "soak.md"
SPEED = 120  # half a machine second a minute


def main() -> int:
    options = _options()
    if options.report:
        told = report.report(options.report)
    else:
        folder = options.folder or Path(tempfile.mkdtemp(prefix="autotrader-soak-"))
        folder.mkdir(parents=True, exist_ok=True)
        print(f"The soak's files are in {folder}", file=sys.stderr, flush=True)
        told = _soak(options, folder)
    print(told.page)
    if options.days is None or options.days >= form.FULL_DAYS or options.write:
        PAGE.write_text(told.page)
    for each in told.failures:
        print(f"NOT HELD: {each}", file=sys.stderr)
    return 1 if told.failures else 0


def _soak(options: argparse.Namespace, folder: Path) -> report.Report:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chosen = form.full(options.days, options.speed, options.seed, options.kills)
    if options.days < form.SHORTEST_DAYS:
        chosen = form.short()
    try:
        run(chosen, folder, stop)
    finally:  # whatever happened, what there is is told
        told = report.report(folder)
    return told


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/soak.sh", description=__doc__)
    parser.add_argument(
        "days",
        type=int,
        nargs="?",
        help=f"calendar days up to {form.LAST_DAY}; 30 have a change of clocks and a half day. 2: the"
        " edges of two sessions around the change of clocks, as in CI",
    )
    parser.add_argument("--speed", type=float, default=SPEED, help="market per machine seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=12, help="of each process")
    parser.add_argument(
        "--folder", type=Path, help="an empty one, for its files; default a new one"
    )
    parser.add_argument("--write", action="store_true", help="write docs/soak.md also when shorter")
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="tell of an earlier soak again"
    )
    options = parser.parse_args()
    if options.days is None and options.report is None:
        parser.error("say how many DAYS")
    return options


if __name__ == "__main__":
    sys.exit(main())
