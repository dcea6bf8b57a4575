"""Errors, each named for what its caller does next.

AutoTraderError
├── SettingsError         stop, and tell the owner which setting to mend
├── BadInput              refuse this call; nothing was changed
├── NotFound              refuse this call; there is no such thing
├── AlreadyRunning        stop; another process holds the place
├── ForeignContents       stop; the database belongs to another source or account
├── LedgerDamaged         stop; restore a backup of system.db
├── LedgerGone            stop; system.db was taken away, or another put in its place
├── StorageBlocked        wait; the same call works again later
│   ├── StorageFull       free some space
│   └── StorageLocked     close the program that holds the database
├── ExchangeUnavailable   try again in the next cycle
├── OrderRefused          note the broker's reason and go on
├── OrderUnsettled        ask the broker by client_order_id before anything else
├── PartlyFilled          record the part
└── AlgorithmFailed       skip this algorithm in this minute
"""


class AutoTraderError(Exception):
    """Base of every error raised on purpose here."""


class SettingsError(AutoTraderError):
    """A setting is missing or wrong: stop and say which one."""


class BadInput(AutoTraderError, ValueError):
    """What was asked for makes no sense: refuse it; nothing was changed."""


class NotFound(BadInput, LookupError):
    """What was asked for does not exist."""


class AlreadyRunning(AutoTraderError):
    """Another process holds the place: stop."""


class ForeignContents(AutoTraderError):
    """A database belongs to another data source or broker account: stop."""


class LedgerDamaged(AutoTraderError):
    """system.db does not hang together: stop, and restore a backup."""


class LedgerGone(AutoTraderError):
    """system.db was taken away while in use, or another put in its place: trade no more, stop."""


class StorageBlocked(AutoTraderError, OSError):
    """Nothing can be stored at the moment: nothing was changed; ``why`` says it in a few words."""

    why = ""


class StorageFull(StorageBlocked):
    """The disk has no room for what was to be written."""

    why = "the disk was full"


class StorageLocked(StorageBlocked):
    """Another program has held a database's write lock for longer than is waited for."""

    why = "another program held the database locked"


class ExchangeUnavailable(AutoTraderError):
    """The exchange did not answer, or not usably: try again in the next cycle."""


class OrderRefused(AutoTraderError):
    """The broker refused the order: note the reason and go on."""


class OrderUnsettled(AutoTraderError):
    """It is not known what became of an order: reconcile before anything else."""

    def __init__(self, client_order_id: str, cause: object) -> None:
        super().__init__(f"The outcome of order {client_order_id} is not known: {cause}")
        self.client_order_id = client_order_id


class PartlyFilled(AutoTraderError):
    """An order ended with fewer shares than asked for: record the part."""

    def __init__(self, shares: int, asked: int, price: float) -> None:
        super().__init__(f"Expected {asked} shares, filled {shares} at {price}")
        self.shares = shares
        self.asked = asked
        self.price = price


class AlgorithmFailed(AutoTraderError):
    """An algorithm raised, hung or answered nonsense: skip it in this minute."""
