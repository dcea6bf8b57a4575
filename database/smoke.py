"""Create stocks.db and print what is in it: ``python database/smoke.py``. Safe to run again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from database import db_manager, schema
from orchestra.base import settings
from orchestra.base.errors import AutoTraderError


def describe() -> list[str]:
    """Say what stocks.db holds, line by line."""
    connection = schema.stocks()
    path = settings.current().stocks_db_path
    days, first, last = connection.execute(
        "SELECT count(*), min(day), max(day) FROM sessions"
    ).fetchone()
    minutes = connection.execute("SELECT count(*) FROM minutes").fetchone()[0]
    lines = [
        f"Database: {path}, {path.stat().st_size / 1e6:.1f} MB",
        f"Source of its bars: {db_manager.recorded_source() or 'none yet'}",
        f"Calendar: {days:,} sessions from {first} to {last}, {minutes:,} minutes",
    ]
    tickers = connection.execute("SELECT ticker FROM tickers ORDER BY ticker").fetchall()
    lines.append(f"Tickers: {len(tickers)}")
    for (ticker,) in tickers:
        bars, begin, end = connection.execute(
            "SELECT count(*), min(timestamp), max(timestamp) FROM bars WHERE ticker = ?", (ticker,)
        ).fetchone()
        answered = connection.execute(
            "SELECT count(*), min(first), max(last) FROM coverage WHERE ticker = ?", (ticker,)
        ).fetchone()
        held = f"{bars:,} bars from {begin} to {end}" if bars else "no bars"
        known = "nothing asked for"
        if answered[0]:
            known = f"answered for {answered[1]} to {answered[2]} in {answered[0]} ranges"
        lines.append(f"  {ticker}: {held}; {known}")
    return lines


def main() -> int:
    """Create, fill and describe the database; 1 with one sentence when it cannot be used."""
    try:
        db_manager.initialize_database()
        print("\n".join(describe()))
    except AutoTraderError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
