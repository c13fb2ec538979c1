"""Pooling: what each product's gaps add up to in; how long it lasts, and how surely, out.

A gap's logarithm is normal around the customer's own mean of that product, this one around the
product's, the product's around its category's, the category's around the shop's. Each mean is
pulled to the one above it as if that were so many gaps more as the spread of such means, against
the spread of gaps within them, says: empirical Bayes by moments of the one-way layout (Searle,
Casella and McCulloch: Variance Components, 1992), level by level.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOG = 1000  # logarithms are kept as whole thousandths: sums don't depend on their order
BUYERS = 5.0  # buyers of its category that a product's share of repeaters is pulled by
DEGREES = 20.0  # gaps of the shop that a product's spread is pulled by
SPREAD = 1.0  # of logarithms, where too few gaps tell
LEAST, MOST = 0.5, 100.0  # gaps that a mean is pulled by


class Sums(NamedTuple):
    """By product, see `features.gaps.products`; category: a number from 1, 0 where it has none."""

    category: Ints
    buyers: Ints
    repeaters: Ints
    gaps: Ints
    log: Ints
    square: Ints
    between: Ints
    even: Ints


class Pooled(NamedTuple):
    """By product: mean and spread of a gap's logarithm, and the share of buyers who come again.

    prior: gaps of the product that a customer's own mean is pulled by. known: whether the shop has
    any gap.
    """

    mean: Floats
    spread: Floats
    again: Floats
    prior: float
    known: bool


class _Level(NamedTuple):
    """Groups of gaps at one level: how many, the sum of log² / gaps over them, the mean square."""

    groups: int
    means: float
    even: float  # the sum over their parents of the squared numbers of gaps by the parent's number


def pooled(sums: Sums) -> Pooled:
    """All products of the shop, from the widest mean down."""
    gaps, log = sums.gaps.astype(float), sums.log / LOG
    of, logs = _by(sums, gaps), _by(sums, log)  # (categories,)
    total, square = float(gaps.sum()), float(sums.square.sum()) / LOG**2
    pairs = _Level(
        int(sums.repeaters.sum()), float(sums.between.sum()) / LOG**2, _over(sums.even, gaps)
    )
    goods = _Level(int((gaps > 0).sum()), _over(log**2, gaps), _over(_by(sums, gaps**2), of))
    kinds = _Level(int((of > 0).sum()), _over(logs**2, of), float((of**2).sum()) / max(total, 1))
    shop = _Level(1, float(log.sum()) ** 2 / max(total, 1), 0.0)
    mean = log.sum() / max(total, 1)
    pull = _pull(kinds, shop, total, square)
    by_kind = (logs + pull * mean) / (of + pull)
    pull = _pull(goods, kinds, total, square)
    by_product = (log + pull * by_kind[sums.category]) / (gaps + pull)
    within = np.maximum(sums.square - sums.between, 0) / LOG**2
    free = np.maximum(gaps - sums.repeaters, 0)
    usual = within.sum() / free.sum() if within.sum() > 0 else SPREAD**2
    return Pooled(
        by_product,
        np.sqrt((within + DEGREES * usual) / (free + DEGREES)),
        _again(sums),
        _pull(pairs, goods, total, square),
        total > 0,
    )


def _pull(groups: _Level, parents: _Level, gaps: float, square: float) -> float:
    """How many gaps of the parent a group's mean is pulled by; MOST where the groups are alike."""
    free = gaps - groups.groups
    spare = gaps - groups.even
    if free < 1 or spare <= 0:
        return MOST
    within = max(square - groups.means, 0) / free
    between = groups.means - parents.means - (groups.groups - parents.groups) * within
    if between <= 0:
        return MOST
    return float(np.clip(within * spare / between, LEAST, MOST))


def _again(sums: Sums) -> Floats:
    """(products,) the share of buyers who come again, pulled to the category's and the shop's."""
    all_of_it = sums.repeaters.sum() / max(int(sums.buyers.sum()), 1)
    buyers, repeaters = _by(sums, sums.buyers), _by(sums, sums.repeaters)
    by_kind = (repeaters + BUYERS * all_of_it) / (buyers + BUYERS)
    share: Floats = (sums.repeaters + BUYERS * by_kind[sums.category]) / (sums.buyers + BUYERS)
    return share


def _by(sums: Sums, values: Floats | Ints) -> Floats:
    """(categories,) sums; never empty, so that a shop without products has a mean too."""
    counted = np.bincount(sums.category, values, int(sums.category.max(initial=0)) + 1)
    return counted.astype(float)


def _over(values: Floats | Ints, numbers: Floats) -> float:
    """The sum of values over numbers, those over nothing left out."""
    some = numbers > 0
    return float((values[some] / numbers[some]).sum())
