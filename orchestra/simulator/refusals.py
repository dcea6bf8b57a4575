"""The answers other than 2xx, with Alpaca's statuses, codes and wording."""

from typing import Any

from orchestra.base.errors import AutoTraderError

BAD_REQUEST = 40010001
FORBIDDEN = 40310000
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
TOO_MANY = 42910000


class Refusal(AutoTraderError):
    """A request is refused: the HTTP status, and a body of code, message and what explains it."""

    def __init__(self, status: int, code: int | None, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {**details, "message": message}
        if code is not None:
            self.body = {"code": code, **self.body}


def invalid(message: str, code: int = UNPROCESSABLE) -> Refusal:
    """A parameter that makes no sense."""
    return Refusal(422, code, message)


def forbidden(message: str, **details: str) -> Refusal:
    """An order that the account may not place now."""
    return Refusal(403, FORBIDDEN, message, **details)


def not_found(message: str) -> Refusal:
    """Something that does not exist."""
    return Refusal(404, NOT_FOUND, message)
