"""Sanity: a test's arms and what was known of them before in, whether it may be read out.

A test whose arms have not the sizes that were drawn has lost units for a reason, mostly one that
bears on the outcome (Fabijan et al. 2019, sample ratio mismatch); no arithmetic mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.evaluation.abtest import Measure, as_columns, effects, holm

MISMATCH = 0.001  # p values below it are a mismatch: the field's habit, few false alarms
UNLIKE = 0.01
FEW = 5.0  # units expected in an arm, below which the chi-square is no guide


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many units each arm has and should have; p_value: of so uneven a draw by chance."""

    counts: dict[str, int]
    expected: dict[str, float]
    p_value: float

    @property
    def holds(self) -> bool:
        """Whether chance alone may have made it."""
        return self.p_value >= MISMATCH


@dataclass(frozen=True, slots=True)
class Before:
    """One thing known before the test, compared between an arm and the control.

    gap: the difference in standard deviations. adjusted: the p value after Holm over all of them.
    """

    name: str
    arm: str
    gap: float
    p_value: float
    adjusted: float

    @property
    def holds(self) -> bool:
        """Whether chance alone may have made it."""
        return not self.adjusted < UNLIKE


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> Ratio:
    """Units by arm against the declared shares: chi-square, exact where an arm expects few.

    An arm of `shares` that has no units counts as 0; an arm without a share is an error.
    """
    from scipy.stats import binomtest, chisquare

    unknown = [name for name in counts if name not in shares]
    if unknown:
        raise ValueError(f"counts must be of the arms {', '.join(shares)}, got {unknown[0]!r}")
    whole, total = sum(shares.values()), sum(counts.values())
    if total < 1:
        raise ValueError("counts must hold at least one unit, got 0")
    seen = {name: int(counts.get(name, 0)) for name in shares}
    wanted = {name: total * share / whole for name, share in shares.items()}
    if min(wanted.values()) >= FEW:
        p_value = float(chisquare(list(seen.values()), list(wanted.values())).pvalue)
    else:  # each arm against all others, exactly
        every = [binomtest(n, total, wanted[name] / total).pvalue for name, n in seen.items()]
        p_value = min(holm(every[:1] if len(every) == 2 else every))
    return Ratio(seen, wanted, p_value)


def alike_before(units: pa.Table, known: Sequence[str], *, control: str) -> list[Before]:
    """What was known before, arm by arm against the control: an A/A test on the pre-period.

    units: `arm` and the columns named, numbers or words. What does not vary is left out.
    """
    columns = {k: v for name in known for k, v in as_columns(units, name).items() if v.std() > 0}
    table = pa.table({"arm": units["arm"], **columns})
    found = effects(table, [Measure(name, name) for name in columns], control=control)
    spread = {name: float(values.std()) for name, values in columns.items()}
    return [
        Before(
            one.measure, one.arm, one.difference / spread[one.measure], one.p_value, one.adjusted
        )
        for one in found
    ]
