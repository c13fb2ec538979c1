"""Figures of a comparison: judged sides in, paired differences with intervals and chances out.

Where several models or kinds of customers are looked at, chances are corrected for it (Holm 1979):
among many something always looks well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.abtest import holm
from models.evaluation.compare import aligned, paired
from models.evaluation.signs import chance, effect
from models.evaluation.slices import HISTORY, SMALL
from pipelines.compare_sides import Side
from pipelines.settings import Judge

CATEGORIES = 8  # the most bought; the rest are told apart from nothing
ORDER = ("lifecycle_stage", "channel", "history_length", "category")
Row = dict[str, Any]


def differences(judge: Judge, sides: Sequence[Side]) -> dict[str, dict[str, Row]]:
    """Each candidate's difference from the first side in each metric that has one.

    `adjusted` is the chance after Holm: of the metric that decides over the models, of all other
    metrics together over metrics and models.
    """
    base = sides[0]
    found: dict[str, dict[str, Row]] = {}
    for one in sides[1:]:
        found[one.label] = {}
        for metric in one.per_customer.column_names[1:]:
            row = difference(judge, one.per_customer, base.per_customer, metric)
            if row is not None:
                found[one.label][metric] = row
    correct([rows[judge.metric] for rows in found.values() if judge.metric in rows])
    correct([row for rows in found.values() for m, row in rows.items() if m != judge.metric])
    return found


def kinds(judge: Judge, sides: Sequence[Side]) -> dict[str, list[Row]]:
    """The metric that decides by kind of customer: rows as in `differences`, slice and value.

    small: under 30 customers, an anecdote, without a chance. Empty where a run kept no kinds.
    """
    base = sides[0]
    found: dict[str, list[Row]] = {one.label: [] for one in sides[1:]}
    if base.kinds is None:
        return found
    for slice_ in (name for name in ORDER if name in base.kinds.column_names):
        for value, members in _values(base.kinds, slice_):
            for one in sides[1:]:
                ours, theirs = (_some(side.per_customer, members) for side in (one, base))
                row = difference(judge, ours, theirs, judge.metric)
                if row is not None:
                    small = row["n"] < SMALL
                    row |= {"slice": slice_, "value": value, "small": small}
                    row |= {"p_value": None, "chance": None} if small else {}
                    found[one.label].append(row)
    correct([row for rows in found.values() for row in rows])
    return found


def folds(judge: Judge, sides: Sequence[Side]) -> dict[str, dict[str, Any]]:
    """For each candidate `windows`, a difference each, and `said`: stable, or one lucky window."""
    base = sides[0]
    found: dict[str, dict[str, Any]] = {}
    for one in sides[1:]:
        windows: list[Row] = []
        for number, fold in enumerate(base.summary["folds"], start=1):
            if one.per_fold is None or base.per_fold is None:
                continue
            ours, theirs = (
                table.filter(pc.equal(table["fold"], number))
                for table in (one.per_fold, base.per_fold)
            )
            row = difference(judge, ours, theirs, judge.metric, test=False)
            if row is not None:
                windows.append({"cut": fold["cut"], "until": fold["until"], **row})
        found[one.label] = {"windows": windows, **steady(windows)}
    return found


def steady(windows: Sequence[Row]) -> dict[str, Any]:
    """`stable` (None where it cannot be said) and `said`, in words."""
    n = len(windows)
    if n < 2:
        why = "One window only" if n else "The windows were not kept one by one"
        return {"stable": None, "said": f"{why}: whether the gain lasts cannot be said."}
    gains = [one["mean"] for one in windows]
    sure = sum(one["low"] > 0 for one in windows)
    up = sum(gain > 0 for gain in gains)
    best = max(range(n), key=lambda place: gains[place])
    rest = sum(gain for place, gain in enumerate(gains) if place != best)
    if sure == n:
        return {"stable": True, "said": f"Stable: surely better in each of the {n} windows."}
    if up == n:
        said = f"Better in each of the {n} windows, surely in {sure or 'none'}."
        return {"stable": True, "said": said}
    if sum(gains) > 0 and rest <= 0:
        day = str(windows[best]["cut"])[:10]
        said = f"One lucky window: without the one from {day} nothing is left of the gain."
        return {"stable": False, "said": said}
    if up == 0:
        return {"stable": False, "said": f"Better in none of the {n} windows."}
    said = f"Not stable: better in {up} of the {n} windows, worse or alike in the others."
    return {"stable": False, "said": said}


def difference(
    judge: Judge, candidate: pa.Table, baseline: pa.Table, metric: str, *, test: bool = True
) -> Row | None:
    """One paired difference as JSON; None for fewer than two customers.

    test: with the randomisation test's `chance`.
    """
    one = paired(candidate, baseline, metric, seed=judge.seed, resamples=judge.resamples)
    if one.n < 2:
        return None
    new, old = aligned(candidate, baseline, metric)
    gains = new - old
    size = effect(gains)
    before = float(old.mean())
    row: Row = {
        "mean": one.mean,
        "low": one.low,
        "high": one.high,
        "relative": one.relative,
        "n": one.n,
        "baseline": before,
        "candidate": float(new.mean()),
        "p_value": one.p_value,
        "chance": chance(gains, seed=judge.seed) if test else None,
        "adjusted": None,
        "size": size.size,
        "better": size.better,
        "worse": size.worse,
        "detectable": one.detectable,
        "relative_detectable": one.detectable / before if before > 0 else None,
    }
    return {name: None if value != value else value for name, value in row.items()}


def correct(rows: Sequence[Row]) -> None:
    """Write each row's `adjusted` and `among`, how many were looked at together."""
    tested = [row for row in rows if row["chance"] is not None]
    for row, adjusted in zip(tested, holm([row["chance"] for row in tested]), strict=True):
        row |= {"adjusted": adjusted, "among": len(tested)}


def _values(kinds: pa.Table, slice_: str) -> list[tuple[str, pa.Array]]:
    """The values of a slice with their customers: the most frequent categories, all else as is."""
    counted = pc.value_counts(kinds[slice_].drop_null()).to_pylist()
    if slice_ == "category":
        counted = sorted(counted, key=lambda one: (-one["counts"], one["values"]))[:CATEGORIES]
    found = [
        (
            str(one["values"]),
            kinds.filter(pc.equal(kinds[slice_], one["values"]))["customer_id"].combine_chunks(),
        )
        for one in counted
    ]
    if slice_ == "history_length":
        found.sort(key=lambda one: HISTORY.index(one[0]))
    elif slice_ != "category":
        found.sort(key=lambda one: -len(one[1]))
    return found


def _some(table: pa.Table, customers: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["customer_id"], value_set=customers))
