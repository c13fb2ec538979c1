"""Who is slipping: customers with stages and money in, counts and value at risk by group out.

Slipping is cooling or at risk: later than her own rhythm says, and not gone yet. What she brought
in the year up to her last order is what the shop is about to lose; at risk is that less what is
still expected of her in the coming year.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.facts import DAY
from models.evaluation.intervals import numbers

STAGES = ("cooling", "at_risk")
YEAR = 365 * DAY * 1_000_000
SHOWN = 12  # groups of a kind; the others are one
Doubles = npt.NDArray[np.float64]
Record = dict[str, Any]


def brought(baskets: pa.Table, customers: pa.Array) -> Doubles:
    """(n,) what each of `customers` paid in the year up to her last order; NaN: no prices known."""
    rows = baskets.select(["customer_id", "order_time", "revenue"])
    rows = rows.filter(pc.is_in(rows["customer_id"], value_set=customers))
    who = pc.index_in(rows["customer_id"], value_set=customers).to_numpy()
    time = rows["order_time"].cast(pa.int64()).to_numpy()
    paid = numbers(rows["revenue"])
    last = np.full(len(customers), np.iinfo(np.int64).min)
    np.maximum.at(last, who, time)
    late = time > last[who] - YEAR
    if not np.isfinite(paid).any():
        return np.full(len(customers), np.nan)
    worth: Doubles = np.bincount(
        who[late], np.nan_to_num(paid[late]), minlength=len(customers)
    ).astype(np.float64)
    return worth


def at_risk(brought: Doubles, expected: Doubles) -> Doubles:
    """(n,) what each brought less what is still expected of her, never below nothing."""
    return np.maximum(brought - np.maximum(expected, 0.0), 0.0)


def sums(chosen: npt.NDArray[np.bool_], brought: Doubles, expected: Doubles) -> Record:
    """`customers, brought, expected, at_risk` of some; money is None where no prices are known."""
    risk = at_risk(brought, expected)
    return {
        "customers": int(chosen.sum()),
        "brought": _money(brought[chosen]),
        "expected": _money(expected[chosen]),
        "at_risk": _money(risk[chosen]),
    }


def groups(
    names: pa.Array | pa.ChunkedArray,
    slipping: npt.NDArray[np.bool_],
    brought: Doubles,
    expected: Doubles,
    *,
    otherwise: str,
) -> list[Record]:
    """By group: `name, of` (its customers) and `sums` of those who slip, most at risk first.

    names: (n,) group of each customer; null is `otherwise`. Beyond SHOWN they are one: all others.
    """
    words = pc.fill_null(names.cast(pa.string()), otherwise).dictionary_encode()
    if isinstance(words, pa.ChunkedArray):
        words = words.combine_chunks()
    code = words.indices.to_numpy()
    some: list[Record] = []
    for place, name in enumerate(words.dictionary.to_pylist()):
        hers = code == place
        one = {"name": name, "of": int(hers.sum())}
        some.append({**one, **sums(hers & slipping, brought, expected)})
    some.sort(key=lambda one: (-(one["at_risk"] or 0), -one["customers"], one["name"]))
    some = [one for one in some if one["customers"]]
    return some if len(some) <= SHOWN else [*some[: SHOWN - 1], _others(some[SHOWN - 1 :])]


def _others(some: Sequence[Record]) -> Record:
    together: Record = {"name": f"{len(some)} others"}
    for key in ("of", "customers", "brought", "expected", "at_risk"):
        values = [one[key] for one in some]
        together[key] = None if None in values else sum(values)
    return together


def _money(values: Doubles) -> float | None:
    total = float(values.sum())
    return total if np.isfinite(total) else None
