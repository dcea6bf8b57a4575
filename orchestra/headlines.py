"""What is told to a person far from the wall, each in a sentence, and the topic it belongs to."""

from typing import Any

from orchestra.money import gain
from system_databse.news import Item

URGENT = {"freezes", "brakes", "problems", "stopped"}
OF_EVENT = {
    "accepted": "freezes",
    "brake": "brakes",
    "frozen": "freezes",
    "paused": "brakes",
    "short": "freezes",
    "sold-by-hand": "freezes",
    "split-late": "freezes",
    "thawed": "freezes",
}


def headline(item: Item) -> tuple[str, str]:
    """Return topic and sentence."""
    fields = item.fields
    if item.kind == "fill":
        return "fills", _fill(fields)
    if item.kind == "refusal":
        return "refusals", _refusal(fields)
    if item.kind == "report":
        return "close", _report(fields)
    return OF_EVENT.get(fields["kind"], "problems"), of_event(fields)


def of_event(fields: dict[str, Any]) -> str:
    """An event's sentence, of a traceback its last line, and the card that it is about."""
    message = str(fields["message"]).rstrip().rpartition("\n")[2]
    about = f"Card {fields['algorithm_id']} {fields['ticker'] or ''}".rstrip()
    return message if fields["algorithm_id"] is None else f"{about}: {message}"


def _fill(row: dict[str, Any]) -> str:
    done = "bought" if row["type"] == "buy" else "sold"
    about = f"{row['algorithm_type']}, card {row['algorithm_id']}"
    return f"{row['ticker']}: {done} {row['shares']} at ${row['price']:,.2f} ({about})"


def _refusal(row: dict[str, Any]) -> str:
    order = f"{row['side']} {row['shares']} (card {row['algorithm_id']})"
    return f"{row['ticker']}: {order} was refused: {row['reason']}"


def _report(report: dict[str, Any]) -> str:
    pnl, minutes, fills = report["pnl"], report["minutes"], report["fills"]
    trades = fills["buy"]["number"] + fills["sell"]["number"]
    return (
        f"{report['day']} is over: {gain(pnl['today'])} today, {gain(pnl['total'])} in all;"
        f" {trades} fills, {minutes['run']} of {minutes['due']} minutes run."
    )
