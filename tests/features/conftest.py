"""A tiny shop for the feature tables: draws of its events and links, and stores that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from features.artifact import digest
from features.engine import Engine
from features.schemas import EVENT_TYPES, EVENTS, IDENTITIES
from features.tables import Snapshot, Tables

START = datetime(2025, 3, 1, tzinfo=UTC)
CUSTOMERS = (None, "anna", "ben", "carl", "dora", "cookie:1", "cookie:2", "card:7")
DEFAULT = {
    "event_type": "view_item",
    "channel": "web",
    "customer_id": "anna",
    "product_id": "tea",
    "quantity": None,
    "unit_price": None,
    "order_id": None,
    "session_id": None,
    "store_id": None,
    "live_session_id": None,
    "request_id": None,
    "source": "a draw",
    "source_row": 1,
}


def time(day: float) -> datetime:
    """A time by days since the shop opened."""
    return START + timedelta(days=day)


def event(day: float, id: str | None = None, **columns: Any) -> dict[str, Any]:
    """One event; by default anna looks at tea."""
    row = {**DEFAULT, **columns, "event_time": time(day)}
    return {"event_id": id or digest(row), **row}


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EVENTS)


def _links(rows: Sequence[tuple[str, str, float | None]]) -> pa.Table:
    named = [
        {
            "kind": one.split(":")[0],
            "value": one.split(":")[1],
            "customer_id": other,
            "linked_at": None if day is None else time(day),
        }
        for one, other, day in rows
    ]
    return pa.Table.from_pylist(named, schema=IDENTITIES)


def _commit(tables: Tables, table: str, parts: Sequence[pa.Table]) -> Snapshot:
    """Make these parts the newest snapshot of a table; equal parts are the same file."""
    made = []
    for rows in parts:
        path = tables.beside(table)
        pa.parquet.write_table(rows, path)
        column = {"events": "event_time", "identities": "linked_at"}[table]
        made.append(tables.adopt(table, path, time=column))
    return tables.commit(table, digest([part.sha256 for part in made]), made)


@st.composite
def _events(draw: st.DrawFn, most: int = 40) -> list[dict[str, Any]]:
    """Events on few customers, products, orders and hours, so that they meet and tie."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "day": st.integers(0, 40).map(lambda quarter: quarter / 4),
                    "event_type": st.sampled_from(("purchase", *EVENT_TYPES)),
                    "channel": st.sampled_from(["web", "store", "app"]),
                    "customer_id": st.sampled_from(CUSTOMERS),
                    "product_id": st.sampled_from(["tea", "jam", "soap", None]),
                    "quantity": st.sampled_from([None, 1.0, 2.0, 0.5]),
                    "unit_price": st.sampled_from([None, 1.25, 10.0, 3.3333, 0.0]),
                    "order_id": st.sampled_from([None, "o1", "o2", "o3", "o4"]),
                    "store_id": st.sampled_from([None, "s1", "s2"]),
                }
            ),
            max_size=most,
        )
    )
    return [event(id=f"e{number}", **row) for number, row in enumerate(rows)]


_LINKS = st.lists(
    st.tuples(
        st.sampled_from([name for name in CUSTOMERS if name and ":" in name]),
        st.sampled_from([name for name in CUSTOMERS if name]),
        st.one_of(st.none(), st.integers(0, 10).map(float)),
    ),
    max_size=4,
)


def _shas(snapshots: dict[str, Snapshot]) -> dict[str, list[str]]:
    return {name: [part.sha256 for part in s.parts] for name, s in snapshots.items()}


@pytest.fixture(scope="session")
def shop() -> SimpleNamespace:
    """Draws and makers of the tiny shop."""
    return SimpleNamespace(
        event=event,
        time=time,
        table=_table,
        links=_links,
        commit=_commit,
        draw_events=_events,
        draw_links=_LINKS,
        shas=_shas,
    )


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all tests of a run: making one costs a moment."""
    with Engine(tmp_path_factory.mktemp("spill"), memory_limit="500MB") as engine:
        yield engine


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A maker of empty stores, for tests that need many."""

    def new() -> Tables:
        return Tables(Path(tmp_path_factory.mktemp("tables")))

    return new
