"""``python -m orchestra notify``: a test message to each of NOTIFY_URLS."""

import click

from orchestra import messenger


def notify() -> bool:
    """Send it, print what came of each, and say whether all took it."""
    try:
        known = messenger.services()
    except ImportError:
        raise click.ClickException(messenger.NOT_INSTALLED) from None
    if not known:
        raise click.ClickException("NOTIFY_URLS in .env is empty: nobody is told.")
    failures = 0
    for name, service in known:
        failure = "apprise does not know such an address"
        if service is not None:
            failure = messenger.send(service, "This is a test: you will be told here.")
        failures += bool(failure)
        click.echo(f"{name}: {failure or 'told'}")
    return not failures
