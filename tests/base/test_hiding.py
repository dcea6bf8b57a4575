"""The broker's keys: hidden in texts, left out of what a traceback prints, and `.env` its owner's alone."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.base import hiding, settings
from orchestra.base.errors import SettingsError

KEY, SECRET = "PKQ7WE3RT5YU8IO1PA2S", "sd0Fg4hJ6kL8zX2cV5bN7mQ9wE1rT3yU0iO4pA6s"


@pytest.fixture
def keys() -> None:
    settings.adopt(settings.load({"ALPACA_API_KEY": KEY, "ALPACA_SECRET": SECRET}))


@pytest.mark.usefixtures("keys")
def test_keys_are_hidden_in_any_text() -> None:
    text = f"refused: {{'APCA-API-KEY-ID': '{KEY}'}} {SECRET}{KEY}"
    assert hiding.hide(text) == "refused: {'APCA-API-KEY-ID': '(hidden)'} (hidden)(hidden)"


@pytest.mark.usefixtures("keys")
def test_settings_are_printed_without_their_keys() -> None:
    shown = repr(settings.current())
    assert "api_port=5000" in shown
    assert KEY not in shown and SECRET not in shown


def test_a_secret_within_another_is_no_way_to_a_part_of_it() -> None:
    settings.adopt(settings.load({"ALPACA_API_KEY": "12345678", "ALPACA_SECRET": "0123456789"}))
    assert hiding.hide("0123456789 and 12345678") == "(hidden) and (hidden)"


def test_without_keys_nothing_is_hidden() -> None:
    settings.adopt(settings.load({}))
    assert hiding.hide("simulated") == "simulated"


def test_a_key_of_a_few_letters_does_not_spoil_every_word() -> None:
    settings.adopt(settings.load({"ALPACA_API_KEY": "a", "ALPACA_SECRET": "or"}))
    assert hiding.hide("a horse") == "a horse"


def test_env_that_others_can_read_is_mended_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    env.write_text("ALPACA_API_KEY=\n")
    for mode in (0o644, 0o660, 0o604, 0o666):
        env.chmod(mode)
        hiding.keep_to_owner(env, holds_keys=True)
        assert env.stat().st_mode & 0o777 == 0o600
        assert f"was open to others (mode {mode:o})" in capsys.readouterr().err


def test_env_of_its_owner_alone_or_none_at_all_is_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    hiding.keep_to_owner(env, holds_keys=True)
    env.touch(0o400)
    hiding.keep_to_owner(env, holds_keys=True)
    assert env.stat().st_mode & 0o777 == 0o400
    assert capsys.readouterr().err == ""


@pytest.fixture
def as_another_user() -> Iterator[Path]:
    """A folder anybody can look into, seen by a user who owns nothing in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / ".env").write_text("ALPACA_API_KEY=x\n")
        (folder / ".env").chmod(0o644)
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_env_of_somebody_else_is_refused_while_it_holds_keys(as_another_user: Path) -> None:
    env = as_another_user / ".env"
    hiding.keep_to_owner(env, holds_keys=False)
    with pytest.raises(SettingsError, match=r"others can read it \(mode 644\).*chmod 600 "):
        hiding.keep_to_owner(env, holds_keys=True)
