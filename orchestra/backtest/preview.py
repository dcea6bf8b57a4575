"""What the add dialog shows: the newest sessions in a few figures and a line, run in a process of its own."""

import json
import resource
import signal
from typing import Any

from orchestra import machine_clock
from orchestra.backtest import history
from orchestra.backtest.fills import FillRule
from orchestra.backtest.output import silence
from orchestra.backtest.result import Result, backtest, dollars
from orchestra.base.errors import AutoTraderError
from orchestra.subject import Subject, file_of

POINTS = 100  # of the line, at most
MOST_NOTES = 3

Report = dict[str, Any]


def preview(asked: str) -> str:
    """Answer a request in JSON.

    ``{"ticker", "algorithm_type", "initial_capital", "parameters", "seconds"}``: after so many whole machine
    seconds it ends itself, for who has asked may have gone. ``{"result"}``, or ``{"error"}`` with a sentence
    where there is none.
    """
    request = json.loads(asked)
    seconds = request["seconds"]
    signal.alarm(seconds)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a KeyboardInterrupt is the algorithm's own
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    subject = Subject(
        file_of(request["algorithm_type"]),
        request["ticker"],
        request["initial_capital"],
        request["parameters"],
    )
    try:
        with silence(errors=True):
            found = history.read(
                subject.ticker, history.sessions_of(None, None), 0, _quietly, patient=False
            )
            found.notes[:0] = machine_clock.warnings(subject.path)
            result = backtest(subject, found, FillRule("open"))
    except AutoTraderError as error:
        return json.dumps({"error": str(error)})
    if result.run.stopped:
        return json.dumps({"error": f"It {result.run.stopped}."})
    return json.dumps({"result": _shown(result)})


def _quietly(minutes: int, work: Any) -> object:
    return work(lambda answered: None)


def _shown(result: Result) -> Report:
    sessions, kept = result.history.sessions, result.measures["buy_and_hold"]
    return {
        "sessions": len(sessions),
        "start": sessions[0].day.isoformat(),
        "end": sessions[-1].day.isoformat(),
        "fill": result.fill.name,
        "capital": result.subject.capital,
        "pnl": dollars(result.equity.end - result.subject.capital),
        **{name: result.measures[name] for name in ("return", "max_drawdown", "trades")},
        "buy_and_hold": {name: kept[name] for name in ("return", "max_drawdown")},
        "spark": _points(result),
        "notes": result.notes[:MOST_NOTES],
    }


def _points(result: Result) -> list[list[Any]]:
    """The equity at evenly spread bars, the last one among them."""
    stamps, values = result.stamps, result.equity.values
    step = -(-len(values) // POINTS)
    chosen = range((len(values) - 1) % step, len(values), step)
    return [[stamps[n], dollars(values[n])] for n in chosen]
