"""What the page asks the broker: cash, positions, tickers. It sends no orders and loads no pandas.

Paths and fields: docs.alpaca.markets, Trading API: /v2/account, /v2/assets, /v2/positions.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestra import exchange
from orchestra.base.errors import ExchangeUnavailable
from orchestra.base.tickers import is_ticker
from orchestra.exchange import figures

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient

TRADABLE = {"status": "active", "asset_class": "us_equity"}
# An account's fields that keep it from trading; the last is the owner's own switch at the broker
BLOCKS = ("account_blocked", "trading_blocked", "trade_suspended_by_user")


class AccountReader:
    """Alpaca's account as it can be read; one object may serve many threads."""

    def validate_ticker(self, symbol: str) -> bool:
        """Say whether ``symbol`` is an active, tradable stock. Raises ExchangeUnavailable."""
        # The form is checked first: the client puts the symbol into the path as it is
        if not is_ticker(symbol):
            return False
        try:
            with exchange.answering():
                asset = figures.mapping(self._client().get(f"/assets/{symbol}"))
        except ExchangeUnavailable as error:
            if exchange.status_of(error.__cause__) in (404, 422):
                return False
            raise
        return (
            asset.get("tradable") is True
            and asset.get("status") == "active"
            and asset.get("class") == "us_equity"
        )

    def get_tradable_assets(self) -> list[tuple[str, str]]:
        """Return symbol and name of every active, tradable stock. Raises ExchangeUnavailable."""
        with exchange.answering():
            found = figures.rows(self._client().get("/assets", dict(TRADABLE)))
            return [
                (asset["symbol"], str(asset.get("name") or "").removesuffix(" Common Stock"))
                for asset in found
                if asset.get("tradable") is True and is_ticker(asset.get("symbol"))
            ]

    def get_account_cash(self) -> float:
        """Return the account's cash in dollars. Raises ExchangeUnavailable."""
        with exchange.answering():
            return figures.number(figures.mapping(self._client().get("/account"))["cash"])

    def get_account_number(self) -> str:
        """Return the broker's number of the account. Raises ExchangeUnavailable."""
        with exchange.answering():
            return figures.text(figures.mapping(self._client().get("/account"))["account_number"])

    def why_no_orders(self) -> str:
        """Say why the account takes no orders; empty where it does. Raises ExchangeUnavailable."""
        with exchange.answering():
            account = figures.mapping(self._client().get("/account"))
        return ", ".join(name.replace("_", " ") for name in BLOCKS if account.get(name) is True)

    def get_positions(self) -> dict[str, Decimal]:
        """Return the account's shares by ticker (short ones below zero). Raises ExchangeUnavailable."""
        with exchange.answering():
            found = figures.rows(self._client().get("/positions"))
            return {figures.symbol(row["symbol"]): _held(row) for row in found}

    def get_position(self, ticker: str) -> Decimal:
        """Return the account's shares of one ticker (short ones below zero). Raises ExchangeUnavailable."""
        try:
            with exchange.answering():
                row = figures.mapping(self._client().get(f"/positions/{ticker}"))
                if figures.symbol(row["symbol"]) != ticker:
                    raise ValueError(f"expected {ticker}, was {row['symbol']}")
                return _held(row)
        except ExchangeUnavailable as error:
            if exchange.is_not_found(error):
                return Decimal(0)
            raise

    def _client(self) -> "RESTClient":
        """This thread's client."""
        return exchange.reading_client()


def _held(row: Mapping[str, Any]) -> Decimal:
    """Read a position's shares; one that contradicts itself is no answer. Raises ValueError."""
    shares = Decimal(f"{figures.number(row['qty']):.9f}")
    if shares == 0 or (shares < 0 and row.get("side") != "short"):
        raise ValueError(f"expected a position, was {shares:f} shares {row.get('side')}")
    return shares
