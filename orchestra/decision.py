"""From an algorithm's answer to what may be sent: parse it, then hold it against the card's own means.

Pure functions: facts in, decision out.
"""

import math
import re
from dataclasses import dataclass

from orchestra.base.errors import AlgorithmFailed, BadInput
from system_databse.system_db_manager import whole_shares

REASON_KEPT = 200  # characters
ACTIONS = ("buy", "sell", "hold")
FLOAT_NOISE = 1e-6  # dollars; sums of cents in floats are off by less
NUMBER = re.compile(r"\d[\d.,]*")
STALE_AFTER = 3  # open minutes of which nothing is known: older data is not traded on


@dataclass(frozen=True)
class Decision:
    """What an algorithm answered; ``shares`` is 0 for hold."""

    action: str
    shares: int
    reason: str = ""


@dataclass(frozen=True)
class Means:
    """What a card can trade with: its own cash in dollars, its shares, the last price.

    ``unknown_minutes`` is how many open minutes before now nobody has answered for.
    """

    cash: float
    shares: int
    price: float | None
    cushion_bps: float = 0.0
    unknown_minutes: int = 0

    @property
    def cost(self) -> float | None:
        """What a share may cost: its price and the cushion, in dollars."""
        return None if self.price is None else self.price * (1 + self.cushion_bps / 10_000)


@dataclass(frozen=True)
class Checked:
    """How many shares may be sent (0: none), and the sentence for the record."""

    shares: int
    reason: str = ""


def parse(answer: object, own_reason: object = "") -> Decision:
    """Read ``(action, shares)`` or ``(action, shares, reason)``. Raises AlgorithmFailed.

    ``own_reason`` is what the algorithm said otherwise; the tuple's reason goes before it.
    """
    if not isinstance(answer, tuple) or len(answer) not in (2, 3):
        raise AlgorithmFailed(
            f"Expected ('buy', shares), ('sell', shares) or ('hold', 0), was {answer!r}"
        )
    action, shares = answer[0], answer[1]
    given = answer[2] if len(answer) == 3 else own_reason
    reason = legible(str(given)[:REASON_KEPT]) if given else ""
    if action not in ACTIONS:
        raise AlgorithmFailed(f"Expected the action buy, sell or hold, was {action!r}")
    action = ACTIONS[ACTIONS.index(action)]  # ours, not an Enum of the algorithm's that equals it
    if action == "hold":
        return Decision("hold", 0, reason)
    try:
        return Decision(action, whole_shares(shares), reason)
    except BadInput as error:
        raise AlgorithmFailed(str(error)) from None


def legible(text: str) -> str:
    """A guest's text as one that can be stored: half a surrogate pair, as JSON may hold, cannot."""
    return text.encode("utf-8", "replace").decode()


def kind_of(sentence: str) -> str:
    """A sentence without its figures: those that are alike but for them are counted together."""
    return NUMBER.sub("#", sentence)


def check(decision: Decision, means: Means) -> Checked:
    """Hold a decision against the card's own cash and shares; say how many shares may be sent."""
    if decision.action == "hold":
        return Checked(0)
    if means.unknown_minutes > STALE_AFTER:
        return Checked(0, f"refused: nothing is known of the last {means.unknown_minutes} minutes")
    if decision.action == "sell":
        if decision.shares > means.shares:
            return Checked(0, f"refused: asked to sell {decision.shares}, holds {means.shares}")
        return Checked(decision.shares)
    return _check_buy(decision.shares, means)


def below_zero(cash: float) -> str:
    """Say what follows from a fill that was worse than the price it was checked at, and the cushion."""
    return f"cash is {cash:.2f}: nothing is bought until it is whole again"


def _check_buy(shares: int, means: Means) -> Checked:
    if means.price is None or means.cost is None:
        return Checked(0, "refused: no price yet")
    if means.cash < -FLOAT_NOISE:
        return Checked(0, f"refused: {below_zero(means.cash)}")
    if shares * means.price > means.cash + FLOAT_NOISE:
        return Checked(
            0, f"refused: {shares} cost {shares * means.price:.2f}, cash is {means.cash:.2f}"
        )
    fitting = min(shares, math.floor((means.cash + FLOAT_NOISE) / means.cost))
    if fitting == shares:
        return Checked(shares)
    return Checked(fitting, f"asked {shares}, sent {fitting}: cushion")
