"""Creates system.db and brings an older one up to date: ``python system_databse/create_system_db.py``."""

import secrets
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the project's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestra.base import clock, settings, sqlite
from orchestra.base.errors import AutoTraderError, LedgerDamaged, SettingsError
from system_databse import backups

ROADMAP_SCHEMA = """
CREATE TABLE algorithm_instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    display_name TEXT NOT NULL,
    algorithm_type TEXT NOT NULL,
    ticker TEXT NOT NULL,
    initial_capital REAL NOT NULL CHECK(initial_capital > 0),
    status TEXT NOT NULL DEFAULT 'running' CHECK(status IN ('running', 'stopped')),
    created_at TEXT NOT NULL,
    stopped_at TEXT
);

CREATE TABLE transactions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    algorithm_id INTEGER NOT NULL,
    type TEXT NOT NULL CHECK(type IN ('buy', 'sell')),
    shares INTEGER NOT NULL CHECK(shares > 0),
    price REAL NOT NULL CHECK(price > 0),
    timestamp TEXT NOT NULL,
    FOREIGN KEY (algorithm_id) REFERENCES algorithm_instances(id)
);

CREATE TABLE system_config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

INSERT INTO system_config (key, value) VALUES ('pin', '2020');
"""

# Beside the roadmap's three tables. Sums over transactions are answered from the covering index
# alone; an index on algorithm_id only would make them slower.
TERMINAL_SCHEMA = """
CREATE INDEX transactions_sums ON transactions(algorithm_id, type, shares, price);
CREATE INDEX transactions_history ON transactions(algorithm_id, timestamp);
CREATE INDEX transactions_time ON transactions(timestamp);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_order_id TEXT NOT NULL UNIQUE,
    algorithm_id INTEGER NOT NULL REFERENCES algorithm_instances(id),
    minute TEXT NOT NULL,
    ticker TEXT NOT NULL,
    side TEXT NOT NULL CHECK(side IN ('buy', 'sell')),
    shares INTEGER NOT NULL CHECK(shares > 0),
    state TEXT NOT NULL DEFAULT 'intended' CHECK(state IN ('intended', 'submitted', 'filled',
        'partly_filled', 'refused', 'expired', 'cancelled', 'lost')),
    reason TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    closed_at TEXT,
    transaction_id INTEGER UNIQUE REFERENCES transactions(id)
);
CREATE INDEX orders_open ON orders(state) WHERE state IN ('intended', 'submitted');
CREATE INDEX orders_time ON orders(created_at);

CREATE TABLE decisions (
    algorithm_id INTEGER NOT NULL REFERENCES algorithm_instances(id),
    minute TEXT NOT NULL,
    bar TEXT,
    action TEXT NOT NULL,
    shares INTEGER NOT NULL,
    reason TEXT NOT NULL,
    verdict TEXT NOT NULL,
    milliseconds REAL NOT NULL,
    PRIMARY KEY (algorithm_id, minute)
) WITHOUT ROWID;
CREATE INDEX decisions_minute ON decisions(minute);

CREATE TABLE card_state (
    algorithm_id INTEGER PRIMARY KEY REFERENCES algorithm_instances(id),
    state TEXT NOT NULL CHECK(state IN ('paused', 'frozen', 'stopping')),
    reason TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT,
    file TEXT
);

CREATE TABLE card_parameters (
    algorithm_id INTEGER NOT NULL REFERENCES algorithm_instances(id),
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (algorithm_id, name)
) WITHOUT ROWID;

CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    algorithm_id INTEGER NOT NULL REFERENCES algorithm_instances(id),
    transaction_id INTEGER UNIQUE REFERENCES transactions(id),
    kind TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX labels_of_card ON labels(algorithm_id, kind, timestamp);

CREATE TABLE corporate_actions (
    ticker TEXT NOT NULL,
    day TEXT NOT NULL,
    kind TEXT NOT NULL,
    new TEXT NOT NULL,
    old TEXT NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (ticker, day, kind)
) WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    kind TEXT NOT NULL,
    algorithm_id INTEGER,
    message TEXT NOT NULL
);

CREATE TABLE heartbeats (
    part TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK(status IN ('ok', 'degraded', 'down')),
    message TEXT NOT NULL,
    market_time TEXT NOT NULL,
    machine_time TEXT NOT NULL
);

CREATE TABLE access (
    id INTEGER PRIMARY KEY CHECK(id = 1),
    failures INTEGER NOT NULL,
    locked_until REAL NOT NULL
);
INSERT INTO access (id, failures, locked_until) VALUES (1, 0, 0);

CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version (version) VALUES (0);
"""

REPORT_SCHEMA = """
CREATE TABLE cycles (
    minute TEXT PRIMARY KEY,
    late_ms REAL NOT NULL,
    took_ms REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE reports (
    day TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,
    report TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX events_time ON events(timestamp);
"""

# A minute's decisions lie side by side: with the card first, each minute wrote a page for every card
DECISIONS_BY_MINUTE = """
CREATE TABLE decisions_by_minute (
    algorithm_id INTEGER NOT NULL REFERENCES algorithm_instances(id),
    minute TEXT NOT NULL,
    bar TEXT,
    action TEXT NOT NULL,
    shares INTEGER NOT NULL,
    reason TEXT NOT NULL,
    verdict TEXT NOT NULL,
    milliseconds REAL NOT NULL,
    PRIMARY KEY (minute, algorithm_id)
) WITHOUT ROWID;
INSERT INTO decisions_by_minute SELECT * FROM decisions;
DROP TABLE decisions;
ALTER TABLE decisions_by_minute RENAME TO decisions;
"""

# A decision that an order is to follow says so until its outcome is noted, whatever crashes in between
AWAITED_OUTCOMES = """
ALTER TABLE decisions ADD COLUMN awaits INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decisions_awaiting ON decisions(minute) WHERE awaits = 1;
"""

# Who tells of refusals looks for new ones every few seconds
REFUSED_ORDERS = """
CREATE INDEX orders_refused ON orders(closed_at) WHERE state = 'refused';
"""

WEAR = """
CREATE TABLE wear (
    day TEXT NOT NULL,
    part TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (day, part)
) WITHOUT ROWID;
"""

# Wrong PINs at the wall and from the network are counted apart
ACCESS_BY_PLACE = """
CREATE TABLE access_by_place (
    place TEXT PRIMARY KEY CHECK(place IN ('wall', 'network')),
    failures INTEGER NOT NULL,
    locked_until REAL NOT NULL
);
INSERT INTO access_by_place SELECT 'wall', failures, locked_until FROM access;
INSERT INTO access_by_place SELECT 'network', failures, locked_until FROM access;
DROP TABLE access;
ALTER TABLE access_by_place RENAME TO access;
"""

MIGRATIONS: tuple[str, ...] = (
    ROADMAP_SCHEMA + TERMINAL_SCHEMA,
    REPORT_SCHEMA,
    DECISIONS_BY_MINUTE,
    AWAITED_OUTCOMES,
    REFUSED_ORDERS,
    WEAR,
    ACCESS_BY_PLACE,
)


def create_database(path: Path | None = None) -> Path:
    """Create system.db, or bring it to the newest schema; what is in it stays. Returns its path.

    Each migration is one transaction, begun with a backup of what there was. Raises SettingsError for
    a database from a newer version and where it cannot be backed up, LedgerDamaged for no database.
    """
    path = path or settings.current().system_db_path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():  # what a lost one has left must not be taken for the new one's
        sqlite.move_aside(path, f"{clock.machine_now():%Y%m%dT%H%M%SZ}", "lost")
    try:
        _bring_up_to_date(path)
    except sqlite3.DatabaseError as error:
        if sqlite.is_damaged(error):
            raise damaged(path) from error
        raise
    sqlite.close_to_others(path)
    return path


def damaged(path: Path | None = None) -> LedgerDamaged:
    """Build the error of a ledger that does not hang together."""
    return LedgerDamaged(
        f"The ledger {path or settings.current().system_db_path} is damaged: stop the terminal and run"
        " python -m orchestra restore."
    )


def _bring_up_to_date(path: Path) -> None:
    with closing(sqlite.connect(path)) as connection:
        found = _version(connection)
        for number in range(found, len(MIGRATIONS)):
            _migrate(connection, number, path if found else None)
        if _version(connection) > len(MIGRATIONS):
            raise SettingsError(
                f"{path} was written by a newer version (schema {_version(connection)}, this one"
                f" knows {len(MIGRATIONS)}): update the program, or name another SYSTEM_DB."
            )


def _version(connection: sqlite3.Connection) -> int:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'")
    if exists.fetchone() is None:
        return 0
    return int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, number: int, backed_up: Path | None) -> None:
    with sqlite.transaction(connection):
        if _version(connection) != number:  # another process was faster
            return
        if backed_up is not None:  # as it is for everybody else until this transaction ends
            backups.take(backed_up, f"-before-schema-{number + 1}")
        for statement in MIGRATIONS[number].split(";"):
            if statement.strip():
                connection.execute(statement)
        if number == 0:
            # Tells this ledger's orders from any other's in the same broker account
            connection.execute(
                "INSERT INTO system_config (key, value) VALUES ('ledger', ?)",
                (secrets.token_hex(4),),
            )
        connection.execute("UPDATE schema_version SET version = ?", (number + 1,))


if __name__ == "__main__":
    try:
        print(f"{create_database()} is ready.")
    except (AutoTraderError, OSError, sqlite3.OperationalError) as error:
        sys.exit(f"system.db could not be created: {error}")
