"""alpaca-py's stream of bars, with what it keeps to itself: why it is not connected, what was confirmed."""

import asyncio
from typing import Any

from alpaca.data.live import StockDataStream

from orchestra.base import hiding

LONGEST_TROUBLE = 300  # characters of what the exchange says
HANDSHAKE_SECONDS = 15.0  # machine seconds; a peer that stays mute would otherwise hang it for ever


class HeardStream(StockDataStream):
    """A stream that can be asked how it is; read from any thread, changed in its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trouble = ""  # why the last attempt failed, or what the exchange objected to
        self.confirmed: frozenset[str] = frozenset()  # the tickers whose bars it said it sends

    async def _start_ws(self) -> None:
        self.confirmed = frozenset()
        try:
            await asyncio.wait_for(super()._start_ws(), HANDSHAKE_SECONDS)
        except TimeoutError:
            self.trouble = "the exchange does not answer the handshake"
            raise
        except Exception as error:
            self.trouble = hiding.hide(str(error))[:LONGEST_TROUBLE] or type(error).__name__
            raise
        self.trouble = ""

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        if msg.get("T") == "subscription":
            self.confirmed = frozenset(msg.get("bars") or ())
        elif msg.get("T") == "error":
            self.trouble = hiding.hide(f"{msg.get('msg')} ({msg.get('code')})")[:LONGEST_TROUBLE]
        await super()._dispatch(msg)

    async def break_off(self) -> None:
        """Close the connection, so that alpaca-py makes a new one after its pause."""
        if self._ws is not None:
            await self._ws.close()
