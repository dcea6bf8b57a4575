"""Which assets the simulated exchange lists, and how each of them trades."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

# symbol, name, exchange, dollars, 1-minute volatility in 1/100 %, shares a minute, share of minutes traded
_LISTED: tuple[tuple[str, str, str, float, float, int, float], ...] = (
    ("AAPL", "Apple Inc. Common Stock", "NASDAQ", 190.0, 5.0, 2400, 1.0),
    ("ADBE", "Adobe Inc. Common Stock", "NASDAQ", 520.0, 6.0, 240, 1.0),
    ("AMD", "Advanced Micro Devices, Inc. Common Stock", "NASDAQ", 150.0, 8.0, 2900, 1.0),
    ("AMZN", "Amazon.com, Inc. Common Stock", "NASDAQ", 180.0, 6.0, 2100, 1.0),
    ("AVGO", "Broadcom Inc. Common Stock", "NASDAQ", 165.0, 7.0, 1300, 1.0),
    ("BAC", "Bank of America Corporation", "NYSE", 38.0, 5.0, 1800, 1.0),
    ("BRK.B", "Berkshire Hathaway Inc. Class B", "NYSE", 410.0, 4.0, 140, 0.82),
    ("COST", "Costco Wholesale Corporation", "NASDAQ", 730.0, 5.0, 130, 1.0),
    ("CPER", "United States Copper Index Fund", "ARCA", 28.0, 5.0, 60, 0.25),
    ("CSCO", "Cisco Systems, Inc. Common Stock", "NASDAQ", 49.0, 4.0, 900, 1.0),
    ("DIS", "The Walt Disney Company", "NYSE", 105.0, 5.0, 600, 1.0),
    ("F", "Ford Motor Company", "NYSE", 12.0, 7.0, 2600, 1.0),
    ("FT", "Franklin Universal Trust", "NYSE", 7.2, 4.0, 110, 0.08),
    ("GLD", "SPDR Gold Trust", "ARCA", 215.0, 3.0, 420, 0.99),
    ("GOOGL", "Alphabet Inc. Class A Common Stock", "NASDAQ", 165.0, 6.0, 1700, 1.0),
    ("HD", "The Home Depot, Inc.", "NYSE", 350.0, 5.0, 210, 1.0),
    ("INTC", "Intel Corporation Common Stock", "NASDAQ", 31.0, 7.0, 3100, 1.0),
    ("IWM", "iShares Russell 2000 ETF", "ARCA", 205.0, 5.0, 1500, 1.0),
    ("JNJ", "Johnson & Johnson", "NYSE", 155.0, 4.0, 380, 1.0),
    ("JPM", "JPMorgan Chase & Co.", "NYSE", 200.0, 5.0, 520, 1.0),
    ("KO", "The Coca-Cola Company", "NYSE", 62.0, 3.0, 640, 1.0),
    ("META", "Meta Platforms, Inc. Class A Common Stock", "NASDAQ", 490.0, 6.0, 900, 1.0),
    ("MSFT", "Microsoft Corporation Common Stock", "NASDAQ", 420.0, 5.0, 1200, 1.0),
    ("NFLX", "Netflix, Inc. Common Stock", "NASDAQ", 620.0, 6.0, 260, 1.0),
    ("NVDA", "NVIDIA Corporation Common Stock", "NASDAQ", 120.0, 8.0, 5200, 1.0),
    ("PALL", "abrdn Palladium ETF Trust", "ARCA", 92.0, 7.0, 40, 0.22),
    ("PEP", "PepsiCo, Inc. Common Stock", "NASDAQ", 170.0, 4.0, 300, 1.0),
    ("PFE", "Pfizer, Inc.", "NYSE", 28.0, 5.0, 1500, 1.0),
    ("PG", "Procter & Gamble Company", "NYSE", 165.0, 3.0, 330, 1.0),
    ("PLTR", "Palantir Technologies Inc. Class A Common Stock", "NASDAQ", 26.0, 8.0, 3300, 1.0),
    ("PPLT", "abrdn Platinum ETF Trust", "ARCA", 90.0, 5.0, 70, 0.29),
    ("QQQ", "Invesco QQQ Trust, Series 1", "NASDAQ", 470.0, 4.0, 2200, 1.0),
    ("RZLV", "Rezolve AI PLC Ordinary Shares", "NASDAQ", 6.4, 8.0, 420, 0.21),
    ("SOYB", "Teucrium Soybean Fund", "ARCA", 24.0, 4.0, 50, 0.10),
    ("SPY", "SPDR S&P 500 ETF Trust", "ARCA", 540.0, 3.0, 3200, 1.0),
    ("T", "AT&T Inc.", "NYSE", 19.0, 4.0, 1700, 1.0),
    ("TSLA", "Tesla, Inc. Common Stock", "NASDAQ", 210.0, 8.0, 3600, 1.0),
    ("UNH", "UnitedHealth Group Incorporated", "NYSE", 500.0, 5.0, 160, 1.0),
    ("V", "Visa Inc.", "NYSE", 275.0, 4.0, 340, 1.0),
    ("VOO", "Vanguard S&P 500 ETF", "ARCA", 495.0, 3.0, 330, 0.96),
    ("XOM", "Exxon Mobil Corporation", "NYSE", 114.0, 5.0, 780, 1.0),
)
_NOT_FRACTIONABLE = frozenset({"FT", "RZLV"})


@dataclass(frozen=True)
class Asset:
    """One listed asset. ``volatility`` is the standard deviation of a minute's return."""

    symbol: str
    name: str
    exchange: str
    price: float
    volatility: float
    volume: int
    presence: float

    @property
    def id(self) -> str:
        """Its UUID, the same in every account."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"asset:{self.symbol}"))

    @property
    def fractionable(self) -> bool:
        return self.symbol not in _NOT_FRACTIONABLE


def listed(recorded: Iterable[str] = ()) -> dict[str, Asset]:
    """Every asset by symbol: the built-in ones and each ticker that has recorded bars."""
    assets = {
        symbol: Asset(symbol, name, exchange, price, points / 10_000, volume, presence)
        for symbol, name, exchange, price, points, volume, presence in _LISTED
    }
    for symbol in recorded:
        assets.setdefault(symbol, Asset(symbol, symbol, "NASDAQ", 100.0, 0.0005, 1000, 1.0))
    return dict(sorted(assets.items()))
