"""Tells health how each part of the trader is doing: after each cycle, and between while it sleeps."""

from datetime import datetime

from database import verdicts
from database.calendar import calendar
from orchestra import new_ledger
from orchestra.base import clock, systemd
from orchestra.clock_trust import ClockTrust
from orchestra.cycle import Cycle
from orchestra.deadman import Deadman
from orchestra.ledger_guard import LedgerGuard
from orchestra.runner import AlgorithmRunner
from orchestra.stocks_guard import StocksGuard
from orchestra.websocket_manager import WebSocketManager
from system_databse import heartbeats
from system_databse.wear import Wear


class VitalSigns:
    """Knows whom to ask; one object lives as long as the process."""

    def __init__(
        self,
        cycle: Cycle,
        runner: AlgorithmRunner,
        websocket_manager: WebSocketManager,
        clock_trust: ClockTrust,
        stocks: StocksGuard,
        ledger: LedgerGuard,
        deadman: Deadman,
    ) -> None:
        self._cycle = cycle
        self._runner = runner
        self._websockets = websocket_manager
        self._clock = clock_trust
        self._stocks = stocks
        self._ledger = ledger
        self._deadman = deadman
        self._wear = Wear("orchestrator")

    def beat(self, message: str) -> None:
        """Give a sign of life with each part's state, to health and to the service manager."""
        trouble = self._cycle.broker_trouble
        stocks = self._stocks.health
        heartbeats.beat(
            {
                "orchestrator": ("ok", message),
                "clock": self._clock.health,
                "ledger": new_ledger.health(),
                "broker": ("degraded", trouble) if trouble else ("ok", ""),
                "databases": self._ledger.health if stocks[0] == "ok" else stocks,
                "stream": self._stream(),
                "workers": self._runner.health,
                **self._deadman.health,
            }
        )
        self._wear.look()
        systemd.alive(message)

    def cycle_done(self, minute: datetime) -> None:
        """Give a sign of life after a cycle of the open market, elsewhere too."""
        self.beat(f"Cycle of {clock.stamp(minute)} done.")
        self._deadman.cycle_done()

    def closed(self) -> None:
        """Give a sign of life while the market is closed."""
        self.beat("The market is closed.")
        self._deadman.market_closed(clock.now())

    def note_wear(self) -> None:
        """Note what was written to the disk so far: before a session's report is made, and at the end."""
        self._wear.note()

    def _stream(self) -> tuple[str, str]:
        stream = self._websockets.streamer.status()
        session = calendar().latest_session(clock.now())
        late = verdicts.late_since(session.open) if session is not None else 0
        heard = f"{stream.message} {late} bars came late today." if late else stream.message
        return ("ok" if stream.healthy else "degraded", heard)
