"""Rules on a shelf that fits on the screen: eight products, even ones toys, odd ones books."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from features.schemas import PRODUCTS
from serving.catalogue import catalogue
from serving.problems import Refused
from serving.rules import board as boards
from serving.rules.board import Board
from serving.rules.rule import MOST_RULES, MOST_SHARES, Rule
from serving.state import Change, Embedded, StoreError

SCHEMA = pa.schema([*PRODUCTS, pa.field("available", pa.bool_(), nullable=False)])
IDS = [f"p{j}" for j in range(8)]
DAY = 86_400.0
BEGIN = 1_772_323_200.0  # 2026-03-01T00:00:00Z


def shelf(id: str = "one") -> Any:
    """p0 … p7; p6 was not available when the bundle was published."""
    rows = [
        {
            "product_id": id,
            "category": ["Toys", "Books"][j % 2],
            "price": float(j),
            "available": j != 6,
        }
        for j, id in enumerate(IDS)
    ]
    products = catalogue(pa.Table.from_pylist(rows, SCHEMA))
    return SimpleNamespace(
        bundle=SimpleNamespace(id=id),
        catalogue=products,
        product_ids=IDS,
        code=lambda product: IDS.index(product) if product in IDS else -1,
    )


def rule(kind: str, **said: Any) -> Rule:
    return msgspec.convert({"kind": kind} | said, Rule)


class Log:
    """A store's change log in memory, which other servers may share; `gone` is a store that is."""

    def __init__(self) -> None:
        self.written: list[Change] = []
        self.gone = False

    async def change(self, topic: str, entries: Any, *, by: str, now: float) -> int:
        self._check()
        for key, value in entries:
            self.written.append(Change(len(self.written) + 1, key, value, by, now))
        return len(self.written)

    async def changes(self, topic: str, after: int) -> list[Change]:
        self._check()
        return [change for change in self.written if change.version > after]

    def _check(self) -> None:
        if self.gone:
            raise StoreError("it is gone")


def board(**rules: Rule) -> Board:
    return Board(Log()).drafted(rules)  # type: ignore[arg-type]


def hidden(board: Board, surface: str = "home", now: float = 0.0, on: Any = None) -> list[str]:
    """What is blocked."""
    blocked = board.compiled(on or shelf(), surface, now).blocked
    return [] if blocked is None else [IDS[code] for code in np.flatnonzero(blocked)]


def said(board: Board, now: float = 0.0) -> dict[str, list[str]]:
    return {
        id: [one.code for one in some]
        for id, some in board.warnings(shelf(), now=now).items()
        if some
    }


def test_without_rules_nothing_is_wanted() -> None:
    wanted = board().compiled(shelf(), "home", 0.0)
    assert (wanted.blocked, wanted.boost, wanted.pins, wanted.shares) == (None, None, (), ())


def test_each_kind_says_what_it_wants_of_which_products() -> None:
    wanted = board(
        a=rule("block", where=["category=Toys", "price>=4"]),
        b=rule("boost", where=["category=Books"], factor=2),
        c=rule("boost", products=["p1", "p2"], factor=0.25),
        d=rule("pin", products=["p7"], place=3),
        e=rule("share", products=["p3", "p5"], share=0.2),
    ).compiled(shelf(), "home", 0.0)
    assert wanted.blocked is not None
    assert wanted.boost is not None
    assert np.flatnonzero(wanted.blocked).tolist() == [4, 6]  # p6 may be in stock again
    assert wanted.boost.tolist() == [1, 0.5, 0.25, 2, 1, 2, 1, 2]
    assert wanted.boost.dtype == np.float32
    assert wanted.pins == ((2, 7),)
    ((share, mask),) = wanted.shares
    assert (share, np.flatnonzero(mask).tolist()) == (0.2, [3, 5])


def test_rules_count_in_the_order_of_their_ids() -> None:
    wanted = board(
        b=rule("pin", products=["p1"], place=1),
        a=rule("pin", products=["p2"], place=1),
        z=rule("share", products=["p1"], share=0.1),
        y=rule("share", products=["p2"], share=0.9),
    ).compiled(shelf(), "home", 0.0)
    assert wanted.pins == ((0, 2), (0, 1))
    assert [share for share, _ in wanted.shares] == [0.9, 0.1]


def test_a_rule_holds_on_its_surfaces_alone() -> None:
    some = board(
        a=rule("block", products=["p1"], surfaces=["home", "cart"]),
        b=rule("block", products=["p2"]),
    )
    assert hidden(some, "home") == ["p1", "p2"]
    assert hidden(some, "live") == ["p2"]


def test_dates_begin_and_end_a_rule_and_between_them_the_same_object_is_given() -> None:
    on = shelf()
    some = board(
        a=rule("block", products=["p1"], start="2026-03-01T00:00:00Z", end="2026-03-02T00:00:00Z")
    )
    for at, right in ((-1.0, []), (0.0, ["p1"]), (DAY - 1, ["p1"]), (DAY, []), (0.5, ["p1"])):
        assert hidden(some, now=BEGIN + at, on=on) == right, at
    first = some.compiled(on, "home", BEGIN)
    assert some.compiled(on, "home", BEGIN + DAY - 1) is first
    assert some.compiled(on, "a_surface_no_rule_names", BEGIN) is first
    assert some.compiled(on, "home", BEGIN + DAY) is not first


def test_a_filter_is_asked_once_a_shelf_and_only_a_few_shelves_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    touched = boards.touched
    monkeypatch.setattr(
        boards, "touched", lambda on, rule: (asked.append(on.bundle.id), touched(on, rule))[1]
    )
    some = board(a=rule("block", where=["price<=1"], surfaces=["home"]))
    one = shelf("one")
    some.found(one)
    assert hidden(some, "home", on=one) == ["p0", "p1"]
    assert hidden(some, "cart", on=one) == []
    assert asked == ["one"]
    for id in ("two", "three", "four", "one"):
        hidden(some, "home", on=shelf(id))
    assert asked == ["one", "two", "three", "four", "one"]
    assert {bundle for bundle, _ in some._compiled} == {"three", "four", "one"}


def test_a_rule_that_the_shelf_cannot_answer_is_skipped_counted_and_said() -> None:
    on = shelf()

    def allowed(*filters: object) -> None:
        raise KeyError("launched_at")

    some = board(
        a=rule("block", where=["launched_at>=2026-01-01"]), b=rule("block", products=["p1"])
    )
    whole = some.troubles
    on.catalogue = SimpleNamespace(allowed=allowed)
    assert hidden(some, on=on) == ["p1"]
    assert (whole, some.troubles) == (0, 1)
    (warned,) = some.warnings(on, now=0.0)["a"]
    assert warned.code == "skipped"
    assert "launched_at" in warned.detail


def test_a_stored_rule_that_cannot_be_read_is_skipped_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()
    some = Board(log)  # type: ignore[arg-type]

    async def scenario() -> None:
        await log.change("rules", [("a", b'{"kind":"explode"}')], by="", now=0.0)
        await some.put("b", rule("block", products=["p1"]), by="k", now=1.0)
        with caplog.at_level(logging.CRITICAL):
            assert hidden(some) == ["p1"]
        assert (list(some.broken), some.troubles) == (["a"], 1)
        assert "explode" in some.broken["a"]
        await some.put("a", rule("block", products=["p2"]), by="k", now=2.0)
        assert (some.broken, some.troubles, hidden(some)) == ({}, 0, ["p1", "p2"])

    asyncio.run(scenario())


def test_contradictions_are_said_of_both_sides() -> None:
    some = board(
        block=rule("block", where=["category=Books"], surfaces=["home"]),
        first=rule("pin", products=["p1"], place=1),
        second=rule("pin", products=["p2"], place=1, surfaces=["cart"]),
        other=rule("pin", products=["p4"], place=2),
        nothing=rule("boost", where=["price>=100"], factor=2),
        partly=rule("block", products=["p0", "p99"]),
    )
    assert said(some) == {
        "block": ["pin_blocked"],
        "first": ["same_place", "pin_blocked"],
        "second": ["same_place"],
        "nothing": ["no_products"],
        "partly": ["unknown_products"],
    }


def test_rules_that_never_meet_do_not_contradict() -> None:
    march, april = {"end": "2026-04-01T00:00:00Z"}, {"start": "2026-04-01T00:00:00Z"}
    some = board(
        a=rule("pin", products=["p1"], place=1, surfaces=["home"]),
        b=rule("pin", products=["p2"], place=1, surfaces=["cart"]),
        c=rule("pin", products=["p3"], place=2, **march),
        d=rule("pin", products=["p4"], place=2, **april),
        e=rule("share", where=["category=Toys"], share=0.8, **march),
        f=rule("share", where=["category=Books"], share=0.8, **april),
        g=rule("block", products=["p3"], **april),
    )
    assert said(some) == {}
    assert said(some, now=BEGIN + 40 * DAY) == {"c": ["over"], "e": ["over"]}


def test_rules_that_are_over_contradict_no_more() -> None:
    ended = {"end": "2026-04-01T00:00:00Z"}
    some = board(
        a=rule("pin", products=["p1"], place=1, **ended),
        b=rule("pin", products=["p2"], place=1, **ended),
        c=rule("block", products=["p1"], **ended),
        d=rule("share", where=["category=Toys"], share=0.8, **ended),
        e=rule("share", where=["category=Books"], share=0.8, **ended),
    )
    assert said(some, now=BEGIN)["a"] == ["same_place", "pin_blocked"]
    assert said(some, now=BEGIN + 40 * DAY) == {id: ["over"] for id in "abcde"}


def test_shares_that_contradict_on_two_surfaces_are_told_once() -> None:
    both = {"share": 0.7, "surfaces": ["home", "cart"]}
    some = board(
        a=rule("share", where=["category=Toys"], **both),
        b=rule("share", where=["category=Books"], **both),
    )
    assert said(some) == {"a": ["shares_over_one"], "b": ["shares_over_one"]}


def test_shares_that_promise_more_than_every_place_are_said_where_they_meet() -> None:
    some = board(
        a=rule("share", where=["category=Toys"], share=0.6, surfaces=["home"]),
        b=rule("share", where=["category=Books"], share=0.3),
        c=rule("share", where=["price>=4"], share=0.2, start="2026-03-01T00:00:00Z"),
        d=rule("share", where=["price>=4"], share=0.1, surfaces=["cart"]),
    )
    assert said(some) == {id: ["shares_over_one"] for id in "abc"}
    (warned,) = some.warnings(shelf(), now=0.0)["a"]
    assert warned.detail == "'a', 'b', 'c' together promise 1.1 of the places; the first come first"


def test_one_server_s_change_is_in_use_at_once_and_the_others_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boards, "POLL", 0.001)
    log = Log()
    here, there = Board(log), Board(log)  # type: ignore[arg-type]

    async def scenario() -> None:
        await there.start()
        following = asyncio.create_task(there.follow())
        assert await here.put("a", rule("block", products=["p1"]), by="k1", now=5.0) == 1
        assert hidden(here) == ["p1"]
        await _until(lambda: hidden(there) == ["p1"])
        assert await there.remove("a", by="k2", now=6.0) == 2
        assert hidden(there) == []
        await here.catch_up()
        assert (hidden(here), here.version) == ([], 2)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    asyncio.run(scenario())
    assert [(c.key, c.by, c.at) for c in log.written] == [("a", "k1", 5.0), ("a", "k2", 6.0)]


def test_what_was_read_late_does_not_undo_what_is_newer() -> None:
    log = Log()
    some = Board(log)  # type: ignore[arg-type]

    async def scenario() -> None:
        await log.change("rules", [("a", b'{"kind":"block","products":["p1"]}')], by="", now=0.0)
        early, answered = await log.changes("rules", 0), asyncio.Event()

        async def late(topic: str, after: int) -> list[Change]:
            await answered.wait()
            return early

        current, log.changes = log.changes, late  # type: ignore[method-assign]
        reading = asyncio.create_task(some.catch_up())
        await asyncio.sleep(0)
        log.changes = current  # type: ignore[method-assign]
        await some.remove("a", by="", now=1.0)
        answered.set()
        await reading
        assert (hidden(some), some.version) == ([], 2)

    asyncio.run(scenario())


def test_when_the_store_is_gone_rules_stay_a_change_is_refused_and_the_reason_is_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(boards, "POLL", 0.001)
    log = Log()
    some = Board(log)  # type: ignore[arg-type]

    async def scenario() -> None:
        await some.put("a", rule("block", products=["p1"]), by="", now=0.0)
        following = asyncio.create_task(some.follow())
        log.gone = True
        with pytest.raises(Refused, match="the rule was not stored: it is gone") as refused:
            await some.put("b", rule("block", products=["p2"]), by="", now=0.0)
        assert refused.value.status == 503
        await _until(lambda: some.reason is not None)
        assert hidden(some) == ["p1"]
        log.gone = False
        await log.change("rules", [("c", b'{"kind":"block","products":["p3"]}')], by="", now=1.0)
        await _until(lambda: hidden(some) == ["p1", "p3"])
        assert some.reason is None
        following.cancel()

    asyncio.run(scenario())
    assert [record.message for record in caplog.records] == [
        "the rules' changes cannot be read: it is gone"
    ]


def test_a_change_that_is_stored_but_cannot_be_read_back_is_no_error() -> None:
    class Deaf(Log):
        async def changes(self, topic: str, after: int) -> list[Change]:
            raise StoreError("it is gone")

    some = Board(Deaf())  # type: ignore[arg-type]
    stored = some.put("a", rule("block", products=["p1"]), by="", now=0.0)
    assert asyncio.run(stored) == 1


def test_rules_survive_a_restart(tmp_path: Path) -> None:
    async def life(step: Callable[[Board], Awaitable[object]]) -> list[str]:
        store = Embedded(tmp_path)
        await store.start()
        some = Board(store)
        await some.start()
        await step(some)
        await store.close()
        return hidden(some)

    async def change(some: Board) -> None:
        await some.put("a", rule("block", products=["p1"]), by="", now=0.0)
        await some.put("b", rule("block", products=["p2"]), by="", now=0.0)
        await some.remove("a", by="", now=0.0)

    async def nothing(some: Board) -> None:
        assert some.version == 3

    assert asyncio.run(life(change)) == ["p2"]
    assert asyncio.run(life(nothing)) == ["p2"]


def test_a_shop_has_so_many_rules_and_shares_and_may_change_those_it_has() -> None:
    blocks = {f"b{i}": rule("block", products=["p1"]) for i in range(MOST_RULES)}
    full = board(**blocks)
    full.refuse({"b0": rule("boost", products=["p1"], factor=2)})
    full.refuse({"b0": None, "new": rule("block", products=["p2"])})
    with pytest.raises(Refused, match=f"a shop may have {MOST_RULES} rules"):
        full.refuse({"new": rule("block", products=["p2"])})
    shares = {f"s{i}": rule("share", products=["p1"], share=0.01) for i in range(MOST_SHARES)}
    with pytest.raises(Refused, match=f"a shop may have {MOST_SHARES} shares, got 21"):
        board(**shares).refuse({"new": rule("share", products=["p1"], share=0.01)})


def test_a_draft_changes_nothing_of_the_board() -> None:
    some = board(a=rule("block", products=["p1"]))
    draft = some.drafted({"a": None, "b": rule("block", products=["p2"])})
    assert (hidden(draft), hidden(some)) == (["p2"], ["p1"])


async def _until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():
            await asyncio.sleep(0.001)
