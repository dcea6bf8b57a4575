"""Starts the orchestrator: ``.venv/bin/python orchestrator.py``."""

import logging
import signal
import sys
import threading

from orchestra.base.errors import AutoTraderError
from orchestra.base.threads import share_heaps
from orchestra.trading_loop import is_market_open, run_all_algorithms, run_orchestrator
from orchestra.websocket_manager import WebSocketManager

__all__ = ["WebSocketManager", "is_market_open", "run_all_algorithms", "run_orchestrator"]


def main() -> int:
    share_heaps()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run_orchestrator(stop)
    except AutoTraderError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception:
        logging.getLogger("autotrader.orchestrator").exception("The orchestrator ends on an error")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
