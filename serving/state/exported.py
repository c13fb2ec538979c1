"""The export: events of the embedded store in, parquet files for the next training out.

What a file shall hold is decided and kept before it is written, and its name says what it holds.
So a file that is begun again after a crash is the same file, and every event is in one.
"""

from __future__ import annotations

import io
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from serving.state import rows
from serving.state.store import KEPT_SECONDS

MOST = 50_000  # events of one file
SOURCE = "server"
_WRITING = threading.Lock()

Ask = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


async def export(run: Ask, ask: Ask, folder: Path, now: float) -> list[Path]:
    """Write what no file holds yet; then remove from the store what is in a file and old.

    run: does a job in a transaction. ask: answers a question beside the server's own work.
    """
    files = []
    while (plan := await run(_plan)) is not None:
        name, after, upto = plan
        path = path_of(folder, name, after, upto)
        if await ask(partial(_file, path=path, after=after, upto=upto)):
            files.append(path)
        await run(partial(_done, upto=upto))
    while await run(partial(_prune, before=now - KEPT_SECONDS)) == rows.PAGE:
        pass
    return files


def path_of(folder: Path, store: int, after: int, upto: int) -> Path:
    """Where the events of a store from one to another go."""
    return folder / f"events-{store:08x}-{after + 1:012d}-{upto:012d}.parquet"


def numbered(seq: int, body: str) -> str:
    """An event's JSON with where it came from."""
    return f'{{"source":"{SOURCE}","source_row":{seq},{body[1:]}'


def write(lines: str, path: Path) -> None:
    """Events as lines of JSON, each with source and source_row, as a parquet file of `events`."""
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    from features.artifact import sync
    from features.schemas import EVENTS

    table = pj.read_json(
        io.BytesIO(lines.encode()),
        read_options=pj.ReadOptions(use_threads=False),
        parse_options=pj.ParseOptions(
            explicit_schema=pa.schema([field.with_nullable(True) for field in EVENTS]),
            unexpected_field_behavior="error",
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    with _WRITING:  # a thread whose caller was cancelled goes on
        pq.write_table(table.select(EVENTS.names).cast(EVENTS), beside, compression="zstd")
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        sync(path.parent)


def _plan(database: sqlite3.Connection) -> tuple[int, int, int] | None:
    """The store's name, and after which event up to which the next file goes; kept until done."""
    (name,) = database.execute("PRAGMA user_version").fetchone()
    (after,) = database.execute(
        "SELECT coalesce(max(upto), 0) FROM exports WHERE done = 1"
    ).fetchone()
    begun = database.execute("SELECT upto FROM exports WHERE done = 0").fetchone()
    if begun is not None:
        return name, after, begun[0]
    (newest,) = database.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    if newest <= after:
        return None
    upto = min(newest, after + MOST)
    database.execute("INSERT INTO exports (upto, done) VALUES (?, 0)", (upto,))
    return name, after, upto


def _file(database: sqlite3.Connection, *, path: Path, after: int, upto: int) -> bool:
    """Write the events of a plan, whether there are any left of them."""
    pages = []
    for start in range(after, upto, rows.PAGE):
        (lines,) = database.execute(
            "SELECT group_concat('{\"source\":\"' || ? || '\",\"source_row\":' || seq || ','"
            " || substr(body, 2), char(10)) FROM (SELECT seq, body FROM events"
            " WHERE seq > ? AND seq <= ? ORDER BY seq)",
            (SOURCE, start, min(start + rows.PAGE, upto)),
        ).fetchone()
        if lines is not None:
            pages.append(lines)
    if pages:
        write("\n".join(pages), path)
    return bool(pages)


def _done(database: sqlite3.Connection, upto: int) -> None:
    database.execute("UPDATE exports SET done = 1 WHERE upto = ?", (upto,))
    database.execute("DELETE FROM exports WHERE upto < ?", (upto,))


def _prune(database: sqlite3.Connection, before: float) -> int:
    """Remove a page of the oldest events, where they are in a file and arrived before; how many."""
    return database.execute(
        "DELETE FROM events WHERE arrived < ? AND seq IN (SELECT seq FROM events WHERE seq <="
        f" (SELECT max(upto) FROM exports WHERE done = 1) ORDER BY seq LIMIT {rows.PAGE})",
        (before,),
    ).rowcount
