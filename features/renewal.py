"""Renewal: spells and how long products last in, how likely each is bought again when, out.

The chance depends on the share of its usual length that a spell has lasted and on how often she
bought before: rates are counted by both, per usual length of exposure, so spells that still last
count for what they are (a piecewise exponential hazard). A product's and a customer's own rate is
gamma around that, its number of purchases over the number expected: both after Bhagat et al., Buy
It Again: Modeling Repeat Purchase Recommendations (KDD 2018), whose interval is lognormal and whose
rate is gamma.
"""

from __future__ import annotations

from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np

from features.gaps import LOG, STEPS
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


def place(spells: ir.Table, prior: float) -> ir.Table:
    """Spells with `usual`, how long each lasts usually in days, `age` in that, and `class_`.

    spells: with `mean`, the product's, and `earlier` and `number` of what came before.
    """
    gaps = (spells.number - 1).cast("float64")
    mean = (spells.earlier.cast("float64") / LOG + prior * spells["mean"]) / (gaps + prior)
    rows = spells.mutate(usual=ibis.least(mean.exp(), LONGEST))
    return rows.mutate(age=rows.length.cast("float64") / rows.usual, class_=_class(rows.number))


def rates(spells: ir.Table) -> Rates:
    """Of placed spells: purchases over exposure, by class and bin."""
    rows = spells.mutate(bin=_bin(spells.age))
    exposure = {
        f"x{number}": (_within(rows.age, number) * STEPS).round().cast("int64").sum().cast("int64")
        for number in range(len(EDGES))
    }
    events = {
        f"e{number}": (rows.closed & (rows.bin == number)).sum() for number in range(len(EDGES))
    }
    found = rows.group_by("class_").agg(**exposure, **events).to_pyarrow().to_pylist()
    counts = np.zeros((2, len(NUMBERS), len(EDGES)))
    for row in found:
        for number in range(len(EDGES)):
            counts[:, row["class_"], number] = row[f"e{number}"], row[f"x{number}"] / STEPS
    events_, exposed = counts
    all_of_them = events_.sum() / exposed.sum() if exposed.sum() > 0 else 0.0
    if not all_of_them:
        nothing = np.zeros(exposed.shape)
        return Rates(nothing, nothing)
    by_bin = (events_.sum(axis=0) + PULL) / (exposed.sum(axis=0) + PULL / all_of_them)
    rate = (events_ + PULL) / (exposed + PULL / by_bin)
    widths = np.diff(EDGES)
    steps = np.cumsum(rate[:, :-1] * widths, axis=1)
    return Rates(rate, np.concatenate([np.zeros((len(NUMBERS), 1)), steps], axis=1))


def hazard(rows: ir.Table, found: ir.Table, age: str, name: str) -> ir.Table:
    """Placed rows with how many purchases are expected up to an age, and per usual length at it.

    found: `table`. Adds `name` and `name_rate`.
    """
    at = rows.mutate(bin=_bin(rows[age]))
    both = at.join(found, ["class_", "bin"])
    count = both.before + both.rate * (both[age] - both.begin)
    return both.mutate(**{name: count, f"{name}_rate": both.rate}).drop(
        "bin", "begin", "rate", "before"
    )


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


def _class(number: ir.IntegerValue) -> ir.IntegerValue:
    place: ir.IntegerValue = ibis.literal(0, "int8")
    for least in NUMBERS[1:]:
        place = place + (number >= least).cast("int8")
    return place.cast("int32")


def _bin(age: ir.FloatingValue) -> ir.IntegerValue:
    place: ir.IntegerValue = ibis.literal(0, "int8")
    for edge in EDGES[1:]:
        place = place + (age >= edge).cast("int8")
    return place.cast("int32")


def _within(age: ir.FloatingValue, number: int) -> ir.FloatingValue:
    """How much of an age lies in a bin."""
    begin = EDGES[number]
    if number + 1 == len(EDGES):
        return ibis.greatest(age - begin, 0.0)
    return ibis.greatest(ibis.least(age, EDGES[number + 1]) - begin, 0.0)
