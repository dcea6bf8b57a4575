"""Which tickers need live bars: one stream subscription per ticker, counted over the cards that need it."""

from collections import Counter
from typing import Any

from database.realtime_pull import RealtimeStreamer


class WebSocketManager:
    """Keeps the stream's subscriptions equal to what the cards need that run, or still hold shares.

    ``active_tickers`` maps each subscribed ticker to the number of those cards on it.
    """

    def __init__(self, streamer: RealtimeStreamer | None = None) -> None:
        self.streamer = streamer or RealtimeStreamer()
        self.active_tickers: dict[str, int] = {}

    def update_subscriptions(self, running_algorithms: list[dict[str, Any]]) -> None:
        """Subscribe to tickers that are new, unsubscribe from those none of these cards needs."""
        needed = Counter(card["ticker"] for card in running_algorithms)
        for ticker in sorted(needed.keys() - self.active_tickers.keys()):
            self.streamer.subscribe(ticker)
            self.active_tickers[ticker] = needed[ticker]
        for ticker in sorted(self.active_tickers.keys() - needed.keys()):
            self.streamer.unsubscribe(ticker)
            del self.active_tickers[ticker]
        self.active_tickers.update(needed)
        self.streamer.resubscribe()

    def stop(self) -> None:
        """End the stream."""
        self.streamer.stop()
        self.active_tickers.clear()
