"""Stored bars as a pandas DataFrame. Imported only where one is asked for: pandas is slow to load."""

from collections.abc import Sequence

import numpy
import pandas

from database.bars import Row

COLUMNS = ("open", "high", "low", "close", "volume")


def frame(rows: Sequence[Row]) -> pandas.DataFrame:
    """Build a frame of open, high, low, close, volume by UTC timestamp from rows in order."""
    stamps, *figures = zip(*rows, strict=True) if rows else ((), (), (), (), (), ())
    # As bytes without their Z, numpy parses stamps a hundred times as fast as pandas
    moments = numpy.array(stamps, dtype="S19").astype("U19").astype("datetime64[s]")
    index = pandas.DatetimeIndex(moments, name="timestamp").tz_localize("UTC")
    columns = {
        name: numpy.array(values, dtype=numpy.float64)
        for name, values in zip(COLUMNS, figures, strict=True)
    }
    return pandas.DataFrame(columns, index=index, copy=False)
