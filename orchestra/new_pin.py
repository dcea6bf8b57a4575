"""``python -m orchestra pin``: another PIN, set at the machine itself: before LIVE, or a forgotten one."""

import click

from orchestra.base import settings
from orchestra.base.errors import BadInput
from system_databse import access


def new_pin() -> None:
    """Ask for the PIN twice, unseen, and store it; locks that wrong ones earned end."""
    pin = click.prompt(
        f"New PIN of {settings.current().system_db_path} ({access.PIN_WORDS})",
        hide_input=True,
        confirmation_prompt="Once more",
        value_proc=_checked,
    )
    access.change_pin(pin)
    click.echo(
        "The new PIN is in force. Who came in by the old one stays in until the page is restarted."
    )


def _checked(typed: str) -> str:
    try:
        access.check_form(typed)
    except BadInput as error:
        raise click.UsageError(str(error)) from None
    return typed
