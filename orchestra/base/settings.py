"""Every setting there is: its default, its check and its help text.

A value comes from the environment, else from ``.env`` in the project's root, else from the default here.
An empty value means the default.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from orchestra.base import hiding
from orchestra.base.alpaca_addresses import DATA_URL, LIVE_URL, PAPER_URL, STREAM_URL
from orchestra.base.errors import SettingsError
from orchestra.base.setting_checks import (
    address,
    addresses,
    boolean,
    check_together,
    hosts,
    moment,
    number,
    one_of,
    port,
    url,
    words,
)

ROOT = Path(__file__).resolve().parents[2]
_current: "Settings | None" = None
NOTIFY_TOPICS = ("fills", "refusals", "freezes", "brakes", "problems", "stopped", "close")
DUMMY_KEY = "simulated"  # alpaca-py refuses to be built with an empty key


def _path(text: str) -> Path:
    return ROOT / Path(text).expanduser()


def _setting(default: str, check: Callable[[str], Any], help: str, *, secret: bool = False) -> Any:
    metadata = {"default": default, "check": check, "help": help, "secret": secret}
    return field(repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked. Field ``api_port`` is the setting ``API_PORT``."""

    alpaca_api_key: str = _setting(
        "", str, "Alpaca key; empty: trade on the simulated exchange", secret=True
    )
    alpaca_secret: str = _setting("", str, "Alpaca secret; goes with the key", secret=True)
    alpaca_paper: bool = _setting("True", boolean, "True: paper money. False: real money")
    alpaca_feed: str = _setting("iex", one_of("iex", "sip"), "iex: free plan. sip: paid plan")
    alpaca_trading_url: str = _setting(
        "", url("http", "https"), "Another trading address than Alpaca's, without /v2"
    )
    alpaca_data_url: str = _setting(
        "", url("http", "https"), "Another data address than Alpaca's, without /v2"
    )
    alpaca_stream_url: str = _setting(
        "", url("ws", "wss"), "Another stream address than Alpaca's, complete with its path"
    )
    system_db: Path | None = _setting("", _path, "The ledger; default system_databse/system.db")
    stocks_db: Path | None = _setting("", _path, "Market data; default database/stocks.db")
    algorithms_dir: Path = _setting("algorithms", _path, "Folder with the algorithm files")
    log_dir: Path = _setting("logs", _path, "Folder for the log files")
    log_total_mb: float = _setting("50", number(1), "How much all log files may take, in MB")
    api_host: str = _setting("127.0.0.1", address, "Address the page is served on")
    allowed_hosts: frozenset[str] | None = _setting(
        "",
        hosts,
        "Names the page answers to besides this machine's own, when it is on the network",
    )
    api_port: int = _setting("5000", port, "Port the page is served on")
    backup_dir: Path = _setting("backups", _path, "Folder for the ledger's backups")
    backup_second_dir: Path | None = _setting(
        "", _path, "A second folder for them, on another disk: a USB stick, a mount"
    )
    page_scale: float = _setting(
        "1", number(0, open_end=True), "Magnifies the page on this machine's own screen"
    )
    notify_urls: tuple[str, ...] | None = _setting(
        "", addresses, "Services that are told what happens, as apprise names them", secret=True
    )
    notify_about: frozenset[str] | None = _setting(
        "", words(*NOTIFY_TOPICS), "What they are told of; empty: all"
    )
    deadman_url: str = _setting(
        "", url("http", "https"), "Called after each cycle of the open market", secret=True
    )
    allocation_rule: str = _setting(
        "strict",
        one_of("strict", "net"),
        "What a new card may take. strict: cash - all allocations. net: cash - what cards hold back",
    )
    order_cushion_bps: float | None = _setting(
        "", number(0), "Room a buy leaves for a worse price, in 1/100 %; default 50, simulated 0"
    )
    order_open_seconds: float = _setting(
        "30", number(0, open_end=True), "How long an order may stay open before it is cancelled"
    )
    brake_orders_per_hour: float | None = _setting(
        "", number(1), "Brake: most orders of one card within an hour; LIVE needs it"
    )
    brake_card_daily_loss: float | None = _setting(
        "", number(0, open_end=True), "Brake: most dollars one card may lose a day; LIVE needs it"
    )
    brake_account_daily_loss: float | None = _setting(
        "", number(0, open_end=True), "Brake: most dollars all cards may lose a day; LIVE needs it"
    )
    algorithm_deadline_seconds: float = _setting(
        "10", number(0, open_end=True), "How long one run of an algorithm may take"
    )
    algorithm_memory_mb: float = _setting(
        "512", number(0, open_end=True), "How much memory an algorithm may take, in MB"
    )
    market_clock_start: datetime | None = _setting(
        "", moment, "Accelerated clock: market time at the anchor. Simulated only"
    )
    market_clock_speed: float = _setting(
        "1", number(0, open_end=True), "Accelerated clock: market seconds per machine second"
    )
    market_clock_anchor: float | None = _setting(
        "", number(0), "Accelerated clock: unix time at which market time was START"
    )
    market_clock_steady_anchor: float | None = _setting(
        "",
        number(0),
        "Accelerated clock: the anchor on the machine's steady clock, which nobody sets",
    )
    market_clock_skip_closed: bool = _setting(
        "False", boolean, "Accelerated clock: closed hours pass at once"
    )
    simulator_host: str = _setting("127.0.0.1", str, "Address of the simulated exchange")
    simulator_port: int = _setting("5010", port, "Its REST port")
    simulator_stream_port: int = _setting("5011", port, "Its stream port")
    simulator_bars: Path | None = _setting(
        "", _path, "Folder of recorded TICKER/YYYY-MM-DD.csv to serve; empty: generated bars"
    )
    simulator_db: Path = _setting("var/simulator.db", _path, "Its own account's database")
    simulator_fill: str = _setting(
        "close", one_of("close", "open"), "Fill at the last close, or the running minute's open"
    )
    simulator_slippage_bps: float = _setting("0", number(0), "Its fills are worse by 1/100 %")
    simulator_seed: int = _setting("2020", int, "Seed of its generated bars")

    @property
    def simulated_by_default(self) -> bool:
        """No keys and no address: the terminal brings its own exchange."""
        return not self.alpaca_api_key and not self.alpaca_trading_url

    @property
    def on_network(self) -> bool:
        """Whether other machines can reach the page."""
        return self.api_host != "localhost" and not IPv4Address(self.api_host).is_loopback

    @property
    def log_total_bytes(self) -> int:
        return int(self.log_total_mb * 1_000_000)

    @property
    def page_addresses(self) -> list[str]:
        """Where the page is served, as host:port: on the network, for this machine itself too."""
        hosts = [self.api_host]
        if self.on_network and self.api_host != "0.0.0.0":
            hosts.append("127.0.0.1")
        return [f"{host}:{self.api_port}" for host in hosts]

    @property
    def page_url(self) -> str:
        """Where this machine reaches the page, without a slash at the end."""
        return f"http://{'127.0.0.1' if self.on_network else self.api_host}:{self.api_port}"

    @property
    def trading_url(self) -> str:
        if self.alpaca_trading_url:
            return self.alpaca_trading_url
        if not self.alpaca_api_key:
            return f"http://{self.simulator_host}:{self.simulator_port}"
        return PAPER_URL if self.alpaca_paper else LIVE_URL

    @property
    def data_url(self) -> str:
        if self.alpaca_data_url:
            return self.alpaca_data_url
        if not self.alpaca_api_key:
            return f"http://{self.simulator_host}:{self.simulator_port}"
        return DATA_URL

    @property
    def stream_url(self) -> str:
        if self.alpaca_stream_url:
            return self.alpaca_stream_url
        if not self.alpaca_api_key:
            return f"ws://{self.simulator_host}:{self.simulator_stream_port}/v2/{self.alpaca_feed}"
        return STREAM_URL.format(feed=self.alpaca_feed)

    @property
    def keys(self) -> tuple[str, str]:
        """Key and secret for the exchange; a dummy pair where there are none."""
        return (self.alpaca_api_key or DUMMY_KEY, self.alpaca_secret or DUMMY_KEY)

    @property
    def mode(self) -> str:
        """``simulated``, ``paper`` or ``live``."""
        if self.trading_url.rstrip("/") not in (PAPER_URL, LIVE_URL):
            return "simulated"
        return "paper" if self.alpaca_paper else "live"

    @property
    def system_db_path(self) -> Path:
        simulated = self.mode == "simulated"
        name = "simulated.db" if simulated else "system.db"
        return self.system_db or ROOT / "system_databse" / name

    @property
    def stocks_db_path(self) -> Path:
        simulated = self.mode == "simulated"
        return self.stocks_db or ROOT / "database" / ("simulated.db" if simulated else "stocks.db")

    @property
    def folders_written(self) -> list[Path]:
        """Every folder that the processes write to, whatever mode they run in."""
        own = [ROOT / "system_databse", ROOT / "database"]
        databases = [self.system_db_path, self.stocks_db_path, self.simulator_db]
        others = [self.log_dir, self.backup_dir, self.backup_second_dir]
        found = own + [path.parent for path in databases] + [path for path in others if path]
        return list(dict.fromkeys(found))

    @property
    def folders_read(self) -> list[Path]:
        """Folders outside the project's own that the processes read from."""
        found = [self.algorithms_dir, self.simulator_bars]
        return [path for path in found if path and not path.is_relative_to(ROOT)]

    @property
    def cushion_bps(self) -> float:
        if self.order_cushion_bps is not None:
            return self.order_cushion_bps
        return 0.0 if self.mode == "simulated" else 50.0


def load(environment: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Read and check every setting. Raises SettingsError with one sentence on the first wrong one."""
    written = {k: v for k, v in dotenv_values(env_file).items() if v} if env_file else {}
    values: dict[str, Any] = {}
    for each in fields(Settings):
        name = each.name.upper()
        text = environment.get(name, written.get(name) or "").strip()
        text = text or each.metadata["default"]
        try:
            optional = each.metadata["default"] == "" and each.type is not str
            if not text:
                values[each.name] = None if optional else ""
            else:
                values[each.name] = each.metadata["check"](text)
        except ValueError as wanted:
            shown = "a hidden value" if each.metadata["secret"] else repr(text)
            raise SettingsError(f"Setting {name}: expected {wanted}, found {shown}.") from None
    settings = Settings(**values)
    check_together(settings)
    return settings


def current() -> Settings:
    """This process's settings, read once."""
    if _current is None:
        found = load(os.environ, ROOT / ".env")
        hiding.keep_to_owner(ROOT / ".env", holds_keys=bool(found.alpaca_api_key))
        adopt(found)
        return found
    return _current


def adopt(settings: Settings | None) -> None:
    """Make these this process's settings; None: read them again when they are next asked for."""
    global _current
    _current = settings
    if settings is not None:
        secret = [each.name for each in fields(Settings) if each.metadata["secret"]]
        values = [getattr(settings, name) or "" for name in secret]
        hiding.know(text for each in values for text in ([each] if isinstance(each, str) else each))
