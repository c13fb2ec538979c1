"""Hazards: purchases and exposure in, rates of buying again and whose own rate is another out.

The usual rate goes by the share of its usual length that a spell has lasted and by how often she
bought before. A product's and a customer's own rate is gamma around that, its number of purchases
over the number expected: both after Bhagat et al., Buy It Again: Modeling Repeat Purchase
Recommendations (KDD 2018), whose interval is lognormal and whose rate is gamma.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.pooling import Floats

EDGES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)  # usual lengths
NUMBERS = (1, 2, 3, 4, 6, 10)  # purchases: from which a class begins
PULL = 10.0  # purchases that a class's rate is pulled to that of all classes by
LEAST, MOST = 1.0, 1000.0  # purchases that an own rate is pulled to the usual one by
LONGEST = 3650.0  # days, of an interval


class Rates(NamedTuple):
    """(classes, bins): purchases per usual length; and their sum up to each bin's begin."""

    rate: Floats
    before: Floats


def smoothed(bought: Floats, exposed: Floats) -> Rates:
    """(classes, bins) numbers of purchases and usual lengths of exposure as rates."""
    usual = bought.sum() / exposed.sum() if exposed.sum() > 0 else 0.0
    if not usual:
        return Rates(np.zeros(exposed.shape), np.zeros(exposed.shape))
    by_bin = (bought.sum(axis=0) + PULL) / (exposed.sum(axis=0) + PULL / usual)
    rate = (bought + PULL) / (exposed + PULL / by_bin)
    steps = np.cumsum(rate[:, :-1] * np.diff(EDGES), axis=1)
    return Rates(rate, np.concatenate([np.zeros((len(NUMBERS), 1)), steps], axis=1))


def own(bought: Floats, expected: Floats) -> tuple[Floats, float]:
    """Each one's rate against the usual, and the purchases that it is pulled to 1 by.

    Gamma, by moments: what numbers spread beyond Poisson is the spread of rates.
    """
    beyond = ((bought - expected) ** 2 - expected).sum()
    pull = pulled(float((expected**2).sum()), float(beyond))
    return (bought + pull) / (expected + pull), pull


def pulled(square: float, beyond: float) -> float:
    """Sums over all of expected² and of (bought - expected)² - expected as such a number."""
    return float(np.clip(square / beyond, LEAST, MOST)) if beyond > 0 else MOST


def table(found: Rates) -> dict[str, list[float]]:
    """The rates as rows: class_, bin, begin, rate, before."""
    classes, bins = found.rate.shape
    return {
        "class_": np.repeat(np.arange(classes), bins).tolist(),
        "bin": np.tile(np.arange(bins), classes).tolist(),
        "begin": np.tile(EDGES, classes).tolist(),
        "rate": found.rate.ravel().tolist(),
        "before": found.before.ravel().tolist(),
    }
