"""Offers: a bundle, what is in stock and what is due in, the products to show each customer out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundle import Bundle
from models.history import Codes
from pipelines.activation_people import People

DUE = 2  # products that are due stand first, at most so many
DEEP = 60  # places of a list that are looked at
BLOCK = 1 << 16  # customers at a time


def offers(
    bundle: Bundle,
    people: People,
    rows: npt.NDArray[np.int64],
    *,
    n: int,
    per_category: int,
    at_hand: pa.Array | None,
) -> list[list[str]]:
    """The n best available products of some customers: due ones first, then her published list.

    at_hand: ids not known to be out of stock, of those available at publication; None: all. Of one
    category at most `per_category`. Who came after the publication is shown what is popular.
    """
    ids = bundle.products["product_id"].combine_chunks()
    mask = np.asarray(bundle.products["available"].combine_chunks().to_numpy(zero_copy_only=False))
    if at_hand is not None:
        mask = mask & pc.is_in(ids, value_set=at_hand).to_numpy(zero_copy_only=False)
    category = _codes(bundle.products["category"])
    names = ids.to_pylist()
    place = bundle.recommender.customer_map.codes(people.ids)
    due = _due(bundle, people)
    popular = bundle.popular[mask[bundle.popular]][:DEEP]
    found: list[list[str]] = []
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        deep = max(min(DEEP, bundle.lists_products.shape[1]), len(popular))
        lists = np.full((len(some), deep), -1, np.int32)
        known = place[some] >= 0
        listed = bundle.lists_products[place[some][known], :DEEP]
        lists[known, : listed.shape[1]] = listed
        lists[~known, : len(popular)] = popular
        chosen = pick(np.hstack([due[some], lists]), mask, category, n=n, most=per_category)
        found += [[names[code] for code in codes if code >= 0] for codes in chosen.tolist()]
    return found


def pick(
    candidates: Codes, mask: npt.NDArray[np.bool_], category: Codes, *, n: int, most: int
) -> Codes:
    """(rows, n) the first available candidates, each once, `most` of a category; -1 where fewer."""
    rows = np.arange(len(candidates))
    chosen = np.full((len(candidates), n), -1, np.int32)
    counts = np.zeros(len(candidates), np.int64)
    for codes in candidates.T:
        twice = (chosen == codes[:, None]).any(axis=1)
        same = (category[chosen] == category[codes][:, None]) & (chosen >= 0)
        crowded = (category[codes] >= 0) & (same.sum(axis=1) >= most)
        take = (codes >= 0) & mask[codes] & ~twice & ~crowded & (counts < n)
        chosen[rows[take], counts[take]] = codes[take]
        counts += take
    return chosen


def _due(bundle: Bundle, people: People) -> Codes:
    """(n, DUE) codes of what is due, the likeliest first."""
    found = np.full((len(people.ids), DUE), -1, np.int32)
    codes = bundle.recommender.product_map.codes(people.due["product_id"])
    for nth in range(DUE):
        hers = _nth(people.row, nth)
        found[people.row[hers], nth] = codes[hers]
    return found


def _nth(row: npt.NDArray[np.int64], nth: int) -> npt.NDArray[np.bool_]:
    """Which of rows sorted by customer is each customer's nth, from 0."""
    starts = np.searchsorted(row, row)  # where her rows begin
    return np.asarray(np.arange(len(row)) - starts == nth)


def _codes(column: pa.ChunkedArray) -> Codes:
    """Words as codes, -1 for null."""
    coded = column.combine_chunks().cast(pa.string()).dictionary_encode()
    found: Codes = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int32)
    return found
