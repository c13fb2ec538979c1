"""Events and a time in, snapshots of the feature tables out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import build as building
from features.artifact import Missing, pointed
from features.build import NAMES, FeatureParameters, build
from features.engine import Engine
from features.schemas import TIME
from features.tables import Snapshot, Tables

Stores = Callable[[], Tables]


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of a few dozen events in several parts."""
    monkeypatch.setattr(building, "BUCKET", 24)


def stocked(shop: SimpleNamespace, tables: Tables) -> Tables:
    """A store with forty purchases and looks on ten days, one part a day."""
    shop.commit(tables, "events", [shop.table(day(shop, n)) for n in range(10)])
    return tables


def day(shop: SimpleNamespace, number: int) -> list[dict[str, Any]]:
    kinds = ("purchase", "view_item", "add_to_cart", "view_item")
    people = ("anna", "ben", "cookie:1", None)
    return [
        shop.event(
            number + hour / 4,
            event_type=kinds[hour],
            customer_id=people[(number + hour) % 4],
            product_id=("tea", "jam", "soap")[number % 3],
            unit_price=1.0 + number,
        )
        for hour in range(4)
    ]


def parts_of(rows: list[dict[str, Any]], shop: SimpleNamespace, n: int) -> list[Any]:
    """Rows in n parts by their place, so that some come late."""
    return [shop.table(rows[i::n]) for i in range(n)]


def base(snapshots: dict[str, Snapshot]) -> Any:
    return snapshots["baskets"].manifest["about"]["base"]


@given(data=st.data(), first=st.integers(4, 39), then=st.integers(1, 12))
@settings(max_examples=5, deadline=None)
def test_adding_a_day_gives_the_bytes_of_a_build_from_nothing(
    shop: SimpleNamespace,
    engine: Engine,
    stores: Stores,
    data: st.DataObject,
    first: int,
    then: int,
) -> None:
    """Events come late, links come and go, an order's lines come on two days."""
    rows = data.draw(shop.draw_events(most=60))
    links = [shop.links(data.draw(shop.draw_links)) for _ in range(2)]
    parts = parts_of(rows, shop, 3)
    before, after = shop.time(first / 4), shop.time((first + then) / 4)
    grown, fresh = stores(), stores()
    shop.commit(grown, "events", parts[:2])
    shop.commit(grown, "identities", links[:1])
    build(grown, as_of=before, engine=engine)
    for tables in (grown, fresh):
        shop.commit(tables, "events", parts)
        shop.commit(tables, "identities", links[1:])
    stepped = build(grown, as_of=after, engine=engine)
    assert shop.shas(stepped) == shop.shas(build(fresh, as_of=after, engine=engine))


def test_a_day_is_added_to_the_day_before_and_links_change_the_past(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    """The test above would pass where every build starts from nothing."""
    grown, fresh = stores(), stores()
    shop.commit(grown, "events", [shop.table(day(shop, n)) for n in range(8)])
    build(grown, as_of=shop.time(8), engine=engine)
    for tables in (grown, fresh):
        stocked(shop, tables)
        shop.commit(tables, "identities", [shop.links([("cookie:1", "anna", 8.5)])])
    stepped = build(grown, as_of=shop.time(9), engine=engine)
    assert base(stepped) == shop.time(8).isoformat()
    whole = build(fresh, as_of=shop.time(9), engine=engine)
    assert base(whole) is None
    assert shop.shas(stepped) == shop.shas(whole)
    people = stepped["customer_features"].read(["customer_id", "events"]).to_pylist()
    assert sum(row["events"] for row in people) > 20, "anna has the cookie's events"


@given(data=st.data(), quarter=st.integers(0, 40))
@settings(max_examples=5, deadline=None)
def test_yesterday_rebuilt_from_todays_store_has_yesterdays_bytes(
    shop: SimpleNamespace, engine: Engine, stores: Stores, data: st.DataObject, quarter: int
) -> None:
    rows = data.draw(shop.draw_events(most=60))
    as_of = shop.time(quarter / 4)
    links = data.draw(shop.draw_links)
    then, now = stores(), stores()
    shop.commit(now, "events", parts_of(rows, shop, 2))
    shop.commit(now, "identities", [shop.links(links)])
    known = [
        part.filter(pc.less_equal(part["event_time"], pa.scalar(as_of, TIME)))
        for part in parts_of(rows, shop, 2)
    ]
    shop.commit(then, "events", known)
    known_links = [link for link in links if link[2] is None or shop.time(link[2]) <= as_of]
    shop.commit(then, "identities", [shop.links(known_links)])
    yesterday = build(then, as_of=as_of, engine=engine)
    assert shop.shas(yesterday) == shop.shas(build(now, as_of=as_of, engine=engine))


def test_a_corrected_file_starts_anew(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    tables, fresh = stores(), stores()
    build(stocked(shop, tables), as_of=shop.time(9), engine=engine)
    corrected = [shop.table(day(shop, n)[: 4 - (n == 3)]) for n in range(10)]
    shop.commit(tables, "events", corrected)
    shop.commit(fresh, "events", corrected)
    made = build(tables, as_of=shop.time(9.5), engine=engine)
    assert base(made) is None
    assert shop.shas(made) == shop.shas(build(fresh, as_of=shop.time(9.5), engine=engine))


def test_a_repeated_build_does_nothing(
    shop: SimpleNamespace, engine: Engine, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = stocked(shop, stores())
    made = build(tables, as_of=shop.time(9), engine=engine)
    before = {path: path.stat().st_mtime_ns for path in tables.root.rglob("*")}
    monkeypatch.setattr(building, "Engine", None)
    again = build(tables, as_of=shop.time(9))
    assert {name: s.id for name, s in again.items()} == {name: s.id for name, s in made.items()}
    assert {path: path.stat().st_mtime_ns for path in tables.root.rglob("*")} == before


def test_a_look_back_leaves_the_newest_the_newest(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    tables = stocked(shop, stores())
    newest = build(tables, as_of=shop.time(9), engine=engine)
    older = build(tables, as_of=shop.time(5), current=False, engine=engine)
    for name in NAMES:
        assert pointed(tables.root / name / "current") == newest[name].id != older[name].id
    build(tables, as_of=shop.time(5), engine=engine)
    assert pointed(tables.root / "baskets" / "current") == older["baskets"].id


def test_parameters_make_other_snapshots(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    tables = stocked(shop, stores())
    names = ("interactions",)
    usual = build(tables, as_of=shop.time(9), names=names, engine=engine)
    slower = FeatureParameters(half_life_days=365)
    other = build(tables, as_of=shop.time(9), names=names, parameters=slower, engine=engine)
    assert list(other) == ["interactions"]
    assert other["interactions"].id != usual["interactions"].id
    assert other["interactions"].manifest["parameters"] == slower.model_dump()


def test_a_snapshot_says_what_it_was_made_from(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    tables = stocked(shop, stores())
    links = shop.commit(tables, "identities", [shop.links([("cookie:1", "anna", None)])])
    made = build(tables, as_of=shop.time(9), engine=engine)["interactions"]
    events = tables.need("events")
    assert made.manifest["parents"] == {"events": events.id, "identities": links.id}
    assert made.as_of == shop.time(9)
    assert made.manifest["max_time"] <= shop.time(9).isoformat()
    assert len(made.parts) > 1, "a bucket of customers a part"


def test_nothing_before_the_first_event(
    shop: SimpleNamespace, engine: Engine, stores: Stores
) -> None:
    tables = stocked(shop, stores())
    made = build(tables, as_of=shop.time(-1), engine=engine)
    assert {name: snapshot.read().num_rows for name, snapshot in made.items()} == dict.fromkeys(
        NAMES, 0
    )
    later = build(tables, as_of=shop.time(2), engine=engine)
    assert later["interactions"].rows > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": ("interaction",)}, "names must be among interactions, .*, got 'interaction'"),
        ({"as_of": "naive"}, "as_of must have a time zone, got 2025-03-01T00:00:00"),
    ],
)
def test_what_cannot_be_built_is_said(
    shop: SimpleNamespace, stores: Stores, wrong: dict[str, Any], said: str
) -> None:
    if "as_of" in wrong:
        wrong = {"as_of": shop.time(0).replace(tzinfo=None)}
    with pytest.raises(ValueError, match=said):
        build(stores(), **{"as_of": shop.time(0), **wrong})


def test_without_events_the_error_says_how_to_get_some(
    shop: SimpleNamespace, stores: Stores
) -> None:
    with pytest.raises(Missing, match=r"no events in .*: run `regulars ingest` first"):
        build(stores(), as_of=shop.time(0))


def visible(tables: Tables) -> dict[str, str | None]:
    return {name: pointed(tables.root / name / "current") for name in NAMES}


@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_an_interrupted_build_leaves_no_visible_half(
    shop: SimpleNamespace, engine: Engine, stores: Stores, data: st.DataObject
) -> None:
    """A failure at any write or commit: readers still see the build before, and a rerun works."""
    tables, whole = stocked(shop, stores()), stocked(shop, stores())
    build(tables, as_of=shop.time(7), engine=engine)
    before = visible(tables)
    where = data.draw(st.sampled_from(["adopt", "commit"]))
    left = data.draw(st.integers(0, 3 if where == "commit" else 4))

    with pytest.MonkeyPatch.context() as patch:
        real = getattr(Tables, where)

        def failing(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError("no space left on device")
            return real(*args, **kwargs)

        patch.setattr(Tables, where, failing)
        with pytest.raises(OSError, match="no space"):
            build(tables, as_of=shop.time(9), engine=engine)
    assert visible(tables) == before
    for name in NAMES:
        tables.need(name).verify()
    made = build(tables, as_of=shop.time(9), engine=engine)
    assert shop.shas(made) == shop.shas(build(whole, as_of=shop.time(9), engine=engine))


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from features.build import build
from features.tables import Tables

def killed(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Tables, sys.argv[3], killed)
build(Tables(Path(sys.argv[1])), as_of=datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.parametrize("where", ["adopt", "commit"])
def test_a_killed_build_leaves_orphans_only_and_a_rerun_succeeds(
    shop: SimpleNamespace, engine: Engine, stores: Stores, where: str
) -> None:
    tables = stocked(shop, stores())
    as_of = shop.time(9)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tables.root), as_of.isoformat(), where],
        env={**os.environ, "PYTHONPATH": str(Path(building.__file__).parents[1])},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert visible(tables) == dict.fromkeys(NAMES)
    orphans = tables.orphans()
    assert orphans
    assert all(path.parent.parent.name in NAMES for path in orphans)
    made = build(tables, as_of=as_of)
    assert {name: s.id for name, s in made.items()} == visible(tables)
    for snapshot in made.values():
        snapshot.verify()
    # What a kill left in the engine's folder is gone; parts written again are no orphans now.
    assert list((tables.root / ".spill").iterdir()) == []
    named = {Path(path) for snapshot in made.values() for path in snapshot.paths}
    assert named.isdisjoint(tables.orphans())
