"""Pages and truths in codes beside the definitions read out, and the codes that ids become."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import codes, pages
from models.evaluation.pages import METRICS, Twice, figures, paged, truth_of

PRODUCTS = 7
PAGE = st.lists(st.sampled_from([-1, *range(PRODUCTS)]), min_size=4, max_size=4).filter(
    lambda page: len({p for p in page if p >= 0}) == sum(p >= 0 for p in page)
)
BOUGHT = st.lists(st.tuples(st.integers(0, PRODUCTS - 1), st.integers(0, 9)), max_size=6)
KNOWN = st.sets(st.integers(-1, PRODUCTS - 1))


def oracle(page: list[int], bought: list[tuple[int, int]], known: set[int], k: int) -> list[float]:
    """One customer's figures, as the definitions read."""
    truth = {p for p, _ in bought}
    if not truth:
        return [math.nan] * len(METRICS)
    hits = [p in truth for p in page]
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    reach = min(k, len(truth))

    def hit_among(kind: set[int]) -> float:
        return float(bool(kind & set(page))) if kind else math.nan

    return [
        sum(1 / math.log2(r + 1) for r in ranks) / sum(1 / math.log2(r + 2) for r in range(reach)),
        len(ranks) / len(truth),
        float(bool(ranks)),
        sum(sum(hits[:r]) / r for r in ranks) / reach,
        1 / ranks[0] if ranks else 0.0,
        float(sum(paid for p, paid in bought if p in page)),
        hit_among(truth & known),
        hit_among(truth - known),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(PAGE, BOUGHT, KNOWN), min_size=1, max_size=9), st.integers(4, 6))
def test_every_figure_is_what_its_definition_says(
    shop: list[tuple[list[int], list[tuple[int, int]], set[int]]], k: int
) -> None:
    rows = [(c, p, paid) for c, (_, bought, _) in enumerate(shop) for p, paid in bought]
    before = [(c, p) for c, (_, _, known) in enumerate(shop) for p in known] + [(-1, 0)]
    buyer, bought, paid = np.array(rows or np.empty((0, 3)), np.int32).T
    truth = truth_of(
        buyer,
        bought,
        paid.astype(float),
        known=(np.array(before, np.int32)[:, 0], np.array(before, np.int32)[:, 1]),
        customers=len(shop),
        products=PRODUCTS,
    )
    shown = np.array([page for page, _, _ in shop], np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PART", 2)  # customers in a piece of work
        found = figures(shown, truth, k=k, products=PRODUCTS)
    wanted = np.array([oracle(*one, k) for one in shop]).T
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_rows_in_any_order_become_pages_and_what_lies_beyond_is_cut() -> None:
    owner, rank, product = np.array(
        [(1, 3, 5), (0, 1, 4), (-1, 1, 9), (1, 1, 2), (0, 9, 6)], np.int32
    ).T
    assert paged(owner, rank, product, customers=3, k=3).tolist() == [
        [4, -1, -1],
        [2, -1, 5],
        [-1, -1, -1],
    ]


def test_the_first_customer_who_is_shown_a_product_twice_is_named() -> None:
    none = np.zeros(0, np.int32)
    ones = np.arange(4, dtype=np.int32)
    truth = truth_of(ones, ones, None, known=(none, none), customers=4, products=PRODUCTS)
    shown = np.array([[1, 2], [3, -1], [6, 6], [5, 5]], np.int32)
    with pytest.raises(Twice, match="product 6 of customer 2"):
        figures(shown, truth, k=2, products=PRODUCTS)
    with pytest.raises(ValueError, match=r"4 of up to 2 codes below 6, got \(4, 2\) up to 6"):
        figures(shown, truth, k=2, products=6)


def dictionary(words: list[str], indices: list[int]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(words))


def test_codes_are_given_by_first_appearance_however_the_ids_are_stored() -> None:
    long = codes.PROBE
    plain = pa.array(["b", "a", "b"])
    runs = pa.array(["b"] * long + ["c"] * long + ["a"])
    stored = dictionary(["unused", "d", "a", "a"], [3, 2, 1])
    (one, two, three), words = codes.encode(plain, runs, stored)
    assert words.to_pylist() == ["b", "a", "c", "d"]
    assert one.tolist() == [0, 1, 0]
    assert two.tolist() == [0] * long + [2] * long + [1]
    assert three.tolist() == [1, 1, 3]
    chunks = pa.chunked_array([runs.slice(long - 1, 3), runs.slice(2 * long)])
    assert codes.place(chunks, words).tolist() == [0, 2, 2, 1]
    assert codes.place(stored, pa.array(["d"])).tolist() == [-1, -1, 0]


def test_a_missing_id_stands_nowhere() -> None:
    ids = pa.array(["a", None, "b", None] + [None] * codes.PROBE)
    places = codes.place(ids, pa.array(["b", "a"]))
    assert places[:4].tolist() == [1, -1, 0, -1]
    assert (places[3:] == -1).all()
    stored = pa.array(["b", None, "a"]).dictionary_encode()
    assert codes.place(stored, pa.array(["b", "a"])).tolist() == [0, -1, 1]


def test_one_id_below_the_one_before_is_out_of_order() -> None:
    assert codes.unordered(pa.array(["a", "c", "b"]))
    assert not codes.unordered(pa.array(["a", "b", "b"]))
    assert not codes.unordered(pa.array([], pa.string()))
