"""Stored bars as a pandas DataFrame. Imported only where one is asked for: pandas is slow to load."""

from collections.abc import Iterator
from itertools import islice

import numpy
import pandas

from database.bars import Row

COLUMNS = ("open", "high", "low", "close", "volume")
CHUNK = 256  # rows turned into arrays at a time, while they are still in the processor's cache


def frame(rows: Iterator[Row]) -> pandas.DataFrame:
    """Build a frame of open, high, low, close, volume by UTC timestamp from rows in order."""
    stamps: list[str] = []
    parts = [numpy.empty((len(COLUMNS), 0))]
    while chunk := list(islice(rows, CHUNK)):
        timestamps, *figures = zip(*chunk, strict=True)
        stamps.append("".join(timestamps))
        parts.append(numpy.array(figures, dtype=numpy.float64))
    # As bytes without their Z, numpy parses stamps a hundred times as fast as pandas
    texts = numpy.frombuffer("".join(stamps).encode(), dtype="S20").astype("S19")
    index = pandas.DatetimeIndex(texts.astype("datetime64[s]"), name="timestamp")
    values = numpy.concatenate(parts, axis=1)
    columns = dict(zip(COLUMNS, values, strict=True))
    return pandas.DataFrame(columns, index=index.tz_localize("UTC"), copy=False)
