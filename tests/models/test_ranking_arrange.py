import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.ranking.arrange import NOTHING, Arrangement, arrange, arrangement
from models.ranking.greedy import POOL
from models.scorer import Codes

P = 12  # products of the shop


def slow(
    codes: list[int],
    scores: list[float],
    n: int,
    *,
    shown: list[bool],
    stock: list[bool],
    hidden: set[int],
    groups: list[list[int]],
    caps: list[int | None],
    pins: list[tuple[int, int]],
    shares: list[tuple[float, list[bool]]],
    spread: float,
    chosen: list[tuple[int, int, int]] | None = None,
    source: int = 0,
) -> list[tuple[int, int, int]]:
    """The same by the words of the documentation: code, place in the list, source of each place."""
    if -1 in codes:
        codes = codes[: codes.index(-1)]
    slots = list(chosen or [(-1, -1, -1)] * n)

    def taken() -> list[int]:
        return [code for code, _, _ in slots if code >= 0]

    def may(code: int) -> bool:
        return shown[code] and stock[code] and code not in hidden and code not in taken()

    def capped(code: int) -> bool:
        held = [Counter(column[other] for other in taken()) for column in groups]
        return any(
            cap is not None and column[code] >= 0 and count[column[code]] >= cap
            for cap, column, count in zip(caps, groups, held, strict=True)
        )

    def alike(code: int, other: int) -> float:
        same = sum(column[code] == column[other] >= 0 for column in groups)
        return same / max(len(groups), 1)

    for place, code in pins:
        if place < n and slots[place][0] < 0 and may(code):
            slots[place] = (code, -1, -1)
    known = [s for c, s in zip(codes, scores, strict=False) if may(c) and math.isfinite(s)]

    def value(i: int) -> float:
        low, high = min(known, default=0), max(known, default=0)
        fits = high > low and math.isfinite(scores[i])
        relevance = (scores[i] - low) / (high - low) if fits else 0.0
        likeness = max((alike(codes[i], other) for other in taken()), default=0.0)
        return (1 - spread) * relevance - spread * likeness

    for place in range(n):
        if slots[place][0] >= 0:
            continue
        free = [i for i, code in enumerate(codes) if may(code) and not capped(code)]
        for part, mask in shares:
            before = sum(mask[code] for code, _, _ in slots[:place] if code >= 0)
            if before < math.floor(part * (place + 1) + 1e-9):
                free = [i for i in free if mask[codes[i]]] or free
        if not free:
            break
        best = max(free, key=lambda i: (value(i), -i)) if spread else free[0]
        slots[place] = (codes[best], best, source)
    return slots


def packed(question: dict[str, Any]) -> Arrangement:
    return arrangement(
        groups=[np.array(column, np.int32) for column in question["groups"]],
        caps=question["caps"],
        pins=question["pins"],
        shares=[(part, np.array(mask)) for part, mask in question["shares"]],
        spread=question["spread"],
    )


def ints(values: Any) -> Codes:
    return np.array(values, np.int32)


def fast(
    question: dict[str, Any], codes: list[int], scores: list[float], n: int, **more: Any
) -> Codes:
    return arrange(
        ints(codes),
        np.array(scores, np.float32),
        n,
        packed(question),
        shown=np.array(question["shown"]),
        stock=np.array(question["stock"]),
        hidden=ints(sorted(question["hidden"])),
        **more,
    )


def rows(found: Codes) -> list[tuple[int, int, int]]:
    return [tuple(place) for place in found.T.tolist()]


some = st.integers(0, P - 1)
mostly = st.lists(st.sampled_from([True, True, True, False]), min_size=P, max_size=P)
masks = st.lists(st.booleans(), min_size=P, max_size=P)
lists = st.lists(some, max_size=10, unique=True) | st.lists(some | st.just(-1), max_size=10)
values = st.sampled_from([-2.0, 0.0, 0.25, 0.5, 1.0, 3.0, math.inf, -math.inf, math.nan])


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    columns = draw(st.integers(0, 3))
    group = st.lists(st.integers(-1, 3), min_size=P, max_size=P)
    return {
        "shown": draw(mostly),
        "stock": draw(mostly),
        "hidden": draw(st.sets(some, max_size=4)),
        "groups": [draw(group) for _ in range(columns)],
        "caps": [draw(st.none() | st.integers(1, 3)) for _ in range(columns)],
        "pins": draw(st.lists(st.tuples(st.integers(0, 7), some), max_size=3)),
        "shares": draw(
            st.lists(st.tuples(st.sampled_from([0.2, 0.29, 0.5, 1.0]), masks), max_size=3)
        ),
        "spread": draw(st.sampled_from([0.0, 0.0, 0.3, 0.7, 0.99])),
    }


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions(), lists, lists, st.integers(0, 8), st.data())
def test_a_list_and_what_fills_it_up_are_arranged_as_by_the_words(
    question: dict[str, Any], first: list[int], second: list[int], n: int, data: st.DataObject
) -> None:
    ranked = [
        data.draw(st.lists(values, min_size=len(codes), max_size=len(codes)))
        for codes in (first, second)
    ]
    right = slow(first, ranked[0], n, **question)
    found = fast(question, first, ranked[0], n)
    assert rows(found) == right
    more = slow(second, ranked[1], n, **question, chosen=right, source=1)
    assert rows(fast(question, second, ranked[1], n, chosen=found, source=1)) == more


EVERY = np.ones(P, np.bool_)
FALLING = np.arange(P, 0, -1, dtype=np.float32)
ALL = np.arange(P, dtype=np.int32)


def listed(n: int, **wants: Any) -> list[int]:
    """All products, p0 the best, arranged."""
    return arrange(ALL, FALLING, n, arrangement(**wants), shown=EVERY, stock=EVERY)[0].tolist()


def test_products_stand_in_the_given_order_less_what_is_not_shown_out_of_stock_or_hidden() -> None:
    shown, stock = EVERY.copy(), EVERY.copy()
    shown[0] = stock[2] = False
    found = arrange(ALL, FALLING, 4, shown=shown, stock=stock, hidden=ints([3, 5]))
    assert rows(found) == [(1, 1, 0), (4, 4, 0), (6, 6, 0), (7, 7, 0)]


def test_a_cap_lets_so_many_of_a_group_through_and_none_of_what_has_no_group_is_held_back() -> None:
    colours = ints([0, 0, 0, 0, 1, 1, -1, -1, -1, 2, 2, 2])
    assert listed(7, groups=[colours], caps=[2]) == [0, 1, 4, 5, 6, 7, 8]


def test_places_that_caps_leave_empty_are_filled_by_the_next_source_under_the_same_caps() -> None:
    colours = ints([0] * 6 + [1] * 6)
    by = arrangement(groups=[colours], caps=[2])
    mine = arrange(ints([0, 1, 2, 3]), FALLING[:4], 4, by, shown=EVERY, stock=EVERY)
    assert mine[0].tolist() == [0, 1, -1, -1]
    popular = ints([4, 6, 1, 7, 8])
    whole = arrange(popular, FALLING[:5], 4, by, shown=EVERY, stock=EVERY, chosen=mine, source=1)
    assert rows(whole) == [(0, 0, 0), (1, 1, 0), (6, 1, 1), (7, 3, 1)]


def test_a_pin_stands_at_its_place_passes_over_caps_and_gives_way_where_it_may_not_stand() -> None:
    colours = ints([0] * P)
    assert listed(3, groups=[colours], caps=[1], pins=[(1, 9)]) == [-1, 9, -1]
    assert listed(3, pins=[(1, 9), (1, 8), (2, 9), (7, 4)]) == [0, 9, 1]
    assert listed(3, pins=[(2, 0)]) == [1, 2, 0]
    stock = EVERY.copy()
    stock[9] = False
    by = arrangement(pins=[(1, 9)])
    assert arrange(ALL, FALLING, 3, by, shown=EVERY, stock=stock)[0].tolist() == [0, 1, 2]


def test_of_the_first_k_places_a_share_is_of_its_products_for_every_k_while_there_are_any() -> None:
    own = ALL >= 8
    assert listed(8, shares=[(0.5, own)]) == [0, 8, 1, 9, 2, 10, 3, 11]
    assert listed(10, shares=[(0.5, own)])[8:] == [4, 5]  # there are only four of them
    assert listed(3, shares=[(1.0, own)]) == [8, 9, 10]


@given(st.floats(0, 1), masks)
def test_a_share_is_kept_at_every_length(part: float, mask: list[bool]) -> None:
    found = listed(P, shares=[(part, np.array(mask))])
    for k in range(1, P + 1):
        of_it = sum(mask[code] for code in found[:k])
        assert of_it >= min(math.floor(part * k), sum(mask))


def test_a_share_is_counted_as_written_not_as_floats_multiply() -> None:
    assert math.floor(0.29 * 100) == 28
    products = 200
    own = np.arange(products) >= 100
    every, falling = np.ones(products, np.bool_), np.arange(products, 0, -1, dtype=np.float32)
    codes = np.arange(products, dtype=np.int32)
    by = arrangement(shares=[(0.29, own)])
    found = arrange(codes, falling, 100, by, shown=every, stock=every)[0]
    assert own[found].sum() == 29


def test_the_first_of_two_shares_decides_and_one_product_may_serve_both() -> None:
    a, b = ALL >= 10, ALL >= 11
    assert listed(2, shares=[(0.5, a), (0.5, b)])[1] == 11  # both are due, p11 is of both
    c, d = ALL == 10, ALL == 11
    assert listed(3, shares=[(0.5, c), (0.5, d)]) == [0, 10, 11]


def test_spread_goes_from_the_given_order_to_a_list_of_unlike_products() -> None:
    kinds = [ints([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])] * 3
    assert listed(4, groups=kinds) == [0, 1, 2, 3]
    assert listed(4, groups=kinds, spread=0.9) == [0, 6, 9, 1]


def test_two_products_without_a_group_are_not_alike() -> None:
    nothing = [ints([-1] * P)] * 3
    assert listed(4, groups=nothing, spread=0.9) == [0, 1, 2, 3]


def test_what_was_chosen_before_is_spread_against_too() -> None:
    kinds = [ints([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])]
    by = arrangement(groups=kinds, spread=0.9)
    first = arrange(ints([0]), FALLING[:1], 3, by, shown=EVERY, stock=EVERY)
    second = arrange(ints([1, 2, 3, 6]), FALLING[:4], 3, by, shown=EVERY, stock=EVERY, chosen=first)
    assert second[0].tolist() == [0, 3, 6]


def test_behind_the_first_candidates_that_are_spread_the_others_stand_in_their_order() -> None:
    products = POOL + 100
    every = np.ones(products, np.bool_)
    codes = np.arange(products, dtype=np.int32)
    kinds = np.where(codes < POOL + 7, 0, codes).astype(np.int32)
    own = codes == POOL + 30
    by = arrangement(groups=[kinds], caps=[1], spread=0.5, shares=[(0.25, own)])
    scores = codes[::-1].astype(np.float32)
    found = arrange(codes, scores, 5, by, shown=every, stock=every)[0]
    assert found.tolist() == [0, POOL + 7, POOL + 8, POOL + 30, POOL + 9]
    by = arrangement(groups=[kinds], caps=[1], spread=0.5, shares=[(1.0, own)])
    found = arrange(codes, scores, 3, by, shown=every, stock=every)[0]
    assert found.tolist() == [0, POOL + 30, POOL + 7]


def test_arrays_that_may_not_be_written_are_taken_and_left_as_they_were() -> None:
    codes, scores, shown, hidden = ALL.copy(), FALLING.copy(), EVERY.copy(), ints([1])
    for array in (codes, scores, shown, hidden):
        array.flags.writeable = False
    chosen = arrange(codes[:1], scores[:1], 2, shown=shown, stock=shown)
    before = chosen.copy()
    found = arrange(codes, scores, 2, shown=shown, stock=shown, hidden=hidden, chosen=chosen)
    assert found[0].tolist() == [0, 2]
    assert (chosen == before).all()


def test_a_code_that_no_product_has_is_never_shown() -> None:
    codes = ints([P + 5, 2**30, 3])
    by = arrangement(pins=[(0, P + 1)], shares=[(1.0, EVERY)], groups=[ALL])
    found = arrange(codes, FALLING[:3], 2, by, shown=EVERY, stock=EVERY)
    assert found[0].tolist() == [3, -1]


def test_candidates_without_scores_are_all_worth_the_same() -> None:
    kinds = [ints([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])]
    by, none = arrangement(groups=kinds, spread=0.5), np.empty(0, np.float32)
    assert arrange(ALL, none, 3, by, shown=EVERY, stock=EVERY)[0].tolist() == [0, 6, 9]


def test_nothing_in_is_nothing_out() -> None:
    empty: npt.NDArray[np.float32] = np.empty(0, np.float32)
    assert rows(arrange(NOTHING, empty, 2, shown=EVERY, stock=EVERY)) == [(-1, -1, -1)] * 2
    assert arrange(ALL, FALLING, 0, shown=EVERY, stock=EVERY).shape == (3, 0)
    none = np.empty(0, np.bool_)
    assert arrange(ALL, FALLING, 1, shown=none, stock=none)[0].tolist() == [-1]


@pytest.mark.parametrize(
    ("wants", "says"),
    [
        ({"groups": [ALL], "caps": [1, 2]}, "caps must be one for each of 1 groups, got 2"),
        ({"groups": [ALL], "caps": [0]}, "a cap must be at least 1, got 0"),
        ({"spread": 1.0}, "spread must be at least 0 and below 1, got 1.0"),
        ({"shares": [(1.5, EVERY)]}, "a share must be from 0 to 1, got 1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused(wants: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        arrangement(**wants)
