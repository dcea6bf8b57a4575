"""The API in this process, as the tests of the web have it."""

from tests.web.conftest import api, exchange, locked

__all__ = ["api", "exchange", "locked"]
