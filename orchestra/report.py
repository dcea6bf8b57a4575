"""``python -m orchestra report``: a session's report for a person, and the ledger's export."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from orchestra import daily_report, export
from orchestra.backtest import parity
from orchestra.base.errors import AutoTraderError
from orchestra.money import gain

Report = dict[str, Any]


def report(day: datetime | None, folder: Path | None, as_json: bool) -> None:
    """Print a day's report, or write the ledger's export into a folder."""
    try:
        if folder is not None:
            _export(folder, as_json)
            return
        found = daily_report.of_day(day.date() if day else None)
    except AutoTraderError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


def lines(found: Report) -> list[str]:
    """The report as lines of text."""
    minutes, asked, bars = found["minutes"], found["card_minutes"], found["bars"]
    pnl, slippage = found["pnl"], found["slippage"]
    told = [
        f"{found['day']}, {found['open'][11:16]} to {found['close'][11:16]} UTC",
        f"P&L            {gain(pnl['today'])} today, {gain(pnl['total'])} in all",
        *(
            f"  {card['ticker']:12} {gain(card['today']):>10} today {gain(card['total']):>10}"
            f" in all, {card['shares']} shares, {card['display_name']}"
            for card in pnl["cards"]
        ),
        f"Minutes        {minutes['run']} of {minutes['due']} run{_reasons(minutes['missed'])}",
        f"Card-minutes   {asked['decided']} of {asked['due']} decided"
        f"{_reasons(asked['not_decided'])}",
        f"Lateness       {_spread(found['late_ms'])}",
        f"Bars           {bars['bar']} in time, {bars['late']} late, {bars['no trade']} without a"
        f" trade, {bars['missing']} missing, {bars['tickers']} tickers",
        *_arrivals(bars),
        f"Orders         {_counted(found['orders'])}",
        f"Fills          {_side(found['fills'], 'buy')}, {_side(found['fills'], 'sell')}",
        f"Slippage       {_slippage(slippage)}",
        f"Replay         {parity.line(found.get('replay'))}",
        f"Drift          {_drift(found['drift'])}",
        f"Restarts       {found['restarts']}",
        f"Memory         {_mb(found['memory_mb'])} trader and workers",
        f"Disk writes    {_written(found.get('written_mb', {}))}",
        *(
            f"{name + '.db':14} {size['mb']:,.1f} MB, {size['free_mb']:,.0f} MB free"
            for name, size in found["databases"].items()
        ),
    ]
    return told + [
        f"{event['timestamp']} {event['kind']}: {event['message']}" for event in found["events"]
    ]


def _export(folder: Path, as_json: bool) -> None:
    collected = export.collect()
    paths = export.write(folder, collected)
    answer = {
        "files": [str(path) for path in paths],
        "transactions": len(collected.transactions),
        "sales": len(collected.sales),
        "lots": len(collected.held),
        "gain": collected.gain,
    }
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(
        f"{answer['transactions']} transactions, {answer['sales']} sales of lots with a gain of"
        f" {gain(collected.gain)}, {answer['lots']} lots still held:"
    )
    for path in paths:
        click.echo(f"  {path}")


def _reasons(reasons: dict[str, int]) -> str:
    return "".join(f"; {number} {reason}" for reason, number in reasons.items())


def _spread(of: dict[str, float | None]) -> str:
    if of["p50"] is None:
        return "no cycle was run"
    return f"p50 {of['p50']:.1f}, p99 {of['p99']:.1f}, max {of['max']:.1f} ms after the wake-up"


def _arrivals(bars: dict[str, Any]) -> list[str]:
    """How the bars came; nothing where no arrival is known."""
    delay = bars.get("delay_seconds", {"max": None})
    if delay["max"] is None:
        return []
    return [
        f"Arrivals       p50 {delay['p50']:.1f}, p99 {delay['p99']:.1f}, max {delay['max']:.1f} s after"
        f" the minute; {bars['gaps_closed']} bars fetched that the stream did not bring,"
        f" {bars['corrected']} corrected later"
    ]


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items()) or "none"


def _side(fills: dict[str, Any], side: str) -> str:
    of = fills[side]
    word = "bought" if side == "buy" else "sold"
    return f"{of['shares']} shares {word} in {of['number']} for ${of['dollars']:,.2f}"


def _slippage(of: dict[str, Any]) -> str:
    if of["basis_points"] is None:
        return "nothing to measure"
    return (
        f"${of['dollars']:,.2f}, {of['basis_points']:.2f} basis points worse than the bars decided on"
        f" ({of['fills']} fills)"
    )


def _drift(cards: list[dict[str, Any]]) -> str:
    return "; ".join(f"card {card['id']}: {card['reason']}" for card in cards) or "none"


def _written(parts: dict[str, float]) -> str:
    return ", ".join(f"{part} {_mb(amount)}" for part, amount in parts.items()) or "unknown"


def _mb(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.1f} MB"
