"""Products that go together with coming back: days with an order in, differences by product out.

Who buys a product for the first time is compared with customers alike who bought something else:
as many orders so far, as long since the one before, as many products in the basket, in the same
quarter. What is left may still be what such buyers are like: it goes together with the product, it
is not shown to be caused by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from features.facts import DAY

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
DAYS = 90  # within which a return counts
BUYERS = 30  # of a product at least: fewer say nothing
MOST = 300  # names with the most buyers are looked at: the more, the surer each must be
OTHERS = 5  # customers alike at least
WIDE = 1.959964
USUAL = 0.01  # difference that a product makes as a rule, at least: a percentage point
ORDERS, PACE, SIZE = (2, 3, 6, 11), (1.0, 2.0, 4.0), (2, 3, 5, 10, 20)  # where groups part


@dataclass(frozen=True, slots=True)
class Visits:
    """n days on which somebody ordered, by customer and day, and the m products bought in them.

    customer: (n,) codes. day: (n,) since 1970. alike: (n,) group of what was known of her that day.
    visit, product: (m,) where each product was bought first by its customer, and what it is.
    """

    customer: Ints
    day: Ints
    alike: Ints
    visit: Ints
    product: pa.Array


def visits(baskets: pa.Table) -> Visits:
    """The days with an order of known customers; baskets: customer_id, order_time, products."""
    rows = baskets.select(["customer_id", "order_time", "products"])
    rows = rows.filter(pc.is_valid(rows["customer_id"])).combine_chunks()
    who = pc.dictionary_encode(rows["customer_id"]).combine_chunks().indices
    who = who.to_numpy().astype(np.int64)
    day = rows["order_time"].cast(pa.int64()).to_numpy() // (DAY * 1_000_000)
    span = int(day.max(initial=0)) + 1
    pair, visit = np.unique(who * span + day, return_inverse=True)
    owner, day = pair // span, pair % span
    bought = rows["products"].combine_chunks()
    product = pc.dictionary_encode(pc.list_flatten(bought))
    code = product.indices.to_numpy().astype(np.int64)
    of = visit[pc.list_parent_indices(bought).to_numpy()]
    many = len(product.dictionary)
    of, code = np.divmod(np.unique(of * many + code), max(many, 1))
    size = np.bincount(of, minlength=len(day))
    # Visits rise by customer and day, so the first of a customer and product is the least.
    _, first = np.unique(owner[of] * many + code, return_index=True)
    visit, code = of[first], code[first]
    alike = _alike(owner, day, size)
    return Visits(owner, day, alike, visit, product.dictionary.take(pa.array(code)))


def bring_back(
    found: Visits, names: pa.Array, *, until: int, days: int = DAYS, buyers: int = BUYERS
) -> pa.Table:
    """One row a name of the MOST with enough buyers, the surest return above customers alike first.

    names: (m,) what each product counts as, itself or its category; null counts as nothing. until:
    the last known day; only what had `days` to be returned from is looked at. Columns: name,
    buyers, returned, alike (shares), difference, low, high (95 %, pulled to none as far as all
    names' spread says), adjusted (chance, Benjamini and Hochberg over all names).
    """
    seen = found.day <= until - days
    same = found.customer[1:] == found.customer[:-1]
    back = np.append(same & (np.diff(found.day) <= days), False)
    of = seen[found.visit] & pc.is_valid(names).to_numpy(zero_copy_only=False)
    words = pc.dictionary_encode(names.filter(pa.array(of)))
    code, visit = words.indices.to_numpy().astype(np.int64), found.visit[of]
    # A category is bought for the first time once, whatever its products.
    order = np.lexsort((visit, found.customer[visit], code))
    code, visit = code[order], visit[order]
    new = np.ones(len(code), np.bool_)
    who = found.customer[visit]
    new[1:] = (code[1:] != code[:-1]) | (who[1:] != who[:-1])
    code, visit = code[new], visit[new]
    groups = int(found.alike.max(initial=-1)) + 1
    every = np.bincount(found.alike[seen], minlength=groups)
    came = np.bincount(found.alike[seen], back[seen], minlength=groups)
    cell, at = np.unique(code * groups + found.alike[visit], return_inverse=True)
    n = np.bincount(at, minlength=len(cell)).astype(float)
    hers = np.bincount(at, back[visit], minlength=len(cell))
    name, group = cell // max(groups, 1), cell % max(groups, 1)
    others = every[group] - n
    rate = (came[group] - hers + 0.5) / (others + 1)
    both = (came[group] + 0.5) / (every[group] + 1)
    enough = others >= OTHERS
    name, n, hers, others, rate, both = (one[enough] for one in (name, n, hers, others, rate, both))
    size = len(words.dictionary)

    def total(values: Doubles) -> Doubles:
        return np.bincount(name, values, minlength=size).astype(np.float64)

    count = total(n)
    kept = np.sort(np.argsort(-count, kind="stable")[:MOST])
    kept = kept[count[kept] >= buyers]
    count = count[kept]
    difference = total(hers - n * rate)[kept] / count
    spread = both * (1 - both) * (n + n**2 / others)  # as if the product made no difference
    error = np.sqrt(total(spread)[kept]) / count
    error = np.maximum(error, 1e-9)
    weight = (between := _between(difference, error, count)) / (between + error**2)
    shrunk = weight * difference
    reach = WIDE * error * np.sqrt(weight)
    chance = 2 * ndtr(-np.abs(difference) / error)
    table = pa.table(
        {
            "name": words.dictionary.take(pa.array(kept)),
            "buyers": count.astype(np.int64),
            "returned": total(hers)[kept] / count,
            "alike": total(n * rate)[kept] / count,
            "difference": shrunk,
            "low": shrunk - reach,
            "high": shrunk + reach,
            "adjusted": false_discovery_control(chance) if len(kept) else chance,
        }
    )
    return table.sort_by([("low", "descending"), ("name", "ascending")])


def _alike(owner: Ints, day: Ints, size: Ints) -> Ints:
    """(n,) groups: orders so far, time since the one before, products bought, and the quarter."""
    start = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    number = np.arange(len(owner)) - np.repeat(start, np.diff(np.append(start, len(owner)))) + 1
    gap = np.where(number > 1, np.diff(day, prepend=day[:1]), 0)
    usual = float(np.median(gap[number > 1])) if (number > 1).any() else 1.0
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    parts = (
        np.searchsorted(ORDERS, number, side="right"),
        np.where(number > 1, 1 + np.searchsorted(PACE, gap / max(usual, 1.0)), 0),
        np.searchsorted(SIZE, size, side="right"),
        month // 3,
    )
    _, group = np.unique(np.stack(parts), axis=1, return_inverse=True)
    return group.ravel().astype(np.int64)


def _between(difference: Doubles, error: Doubles, buyers: Doubles) -> float:
    """How differences vary about none beyond chance, by moments; at least what is USUAL."""
    if not len(difference):
        return USUAL**2
    return max(USUAL**2, float(np.average(difference**2 - error**2, weights=buyers)))
