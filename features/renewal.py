"""Renewal: spells and how long products last in, how likely each is bought again when, out.

The chance depends on the share of its usual length that a spell has lasted and on how often she
bought before: rates are counted by both, per usual length of exposure, so spells that still last
count for what they are (a piecewise exponential hazard, see `features.hazards`).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np

from features.gaps import STEPS
from features.hazards import EDGES, LONGEST, NUMBERS, Rates, smoothed
from features.pooling import LOG


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
    age = (rows.age * STEPS).round().cast("int64").sum().cast("int64")
    found = rows.group_by("class_", "bin").agg(n=rows.count(), closed=rows.closed.sum(), age=age)
    bought, exposed = np.zeros((2, len(NUMBERS), len(EDGES)))
    widths = np.diff(EDGES)
    for row in found.order_by("class_", "bin").to_pyarrow().to_pylist():
        group, bin = row["class_"], row["bin"]
        bought[group, bin] = row["closed"]
        exposed[group, :bin] += row["n"] * widths[:bin]  # each went through these whole
        exposed[group, bin] += row["age"] / STEPS - row["n"] * EDGES[bin]
    return smoothed(bought, np.maximum(exposed, 0))


def hazard(rows: ir.Table, found: ir.Table, age: str, name: str) -> ir.Table:
    """Placed rows with how many purchases are expected up to an age, and per usual length at it.

    found: `features.hazards.table`. Adds `name` and `name_rate`.
    """
    at = rows.mutate(bin=_bin(rows[age]))
    both = at.join(found, ["class_", "bin"])
    count = both.before + both.rate * (both[age] - both.begin)
    return both.mutate(**{name: count, f"{name}_rate": both.rate}).drop(
        "bin", "begin", "rate", "before"
    )


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
