"""Stored bars as a pandas DataFrame. Imported only where one is asked for: pandas is slow to load."""

import pandas

from database.arrays import COLUMNS, BarArrays


def frame(found: BarArrays) -> pandas.DataFrame:
    """A frame of open, high, low, close, volume by UTC timestamp."""
    index = pandas.DatetimeIndex(found.minutes, name="timestamp").tz_localize("UTC")
    columns = {name: getattr(found, name) for name in COLUMNS}
    return pandas.DataFrame(columns, index=index, copy=False)
