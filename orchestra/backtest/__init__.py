"""Backtests: an algorithm's unmodified file over the past, minute by minute, as the wall would ask it."""
