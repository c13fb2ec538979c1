"""People: a shelf and a search in, customers to look at out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from features.schemas import STAGES
from serving.catalogue import numbers, truths
from serving.shelf import Shelf

SHOWN = 40
ENOUGH = 3  # products in a history that is worth looking at


class Person(NamedTuple):
    """One customer in the list."""

    row: int
    customer_id: str
    stage: str | None
    products: int


class Found(NamedTuple):
    """Some customers, how many were found, and how many there are of each stage, "" for all."""

    people: list[Person]
    total: int
    stages: dict[str, int]


def find(shelf: Shelf, search: str, stage: str | None) -> Found:
    """Customers whose id holds a text, or without one a spread of those with some history."""
    codes = _stages(shelf)
    mask = np.ones(len(codes), bool) if stage is None else codes == STAGES.index(stage)
    lengths = np.diff(shelf.bundle.recommender.history.weights.indptr)
    if search:
        ids = shelf.bundle.customers["customer_id"]
        mask = mask & truths(pc.match_substring(ids.combine_chunks(), search, ignore_case=True))
        rows = np.flatnonzero(mask)
        exact = shelf.row_of.get(search)
        if exact is not None and mask[exact]:
            rows = np.concatenate([[exact], rows[rows != exact]])
        chosen = rows[:SHOWN]
    else:
        rows = np.flatnonzero(mask)
        rich = rows[lengths[rows] >= ENOUGH]
        pool = rich if len(rich) else rows
        chosen = pool[np.linspace(0, len(pool) - 1, min(SHOWN, len(pool))).astype(int)]
    counts = {name: int((codes == i).sum()) for i, name in enumerate(STAGES)}
    people = [person(shelf, int(row)) for row in chosen]
    return Found(people, len(rows), {"": len(codes)} | {name: n for name, n in counts.items() if n})


def person(shelf: Shelf, row: int) -> Person:
    """One customer by row."""
    ends = shelf.bundle.recommender.history.weights.indptr
    return Person(
        row,
        shelf.bundle.customers["customer_id"][row].as_py(),
        shelf.bundle.customers["lifecycle_stage"][row].as_py(),
        int(ends[row + 1] - ends[row]),
    )


def _stages(shelf: Shelf) -> npt.NDArray[np.int8]:
    """(customers,) place of each customer's stage in STAGES, -1 for none."""
    encoded = pc.dictionary_encode(shelf.bundle.customers["lifecycle_stage"].combine_chunks())
    codes = [STAGES.index(s) if s in STAGES else -1 for s in encoded.dictionary.to_pylist()]
    stages: npt.NDArray[np.int8] = np.array([*codes, -1], np.int8)[
        numbers(encoded.indices, missing=-1)
    ]
    return stages  # a null is at place -1, the last
