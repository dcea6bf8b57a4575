"""The simulated exchange: a process that speaks Alpaca's REST and WebSocket protocols."""

from orchestra.simulator.server import Exchange, run

__all__ = ["Exchange", "run"]
