"""AutoTrader: pluggable algorithms, traded every open minute, shown on a wall."""

__version__ = "0.1.0"
