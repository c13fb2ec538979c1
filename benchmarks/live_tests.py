"""Live tests: simulated ones in, how often they err and what they see out; run by statistics.py.

Each simulated test has 28 days, 4,000 customers who enter as chance has it, two arms, and heavy
tails: most buy nothing, a few buy much, and who bought before buys again. Nobody is treated in the
A/A tests, so that every difference called is false.

- fixed horizon: one look at the end, `models.evaluation.abtest.effects`, plain and with CUPED
- daily peeking, as it is mostly done: stopped on the first day whose own 95 % interval spares zero
- daily peeking, planned: the same with the error budget of `models.evaluation.sequential.planned`
- daily peeking, always valid: the same with `models.evaluation.sequential.always`
- power: the same tests with a known effect, with and without CUPED
- sample ratio: how often an even draw is called a mismatch, and how often 5 % lost in one arm are
- interleaving: how often two equal rankers are told apart, and how often a better one is found

Beside each rate stands the interval that so many tests leave around the nominal rate (binomial,
95 %): a rate in it is what was promised. `always` promises at most 5 % for ever, so in 28 days it
stays below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from models.evaluation.abtest import Effect, Measure, effects
from models.evaluation.interleave import preference, team_draft
from models.evaluation.sanity import sample_ratio
from models.evaluation.sequential import always, planned

DAYS, CUSTOMERS, FIRST, ORDERS = 28, 4_000, 100, 1.5
REVENUE = Measure("revenue", "revenue")
Row = dict[str, Any]


def run(tests: int, seed: int, effect: float) -> Iterator[Row]:
    """Every rate; each test's seed follows from its number."""
    yield from false_alarms(tests, seed)
    yield from power(tests, seed, effect)
    yield from ratios(tests, seed)
    yield from interleaved(tests, seed)


def shop(seed: int, *, effect: float = 0.0) -> pa.Table:
    """One test's customers in the order in which they entered: `arm, day, revenue, before`."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.uniform(0, DAYS, CUSTOMERS))
    treated = rng.random(CUSTOMERS) < 0.5
    taste = rng.gamma(1.0, 1.0, CUSTOMERS)
    before = rng.poisson(ORDERS * 3 * taste) * rng.lognormal(3, 0.5, CUSTOMERS)
    orders = rng.poisson(ORDERS * taste * (1 + effect * treated))
    revenue = orders * rng.lognormal(3, 0.5, CUSTOMERS)
    arm = np.where(treated, "new", "old")
    return pa.table({"arm": arm, "day": day, "revenue": revenue, "before": before})


def last(units: pa.Table, *covariates: str) -> Effect:
    """The effect on revenue of all units so far."""
    return effects(units, [REVENUE], control="old", covariates=covariates)[0]


def daily(units: pa.Table) -> list[tuple[int, Effect]]:
    """Each day's end and the effect of all who entered until then, from 100 an arm on."""
    day, arm = units["day"].to_numpy(), np.array(units["arm"].to_pylist())
    found = []
    for until in range(1, DAYS + 1):
        n = int(np.searchsorted(day, until))
        if min((arm[:n] == "old").sum(), (arm[:n] == "new").sum()) >= FIRST:
            found.append((until, last(units.slice(0, n), "before")))
    return found


def false_alarms(tests: int, seed: int) -> Iterator[Row]:
    """A/A tests: every rule's rate of calling a difference."""
    called = dict.fromkeys(
        ("fixed horizon", "fixed horizon, CUPED", "daily peeking, each day for itself",
         "daily peeking, planned", "daily peeking, always valid"), 0,
    )  # fmt: skip
    for test in range(tests):
        units = shop(seed * 1_000_003 + test)
        called["fixed horizon"] += last(units).p_value < 0.05
        days = daily(units)
        steps = [(one.n + one.n_control, one.difference, one.error) for _, one in days]
        safe = planned(steps, [day / DAYS for day, _ in days])
        valid = always(steps, tightest=CUSTOMERS)
        called["fixed horizon, CUPED"] += days[-1][1].p_value < 0.05
        called["daily peeking, each day for itself"] += any(o.p_value < 0.05 for _, o in days)
        called["daily peeking, planned"] += any(one.low > 0 or one.high < 0 for one in safe)
        called["daily peeking, always valid"] += any(o.low > 0 or o.high < 0 for o in valid)
    notes = {
        "daily peeking, each day for itself": "what peeking does",
        "daily peeking, always valid": "at most 5 %, however long it runs",
    }
    for what, count in called.items():
        endless = "always" in what
        yield row(f"A/A, {what}", count, tests, 0.05, notes.get(what, ""), at_most=endless)


def power(tests: int, seed: int, effect: float) -> Iterator[Row]:
    """Tests with a known effect: how often each rule sees it, and whether intervals cover it."""
    seen = dict.fromkeys(("without CUPED", "with CUPED", "with CUPED, daily, planned",
                          "with CUPED, daily, always valid"), 0)  # fmt: skip
    covered = 0
    left, stopped = [], []
    truth = ORDERS * effect * float(np.exp(3 + 0.5**2 / 2))
    for test in range(tests):
        units = shop(seed * 1_000_003 + 500_000 + test, effect=effect)
        seen["without CUPED"] += last(units).low > 0
        days = daily(units)
        end = days[-1][1]
        seen["with CUPED"] += end.low > 0
        covered += end.low <= truth <= end.high
        left.append(end.variance_left)
        steps = [(one.n + one.n_control, one.difference, one.error) for _, one in days]
        safe = planned(steps, [day / DAYS for day, _ in days])
        first = next((day for (day, _), one in zip(days, safe, strict=True) if one.low > 0), None)
        seen["with CUPED, daily, planned"] += first is not None
        if first is not None:
            stopped.append(first)
        valid = always(steps, tightest=CUSTOMERS)
        seen["with CUPED, daily, always valid"] += any(one.low > 0 for one in valid)
    notes = {
        "with CUPED": f"variance left {np.mean(left):.0%}",
        "with CUPED, daily, planned": f"median day of the call {np.median(stopped or [DAYS]):.0f}",
    }
    for what, count in seen.items():
        yield row(
            f"true effect {effect:+.0%}, seen {what}", count, tests, None, notes.get(what, "")
        )
    yield row(f"true effect {effect:+.0%}, covered by the 95 % interval", covered, tests, 0.95)


def ratios(tests: int, seed: int) -> Iterator[Row]:
    """Sample ratios: even draws of 40,000 units, and the same with 3 % of one arm lost."""
    rng = np.random.default_rng(seed)
    even = lost = 0
    for _ in range(tests):
        new = int(rng.binomial(40_000, 0.5))
        shares = {"old": 0.5, "new": 0.5}
        even += not sample_ratio({"old": 40_000 - new, "new": new}, shares).holds
        kept = int(rng.binomial(new, 0.95))
        lost += not sample_ratio({"old": 40_000 - new, "new": kept}, shares).holds
    yield row("sample ratio, even, called a mismatch", even, tests, 0.001)
    yield row("sample ratio, 5 % of an arm lost, called", lost, tests, None)


def interleaved(tests: int, seed: int) -> Iterator[Row]:
    """Two rankers in one list for 400 customers who look down it and click what they like."""
    called = {"equal": 0, "better": 0}
    for test in range(tests):
        rng = np.random.default_rng([seed, test])
        for what in called:
            rows = []
            for customer in range(400):
                liked = rng.random(30)
                ours = np.argsort(-(liked + rng.normal(0, 0.6, 30)))
                theirs = np.argsort(-(liked + rng.normal(0, 0.6 if what == "equal" else 0.2, 30)))
                drafted = team_draft(ours.tolist(), theirs.tolist(), 10, seed=customer)
                looked = 1 / np.arange(1, 11)
                for place, (product, team) in enumerate(drafted):
                    if rng.random() < 0.3 * liked[product] * looked[place]:
                        rows.append({"customer_id": str(customer), "team": team, "credit": 1.0})
            called[what] += (
                preference(pa.Table.from_pylist(rows), seed=0, resamples=1).p_value < 0.05
            )
    yield row("interleaving, equal rankers, called", called["equal"], tests, 0.05, at_most=True)
    yield row("interleaving, a better ranker, called", called["better"], tests, None)


def row(
    what: str,
    called: int,
    tests: int,
    nominal: float | None,
    note: str = "",
    *,
    at_most: bool = False,
) -> Row:
    """One rate with the interval that chance leaves around the nominal one, or up to it."""
    expected = None
    if nominal is not None:
        low, high = binom.interval(0.95, tests, nominal)
        expected = [0.0 if at_most else float(low) / tests, float(high) / tests]
    return {
        "what": what, "called": int(called), "tests": tests, "rate": called / tests,
        "nominal": nominal, "expected": expected, "note": note,
    }  # fmt: skip
