"""What is too early for a customer stands behind the rest of her published list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundling.lists import later, step_back
from models.purchases import Clock, Purchases


def saved(folder: Path, lists: list[list[int]], waiting: list[list[int]]) -> list[list[int]]:
    """Lists of codes by customer, best first, after what waits was stepped back."""
    width = max(1, *(len(row) for row in lists))
    codes = np.full((len(lists), width), -1, np.int32)
    scores = np.full((len(lists), width), -np.inf, np.float32)
    for row, ranked in enumerate(lists):
        codes[row, : len(ranked)] = ranked
        scores[row, : len(ranked)] = np.arange(len(ranked), 0, -1)
    folder.mkdir(exist_ok=True)
    np.save(folder / "lists_products.npy", codes)
    np.save(folder / "lists_scores.npy", scores)
    bought = [sorted({*row, *ranked[::2]}) for row, ranked in zip(waiting, lists, strict=True)]
    starts = np.cumsum([0, *map(len, bought)]).astype(np.int64)
    flat = np.array([code for row in bought for code in row], np.int32)
    waits = np.array([c in w for r, w in zip(bought, waiting, strict=True) for c in r], np.bool_)
    none = np.zeros(len(flat), np.int32)
    clock = Clock(none.astype(np.float32), waits, none, none, none, waits, none.astype(np.float32))
    step_back(folder, Purchases(starts, flat, none, none.astype(np.int16)), clock)
    found, worth = (np.load(folder / f"lists_{name}.npy") for name in ("products", "scores"))
    for row in range(len(lists)):
        want = later(codes[row], scores[row], np.isin(codes[row], waiting[row]))
        np.testing.assert_array_equal(found[row], want[0])
        np.testing.assert_array_equal(worth[row], want[1])
        assert (np.diff(worth[row][found[row] >= 0]) <= 0).all()
    return [[int(code) for code in row if code >= 0] for row in found]


def test_what_waits_goes_behind_the_rest_and_nothing_else_moves(tmp_path: Path) -> None:
    lists = [[4, 2, 7, 1], [4, 2], [3]]
    assert saved(tmp_path, lists, [[4, 7, 9], [], [3]]) == [[2, 1, 4, 7], [4, 2], [3]]


CODES = st.lists(st.integers(0, 8), max_size=6, unique=True)


@given(st.lists(st.tuples(CODES, CODES), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_the_compiled_step_is_the_readable_one(
    tmp_path_factory: object, rows: list[tuple[list[int], list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("lists")  # type: ignore[attr-defined]
    saved(folder, [ranked for ranked, _ in rows], [early for _, early in rows])
