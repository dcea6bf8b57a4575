"""``python -m orchestra doctor``: what health says on the page, and what to do about each."""

import json

import click

import orchestra
from orchestra.base.settings import ROOT
from orchestra.checkup import look_over_terminal
from orchestra.first_aid import Finding, look_over_machine

MARKS = {"ok": ("✓", "green"), "degraded": ("!", "yellow"), "down": ("✗", "red")}


def doctor(as_json: bool) -> bool:
    """Print every finding; True where nothing needs the owner."""
    findings = [*look_over_machine(), *look_over_terminal()]
    unwell = [found for found in findings if found.status != "ok"]
    if as_json:
        found = [each._asdict() for each in findings]
        answer = {"version": orchestra.__version__, "ok": not unwell, "findings": found}
        click.echo(json.dumps(answer))
        return not unwell
    click.echo(f"AutoTrader {orchestra.__version__} in {ROOT}\n")
    for each in findings:
        _say(each)
    count = len(unwell)
    told = f"{count} thing{'s' if count > 1 else ''} to look at." if count else "All is well."
    click.echo(f"\n{told}")
    return not unwell


def _say(found: Finding) -> None:
    mark, colour = MARKS[found.status]
    click.echo(f"{click.style(mark, colour)} {found.part:<13} {found.message}")
    if found.remedy:
        click.echo(f"{'':<16}→ {found.remedy}")
