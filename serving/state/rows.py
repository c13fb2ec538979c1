"""Rows: the SQL of the embedded store; every statement works on many rows in one step.

One step, because Python lets other threads run during each: a thread that asks for its rows one
by one waits for the server's own thread after every one of them.
"""

from __future__ import annotations

import base64
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from serving.state.events import Event, line, timed
from serving.state.person import EMPTY, LAST, Person, Step, reduced
from serving.state.store import COMPACT, Change

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of arrival
  event_id TEXT NOT NULL UNIQUE,
  customer_id TEXT,
  time INTEGER NOT NULL,  -- microseconds
  arrived REAL NOT NULL,
  body TEXT NOT NULL  -- the event as JSON, with its time
);
CREATE INDEX IF NOT EXISTS events_of ON events (customer_id, time) WHERE customer_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS changes (
  version INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT,  -- base64; null: removed
  by TEXT NOT NULL,
  at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_of ON changes (topic, key, version);
CREATE INDEX IF NOT EXISTS changes_after ON changes (topic, version);
CREATE TABLE IF NOT EXISTS exports (upto INTEGER PRIMARY KEY, done INTEGER NOT NULL);
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PAGE = 5_000  # rows that one statement gives

encode = msgspec.json.Encoder().encode
_steps = msgspec.json.Decoder(list[Step])

Row = tuple[str, str | None, int, float, str]


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits only what reached the disk and leaves no trace of what went."""
    database = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    return database


def prepare(database: sqlite3.Connection) -> None:
    """Make what is not there yet; `user_version` names the store."""
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        database.execute(f"PRAGMA user_version = {1 + secrets.randbelow(2**31 - 1)}")


def row(event: Event, now: float) -> Row:
    """An event as it is kept."""
    event = timed(event, now)
    assert event.event_time is not None
    time = (event.event_time - EPOCH) // MICROSECOND
    return event.event_id, event.customer_id, time, now, line(event)


def insert(database: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows, all or none; raises sqlite3.IntegrityError where an event_id is there already."""
    database.execute(
        "INSERT INTO events (event_id, customer_id, time, arrived, body)"
        " SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
        " json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]')"
        " FROM json_each(?) ORDER BY key",
        (encode(rows).decode(),),
    )


def known(database: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Those of event_ids that are there."""
    (found,) = database.execute(
        "SELECT json_group_array(event_id) FROM json_each(?) JOIN events ON event_id = value",
        (encode(list(ids)).decode(),),
    ).fetchone()
    return set(msgspec.json.decode(found, type=list[str]))


def person(database: sqlite3.Connection, customer_id: str) -> Person:
    """What the customer's last events make."""
    bodies, version = database.execute(
        "SELECT group_concat(body, ','), max(seq) FROM (SELECT body, seq FROM events"
        f" WHERE customer_id = ? ORDER BY time DESC, seq DESC LIMIT {LAST})",
        (customer_id,),
    ).fetchone()
    if bodies is None:
        return EMPTY
    steps = _steps.decode(f"[{bodies}]")
    steps.reverse()
    return reduced(steps, version)


def customers(database: sqlite3.Connection) -> Iterator[list[str]]:
    """All who have events, some thousand at a time."""
    last = ""
    while True:
        (found,) = database.execute(
            "SELECT json_group_array(customer_id) FROM (SELECT DISTINCT customer_id FROM events"
            f" WHERE customer_id > ? ORDER BY customer_id LIMIT {PAGE})",
            (last,),
        ).fetchone()
        names = msgspec.json.decode(found, type=list[str])
        if not names:
            return
        yield names
        last = names[-1]


def forget(database: sqlite3.Connection, customer_id: str) -> int:
    """Delete her events; how many."""
    gone = database.execute("DELETE FROM events WHERE customer_id = ?", (customer_id,))
    return gone.rowcount


def change(
    database: sqlite3.Connection,
    topic: str,
    entries: Iterable[tuple[str, bytes | None]],
    by: str,
    now: float,
) -> int:
    """Log a change of each key; the topic's version after it."""
    text = encode([(key, _text(value)) for key, value in entries]).decode()
    database.execute(
        "INSERT INTO changes (topic, key, value, by, at)"
        " SELECT ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]'), ?2, ?3"
        " FROM json_each(?4) ORDER BY key",
        (topic, by, now, text),
    )
    if topic in COMPACT:
        database.execute(
            "DELETE FROM changes WHERE version IN (SELECT old.version"
            " FROM (SELECT DISTINCT json_extract(value, '$[0]') AS name FROM json_each(?2)) new"
            " JOIN changes old ON old.topic = ?1 AND old.key = new.name AND old.version <"
            " (SELECT max(version) FROM changes WHERE topic = ?1 AND key = new.name))",
            (topic, text),
        )
    return version(database, topic)


def version(database: sqlite3.Connection, topic: str) -> int:
    """The number of the topic's last change."""
    query = "SELECT coalesce(max(version), 0) FROM changes WHERE topic = ?"
    found: int = database.execute(query, (topic,)).fetchone()[0]
    return found


def changes(database: sqlite3.Connection, topic: str, after: int) -> Iterator[list[Change]]:
    """The topic's changes with a greater version, some thousand at a time."""
    while True:
        (found,) = database.execute(
            "SELECT json_group_array(json_array(version, key, value, by, at)) FROM"
            " (SELECT * FROM changes WHERE topic = ? AND version > ?"
            f" ORDER BY version LIMIT {PAGE})",
            (topic, after),
        ).fetchone()
        lines: list[Any] = msgspec.json.decode(found)
        if not lines:
            return
        yield [Change(line[0], line[1], _bytes(line[2]), line[3], line[4]) for line in lines]
        after = lines[-1][0]


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
