"""Looks: a test's ripe units in, how its arms stood day by day with bounds safe to read out."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.abtest import Effect, Measure, effects
from models.evaluation.sequential import Look, always, planned
from pipelines.experiments import Experiment
from pipelines.outcomes import Gathered

FIRST = 100  # units an arm before a first look: the bounds are those of large numbers
LOOKS = 60  # at most so many, evenly over the window
TIGHTEST = 10_000  # units at which a test without an end is read most sharply


def by_day(
    ripe: pa.Table,
    measure: Measure,
    experiment: Experiment,
    gathered: Gathered,
    *,
    ended: bool,
    level: float,
) -> tuple[dict[str, list[tuple[str, Look]]], pa.Table]:
    """How each arm stood at the end of each day, with bounds that hold for all days together.

    ripe: units whose horizon has passed, in the order in which they entered; a day is looked at
    when all that entered until then are ripe. Gives also the units of the last look: who entered
    since then waits for the next one, since a look that was not planned has no bound.
    """
    start = experiment.start
    last = experiment.end if ended and experiment.end is not None else None
    last = last or gathered.as_of - timedelta(days=experiment.horizon_days)
    window = None if experiment.end is None else (experiment.end - start) / timedelta(days=1)
    days = (last - start) / timedelta(days=1)
    step = math.ceil((window or max(days, 1)) / LOOKS)
    moments = [float(day) for day in range(step, math.floor(days) + 1, step)]
    if ended and (not moments or moments[-1] < days):
        moments.append(days)
    entered = ripe["entered"].to_numpy()
    seen: dict[str, list[tuple[float, Effect]]] = {}
    counted = ripe.slice(0, 0)
    for day in moments:
        until = round((start + timedelta(days=day)).timestamp() * 1e6)
        some = ripe.slice(0, int(np.searchsorted(entered, until)))
        counts = {o["values"]: o["counts"] for o in pc.value_counts(some["arm"]).to_pylist()}
        least = min((counts.get(arm, 0) for arm in experiment.arms), default=0)
        if least >= FIRST or (ended and day == moments[-1] and least > 1):
            for one in effects(
                some, [measure], control=experiment.control, covariates=gathered.covariates
            ):
                if one.error > 0:
                    counted = some
                    seen.setdefault(one.arm, []).append((day, one))
    found = {}
    for arm, row in seen.items():
        steps = [(one.n + one.n_control, one.difference, one.error) for _, one in row]
        if window is None:
            bounds = always(steps, tightest=TIGHTEST, level=level)
        else:
            bounds = planned(steps, [min(day / window, 1.0) for day, _ in row], level=level)
        named = [_day(start, day) for day, _ in row]
        found[arm] = list(zip(named, bounds, strict=True))
    return found, counted


def _day(start: datetime, days: float) -> str:
    return (start + timedelta(days=days)).date().isoformat()
