"""The owner at the wall: adds, stops, sells and re-funds cards with the PIN, and a browser that looks on."""

import threading
from collections import Counter
from queue import Empty, Queue
from random import Random
from typing import Any

import requests

from orchestra.base import clock
from tests.processes import Terminal
from tests.soak.form import CAPITAL, CARDS, SPLIT_TICKER, TICKERS
from tests.soak.journal import Journal

ATTEMPTS = 12
RETRY_SECONDS = 1.0
LOOK_SECONDS = 2.0
STYLES: tuple[tuple[str, dict[str, float]], ...] = (  # shelf algorithms, set to trade a lot
    ("sma_crossover", {"short": 2, "long": 5}),
    ("rsi_reversion", {"period": 4, "low": 45, "high": 55}),
    ("breakout_channel", {"entry": 3, "exit": 3}),
    ("lot_by_lot", {"lots": 4, "step": 0.03, "gain": 0.03}),
    ("sma_crossover", {"short": 3, "long": 9}),
)
HOLDER: tuple[str, dict[str, float]] = ("buy_and_hold", {})  # on the ticker that splits
Card = dict[str, Any]


class Refused(Exception):
    """The terminal said no for good: what was wished for makes no sense any more."""


class Owner:
    """Carries out wishes one after the other, in a thread of its own, as a patient person would."""

    def __init__(self, terminal: Terminal, journal: Journal, seed: int) -> None:
        self._terminal = terminal
        self._journal = journal
        self._rng = Random(f"owner {seed}")
        self._wishes: Queue[str] = Queue()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="owner", daemon=True)
        self._added = 0

    def begin(self) -> None:
        """Add the first cards, before the market opens."""
        for _ in range(CARDS):
            self._try("add")
        self._thread.start()

    def wish(self, what: str) -> None:
        self._wishes.put(what)

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self.stopping.is_set():
            try:
                wish = self._wishes.get(timeout=0.2)
            except Empty:
                continue
            self._try(wish)

    def _try(self, wish: str) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                done = getattr(self, f"_{wish}")(self._terminal.token())
                self._journal.note("owner", wish=wish, done=done, attempts=attempt)
                return
            except Refused as error:
                self._journal.note("owner", wish=wish, done=f"refused: {error}", attempts=attempt)
                return
            except (requests.RequestException, AssertionError, LookupError) as error:
                if not clock.pause(RETRY_SECONDS, self.stopping):
                    return
                last = str(error).splitlines()[0][:200] if str(error) else repr(error)
        self._journal.note("owner", wish=wish, done=f"given up: {last}", attempts=ATTEMPTS)

    def _add(self, token: str) -> str:
        ticker = TICKERS[self._added % len(TICKERS)]
        algorithm, parameters = STYLES[self._added % len(STYLES)]
        if self._added == TICKERS.index(SPLIT_TICKER):  # so that the split meets shares
            algorithm, parameters = HOLDER
        body = {
            "ticker": ticker,
            "algorithm_type": algorithm,
            "initial_capital": CAPITAL,
            "parameters": parameters,
        }
        card = self._call("POST", "/api/algorithms", token, body, (201,))
        self._added += 1
        return f"added {card['display_name']}"

    def _swap(self, token: str) -> str:
        """Stop and sell one card; a new one takes its place once that is sold."""
        cards = self._terminal.cards("running")
        if len(cards) >= CARDS:
            card = self._one_of(cards)
            self._call("DELETE", f"/api/algorithms/{card['id']}?liquidate=true", token)
        return self._add(token)

    def _keep(self, token: str) -> str:
        """Stop a card and keep its shares."""
        card = self._one_of(self._terminal.cards("running"))
        self._call("DELETE", f"/api/algorithms/{card['id']}?liquidate=false", token)
        return f"kept {card['display_name']}"

    def _one_of(self, cards: list[Card]) -> Card:
        """A card to be stopped: any but the one that holds through the split."""
        return self._rng.choice([card for card in cards if card["algorithm_type"] != HOLDER[0]])

    def _sell_kept(self, token: str) -> str:
        """Sell what stopped cards still hold, and fill the wall up again."""
        kept = [card for card in self._terminal.cards("stopped") if card["current_shares"] > 0]
        for card in kept:
            if card["state"] != "stopping":
                self._call("DELETE", f"/api/algorithms/{card['id']}?liquidate=true", token)
        return f"sold {len(kept)} kept cards"

    def _fill(self, token: str) -> str:
        """Add cards until there are as many as there should be."""
        done = "nothing to add"
        while len(self._terminal.cards("running")) < CARDS:
            done = self._add(token)
        return done

    def _fund(self, token: str) -> str:
        card = self._rng.choice(self._terminal.cards("running"))
        if card["initial_capital"] > CAPITAL:
            capital = CAPITAL + (card["initial_capital"] - CAPITAL) // 2
        else:
            capital = CAPITAL + self._rng.randint(100, 900)
        body = {"initial_capital": capital}
        path = f"/api/algorithms/{card['id']}"
        status, answer = self._ask("PATCH", path, token, body)
        if status == 409 and answer["code"] in ("not_enough_free_cash", "not_enough_cash"):
            raise Refused(answer["code"])
        if status != 200:
            raise LookupError(f"{status}: {answer}")
        return f"{card['display_name']}: {card['initial_capital']:.0f} -> {capital:.0f}"

    def _resume(self, token: str) -> str:
        """Let paused cards go on."""
        paused = [card for card in self._terminal.cards("running") if card["state"] == "paused"]
        for card in paused:
            self._ask("POST", f"/api/algorithms/{card['id']}/resume", token, {})
        names = ", ".join(f"{card['display_name']} ({card['state_reason']})" for card in paused)
        return f"resumed {names}" if paused else "nobody is paused"

    def _call(
        self,
        method: str,
        path: str,
        token: str,
        body: object = None,
        good: tuple[int, ...] = (200,),
    ) -> Card:
        status, answer = self._ask(method, path, token, body)
        if status not in good:
            raise LookupError(f"{status}: {answer}")
        return answer

    def _ask(self, method: str, path: str, token: str, body: object) -> tuple[int, Card]:
        response = self._terminal.call(method, path, body, token)
        return response.status_code, response.json()


class Wall:
    """A page that asks for its cards every two seconds, and counts what it was answered."""

    def __init__(self, terminal: Terminal, journal: Journal) -> None:
        self._terminal = terminal
        self._journal = journal
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="wall", daemon=True)
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0  # seconds, of answers that came

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def _look_on(self) -> None:
        while clock.pause(LOOK_SECONDS, self.stopping):
            for path in ("/api/algorithms", "/api/health"):
                began = clock.elapsed()
                try:
                    answer = self._terminal.call("GET", path)
                    self.slowest = max(self.slowest, clock.elapsed() - began)
                    status = str(answer.status_code)
                    if answer.status_code != 200:
                        self._journal.note("refused", status=status, code=answer.json()["code"])
                except (requests.RequestException, ValueError, LookupError):
                    status = "no answer"
                self.answers[status] += 1
