"""Renewals: histories in, how likely each customer buys what she bought again within days out.

The numbers of the table `replenishment` (`features.hazards`, `features.pooling`), learned from a
history alone: no refunds, no customer's own rate, which is the same for all her products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.hazards import EDGES, LONGEST, NUMBERS, Rates, smoothed
from features.pooling import LOG, Floats, Sums, pooled
from models.baskets import BLOCK, kept
from models.history import Codes, History
from models.scorer import Arrays

WITHIN = 14.0  # days
Ints = npt.NDArray[np.int64]


class Spells(NamedTuple):
    """A day on which a customer bought a product and what came after it, by row, code and time.

    number: of the purchase, from 1. length: days to the next, or until now. closed: whether there
    was a next. log, earlier: of the length where closed, and the sum over her spells before, in
    1 / `features.pooling.LOG`.
    """

    row: Ints
    product: Codes
    number: Ints
    length: Floats
    closed: npt.NDArray[np.bool_]
    log: Ints
    earlier: Ints


class Renewals(NamedTuple):
    """mean: (products,) of a gap's logarithm. prior: gaps of it that a customer's are pulled by."""

    mean: Floats
    prior: float
    rates: Rates

    def arrays(self) -> Arrays:
        """By name, for a saved model."""
        return {
            "renewal_mean": self.mean,
            "renewal_prior": np.array([self.prior]),
            "renewal_rate": self.rates.rate,
            "renewal_before": self.rates.before,
        }


def restored(arrays: Arrays) -> Renewals | None:
    """What `Renewals.arrays` gave; None where there is none."""
    if "renewal_mean" not in arrays:
        return None
    rates = Rates(arrays["renewal_rate"], arrays["renewal_before"])
    return Renewals(arrays["renewal_mean"], float(arrays["renewal_prior"][0]), rates)


def learned(history: History) -> Renewals | None:
    """From all customers, block by block; None where no day is known."""
    blocks = range(0, history.rows, BLOCK)
    parts = [
        found
        for start in blocks
        if (found := spells(history.take(np.arange(start, min(start + BLOCK, history.rows)))))
        is not None
    ]
    if not parts:
        return None
    of = pooled(_sums(parts, history.products))
    bought, exposed = np.zeros((2, len(NUMBERS), len(EDGES)))
    shape = (len(NUMBERS), len(EDGES))
    for part in parts:
        _, age, group = _placed(part, of.mean, of.prior)
        for number, begin in enumerate(EDGES):
            end = EDGES[number + 1] if number + 1 < len(EDGES) else np.inf
            inside = np.clip(age, begin, end) - begin
            exposed[:, number] += np.bincount(group, inside, len(NUMBERS))
        cell = group * len(EDGES) + _bin(age)
        bought += np.bincount(cell[part.closed], minlength=bought.size).reshape(shape)
    return Renewals(of.mean, of.prior, smoothed(bought, exposed))


def chances(history: History, of: Renewals) -> Floats | None:
    """(pairs,) in the order of `models.baskets.bought`; None where days are unknown."""
    found = spells(history)
    if found is None:
        return None
    last = ~found.closed
    usual, age, group = _placed(found, of.mean, of.prior)
    usual, age, group = usual[last], age[last], group[last]
    until, then = (_expected(of.rates, group, at) for at in (age, age + WITHIN / usual))
    chance: Floats = -np.expm1(until - then)
    return chance


def spells(history: History) -> Spells | None:
    """Of all who bought, and of who did not, by what else they did; None where days are unknown."""
    if history.events is None or not len(history.events.days):
        return None
    events = kept(history.events)
    if not np.isfinite(events.days).all():
        return None
    row = np.repeat(np.arange(history.rows), np.diff(events.starts))
    ago = np.floor(np.maximum(events.days, 0)).astype(np.int64)
    pair = row * np.int64(history.products) + events.products
    order = np.lexsort((-ago, pair))
    pair, ago = pair[order], ago[order]
    fresh = np.ones(len(pair), bool)
    fresh[1:] = (pair[1:] != pair[:-1]) | (ago[1:] != ago[:-1])
    pair, ago = pair[fresh], ago[fresh]
    closed = np.zeros(len(pair), bool)
    closed[:-1] = pair[1:] == pair[:-1]
    length = ago - np.where(closed, np.append(ago[1:], 0), 0)
    log = np.where(closed, np.rint(np.log(np.maximum(length, 1)) * LOG), 0).astype(np.int64)
    begins = np.flatnonzero(np.diff(pair, prepend=-1))
    first = np.repeat(begins, np.diff(begins, append=len(pair)))
    total = np.cumsum(log) - log
    owner, product = np.divmod(pair, history.products)
    number = np.arange(len(pair)) - first + 1
    return Spells(
        owner,
        product.astype(np.int32),
        number,
        length.astype(float),
        closed,
        log,
        total - total[first],
    )


def _sums(parts: list[Spells], products: int) -> Sums:
    columns = np.zeros((7, products), np.int64)
    for part in parts:
        last = ~part.closed
        code, gaps, log = part.product[last], part.number[last] - 1, part.earlier[last]
        mean = np.rint(log.astype(float) ** 2 / np.maximum(gaps, 1))
        square = np.bincount(part.product, part.log.astype(float) ** 2, products)
        for place, values in enumerate((np.ones(len(code)), gaps > 0, gaps, log)):
            columns[place] += np.bincount(code, values, products).astype(np.int64)
        columns[4] += square.astype(np.int64)
        columns[5] += np.bincount(code, mean, products).astype(np.int64)
        columns[6] += np.bincount(code, gaps.astype(float) ** 2, products).astype(np.int64)
    return Sums(np.zeros(products, np.int64), *columns)


def _placed(of: Spells, mean: Floats, prior: float) -> tuple[Floats, Floats, Ints]:
    """How long each lasts usually, its age in that, and its class."""
    log = (of.earlier / LOG + prior * mean[of.product]) / (of.number - 1 + prior)
    usual = np.minimum(np.exp(log), LONGEST)
    return usual, of.length / usual, np.searchsorted(NUMBERS, of.number, "right") - 1


def _bin(age: Floats) -> Ints:
    return np.searchsorted(EDGES, age, "right") - 1


def _expected(of: Rates, group: Ints, age: Floats) -> Floats:
    """Purchases until an age."""
    place = _bin(age)
    count: Floats = of.before[group, place] + of.rate[group, place] * (age - np.array(EDGES)[place])
    return count
