"""A backtest's result for a person to read."""

from typing import Any

from orchestra import catalog
from orchestra.backtest.result import Result
from orchestra.money import gain

PERCENT = ("return", "max_drawdown", "win_rate", "exposure", "cagr", "volatility", "alpha")
SIGNED = ("return", "cagr", "alpha")
WIDTH = 14


def lines(result: Result) -> list[str]:
    """The report, the algorithm beside buy and hold."""
    subject, sessions = result.subject, result.history.sessions
    title = catalog.describe(subject.path).title
    own, kept = result.measures, result.measures["buy_and_hold"]
    count = f"{len(sessions)} session{'s' * (len(sessions) > 1)}"
    found = [
        f"{title} on {subject.ticker}, {count} {sessions[0].day} to"
        f" {sessions[-1].day}, ${subject.capital:,.2f}, filled {result.fill}."
    ]
    if subject.parameters:
        pairs = (f"{name} = {value}" for name, value in subject.parameters.items())
        found.append(f"Parameters: {', '.join(pairs)}.")
    found += ["", f"{'':20}{'algorithm':>{WIDTH}}{'buy and hold':>{WIDTH + 2}}"]
    for name, value in own.items():
        if name != "buy_and_hold":
            beside = _shown(name, kept.get(name))
            found.append(
                f"{name.replace('_', ' '):20}{_shown(name, value):>{WIDTH}}{beside:>{WIDTH + 2}}"
            )
    end = result.as_dict()
    found += [
        "",
        f"In the end ${end['end_equity']:,.2f}: ${end['end_cash']:,.2f} and {end['end_shares']:,}"
        f" shares at {end['last_close']:,.2f}; P&L {gain(end['pnl'])}.",
        _pace(result),
    ]
    return found + [f"NOTE: {note}" for note in result.notes]


def _pace(result: Result) -> str:
    run = result.run
    pace = run.asked / run.seconds if run.seconds else 0
    return (
        f"Asked {run.asked:,} times in {run.seconds:.2f} s, {pace:,.0f} a second: the algorithm's"
        f" run() took {run.run_seconds:.2f} s, the engine beside it"
        f" {max(0.0, run.seconds - run.run_seconds):.2f} s."
    )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in PERCENT:
        return f"{100 * value:+.2f} %" if name in SIGNED else f"{100 * value:.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
