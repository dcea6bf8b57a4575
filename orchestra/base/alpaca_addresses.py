"""Alpaca's own addresses, as docs.alpaca.markets names them."""

from urllib.parse import urlsplit

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets/v2/{feed}"


def is_alpacas(address: str) -> bool:
    """Whether it is Alpaca that answers at this address, and no server that speaks its protocols."""
    host = urlsplit(address).hostname or ""
    return host == "alpaca.markets" or host.endswith(".alpaca.markets")
