"""The page on this machine's own screen, from the moment there is a desktop until the browser ends.

The browser begins with a file that says what is waited for, and goes on to the page once it answers.
"""

import html
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from orchestra import browser
from orchestra.base import clock, settings, systemd
from orchestra.base.errors import SettingsError
from orchestra.base.market_calendar import NEW_YORK, new_york

LOOK_SECONDS = 2.0
CRASHED_LOOKS = 3  # in a row without a page: it says "Aw, Snap!", and the browser is begun anew
END_SECONDS = 10.0  # that a browser is given to end by itself
NIGHT = "04:30"  # in New York, hours before the open: a browser that runs for weeks only grows
PATIENCE_SECONDS = 60.0  # a start may take so long; from then on it is told what to do
HELP = "What the services say: sudo systemctl status 'autotrader-*'"
CORRECT = "Correct .env; a few seconds later it starts by itself."
TEMPLATE = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="{refresh}">
<title>AutoTrader</title>
<style>
  html {{ background: #000; color: #fff; font: 22px/1.5 "DejaVu Sans", sans-serif; cursor: none; }}
  body {{ display: grid; place-content: center; min-height: 100vh; margin: 0 auto; max-width: 32em; }}
  h1 {{ font-size: 44px; margin: 0 0 .4em; }}
  p {{ color: #bbb; margin: 0 0 .6em; overflow-wrap: anywhere; }}
</style>
<h1>{title}</h1>
{lines}
"""


def kiosk() -> None:
    """Run the browser until it ends, a night, or SIGTERM comes: the service manager begins it anew.

    Raises AutoTraderError without display or browser.
    """
    # What the one before has left: a lock, which keeps it from opening where the machine has another name
    # since, and of some versions megabytes of its own measurements at each start
    shutil.rmtree(browser.profile(), ignore_errors=True)
    file = browser.profile() / "waiting.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, "AutoTrader", ["The page is being opened."])
    window = browser.start(file.as_uri(), _scale())
    signal.signal(signal.SIGTERM, lambda *_: window.terminate())
    began, night = clock.elapsed(), next_night(clock.machine_now())
    opened, drawn, missing = False, False, 0
    while window.poll() is None and missing < CRASHED_LOOKS and _is_before(night):
        opened = opened or show(file, clock.elapsed() - began)
        draws = browser.draws(window)
        drawn = drawn or draws
        missing = missing + 1 if drawn and not draws else 0
        clock.pause(LOOK_SECONDS)
    window.terminate()
    try:
        status = window.wait(END_SECONDS)
    except subprocess.TimeoutExpired:  # it hangs, and would show its last page for ever
        window.kill()
        status = window.wait()
    sys.exit(max(0, status))


def next_night(moment: datetime) -> datetime:
    """The next time after ``moment`` (aware UTC) to begin the browser anew."""
    today = moment.astimezone(NEW_YORK).date()
    tonight = new_york(today, NIGHT)
    return tonight if tonight > moment else new_york(today + timedelta(days=1), NIGHT)


def _is_before(night: datetime) -> bool:
    """Whether it is still the next one: also where the clock was set meanwhile, either way."""
    return next_night(clock.machine_now()) == night


def show(file: Path, waited: float) -> bool:
    """Have the file lead to the page if that answers, else say what is waited for; True if it does.

    ``waited`` is in machine seconds.
    """
    settings.adopt(None)  # .env may have been corrected
    try:
        address = settings.current().page_url
    except SettingsError as error:
        _write(file, "AutoTrader cannot start", [str(error), CORRECT])
        return False
    if systemd.answers(f"{address}/healthz", LOOK_SECONDS):
        _write(file, "AutoTrader", [], go_to=f"{address}/")
        return True
    if waited > PATIENCE_SECONDS:
        _write(file, "AutoTrader does not answer", [_last_words(), HELP])
    else:
        _write(file, "AutoTrader is starting", [])
    return False


def _scale() -> float:
    try:
        return settings.current().page_scale
    except SettingsError:
        return 1.0


def _last_words() -> str:
    """What the page's server said last, where this user may read it."""
    command = ["journalctl", "-q", "-n", "1", "-o", "cat", "_SYSTEMD_UNIT=autotrader-api.service"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.strip()


def _write(file: Path, title: str, lines: list[str], go_to: str = "") -> None:
    """Write the file that the browser shows and loads again every two seconds."""
    shown = "\n".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    refresh = f"0; url={html.escape(go_to)}" if go_to else "2"
    text = TEMPLATE.format(refresh=refresh, title=html.escape(title), lines=shown)
    whole = file.with_suffix(".new")
    whole.write_text(text, encoding="utf-8")
    whole.replace(file)
