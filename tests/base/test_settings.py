"""Settings: what is accepted, what is refused and with which words."""

from dataclasses import fields
from pathlib import Path

import pytest
from dotenv import dotenv_values

from orchestra.base.errors import SettingsError
from orchestra.base.settings import ROOT, Settings, load

KEYS = {"ALPACA_API_KEY": "K", "ALPACA_SECRET": "S"}


def test_without_keys_the_terminal_is_simulated_on_its_own_databases() -> None:
    settings = load({})
    assert settings.mode == "simulated"
    assert settings.trading_url == "http://127.0.0.1:5010"
    assert settings.stream_url == "ws://127.0.0.1:5011/v2/iex"
    assert settings.system_db_path == ROOT / "system_databse" / "simulated.db"
    assert settings.stocks_db_path == ROOT / "database" / "simulated.db"


def test_keys_choose_paper_and_the_roadmaps_own_files() -> None:
    settings = load(KEYS)
    assert (settings.mode, settings.trading_url) == ("paper", "https://paper-api.alpaca.markets")
    assert settings.stream_url == "wss://stream.data.alpaca.markets/v2/iex"
    assert settings.system_db_path == ROOT / "system_databse" / "system.db"
    assert load(KEYS | {"ALPACA_PAPER": "False"}).mode == "live"


def test_the_file_that_is_copied_to_env_names_every_setting_at_its_default() -> None:
    example = ROOT / ".env.example"
    assert set(dotenv_values(example)) == {each.name.upper() for each in fields(Settings)}
    assert load({}, example) == load({})


def test_any_other_address_is_simulated_whatever_the_keys() -> None:
    settings = load(KEYS | {"ALPACA_TRADING_URL": "http://127.0.0.1:9", "ALPACA_PAPER": "False"})
    assert settings.mode == "simulated"


@pytest.mark.parametrize("wrong", ["true", "TRUE", "1", "yes", "False  # for real trading"])
def test_only_true_and_false_are_booleans(wrong: str) -> None:
    with pytest.raises(SettingsError, match="ALPACA_PAPER: expected exactly True or False"):
        load({"ALPACA_PAPER": wrong})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALPACA_FEED", "IEX"),
        ("API_PORT", "0"),
        ("API_PORT", "http"),
        ("MARKET_CLOCK_SPEED", "0"),
        ("MARKET_CLOCK_SPEED", "nan"),
        ("MARKET_CLOCK_START", "2024-01-02"),
        ("ALPACA_TRADING_URL", "localhost:80"),
        ("SIMULATOR_FILL", "middle"),
        ("SIMULATOR_SEED", "x"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({name: value})


def test_the_accelerated_clock_never_meets_alpaca() -> None:
    with pytest.raises(SettingsError, match="accelerated"):
        load(KEYS | {"MARKET_CLOCK_SPEED": "60"})


def test_contradictions_are_refused() -> None:
    with pytest.raises(SettingsError, match="make them agree"):
        load(KEYS | {"ALPACA_TRADING_URL": "https://api.alpaca.markets"})
    with pytest.raises(SettingsError, match="go together"):
        load({"ALPACA_API_KEY": "K"})


def test_a_key_is_never_in_an_error() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"ALPACA_API_KEY": "PKSECRET"})
    assert "PKSECRET" not in str(caught.value)


def test_the_environment_wins_over_the_file_and_the_owners_comments_are_no_part(
    tmp_path: Path,
) -> None:
    file = tmp_path / ".env"
    file.write_text("ALPACA_PAPER=True  # Set to False for real trading\nAPI_PORT=81\nLOG_DIR=a\n")
    settings = load({"API_PORT": "82", "LOG_DIR": ""}, file)
    assert settings.alpaca_paper is True
    assert settings.api_port == 82
    assert settings.log_dir == ROOT / "logs"


def test_the_page_is_on_the_network_only_with_the_names_it_is_called_by() -> None:
    for address in ("0.0.0.0", "192.168.1.20"):
        with pytest.raises(SettingsError, match=f"API_HOST={address} .* ALLOWED_HOSTS"):
            load({"API_HOST": address})
    lan = {"API_HOST": "192.168.1.20", "ALLOWED_HOSTS": "Wall.local, 192.168.1.20"}
    settings = load(lan)
    assert settings.allowed_hosts == {"wall.local", "192.168.1.20"}
    assert settings.on_network
    assert settings.page_addresses == ["192.168.1.20:5000", "127.0.0.1:5000"]
    assert settings.page_url == "http://127.0.0.1:5000"
    everywhere = load(lan | {"API_HOST": "0.0.0.0", "API_PORT": "81"})
    assert everywhere.page_addresses == ["0.0.0.0:81"]
    assert everywhere.page_url == "http://127.0.0.1:81"


@pytest.mark.parametrize("address", ["", "127.0.0.1", "localhost", "127.0.0.2"])
def test_a_loopback_address_is_not_the_network(address: str) -> None:
    settings = load({"API_HOST": address})
    assert not settings.on_network
    assert settings.page_addresses == [settings.page_url.removeprefix("http://")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_HOST", "wall.local"),
        ("API_HOST", "::1"),
        ("API_HOST", "1.2.3"),
        ("ALLOWED_HOSTS", "wall.local:5000"),
        ("ALLOWED_HOSTS", "http://wall.local"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", ".local"),
        ("ALLOWED_HOSTS", "wall.local,"),
    ],
)
def test_what_is_no_address_or_name_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: expected"):
        load({"API_HOST": "0.0.0.0", "ALLOWED_HOSTS": "wall.local", name: value})
