"""Worth: people and past campaigns in, what each is worth with and without a contact out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.intervals import numbers
from models.uplift import TooFew, Uplift
from pipelines.activation_past import KNOWN
from pipelines.activation_people import Floats, People
from pipelines.activation_rules import Activation


@dataclass(frozen=True, slots=True)
class Worth:
    """(n,) arrays: currency within the horizon; uplift: added chance to come back, NaN unknown.

    how: `uplift` or `assumed`; why: in words, for the person who reads the list.
    """

    without: Floats
    with_: Floats
    uplift: Floats
    how: str
    why: str


def worth(people: People, past: pa.Table, rules: Activation, *, seed: int = 0) -> Worth:
    """What past hold-outs teach, else what is assumed.

    past: of `activation_past.units`. Assumed: a contact brings back `assumed_effect` of what she
    no longer spends but would by her rhythm, if she is a customer still.
    """
    without = people.expected_orders * people.value
    contacted = numbers(pc.equal(past["arm"], "contact").cast(pa.int8()))
    try:
        if not past.num_rows:
            raise TooFew("no campaign's horizon is over yet")
        rows = np.stack([numbers(past[name]) for name in KNOWN], axis=1)
        model = Uplift(seed=seed).fit(rows, contacted, numbers(past["returned"]))
        if model.evidence is None or not model.evidence.low > 0:
            raise TooFew("past hold-outs do not tell yet whom a contact changes")
    except TooFew as few:
        usual = rules.horizon_days / people.gap * people.value
        lost = np.maximum(usual - without, 0) * people.alive
        gone = np.full(len(without), np.nan)
        why = f"assumed: a contact brings back {rules.assumed_effect:.0%} of what is lost ({few})"
        return Worth(without, without + rules.assumed_effect * lost, gone, "assumed", why)
    change = model.change(known(people))
    why = (
        f"learned from {past.num_rows:,} customers of past campaigns, "
        f"{int(len(contacted) - contacted.sum()):,} of them held out: {model.chosen}, Qini "
        f"{model.evidence.mean:.3f} ({model.evidence.low:.3f} to {model.evidence.high:.3f})"
    )
    with_ = np.maximum(without + change * people.value, 0)
    return Worth(without, with_, change, "uplift", why)


def known(people: People) -> Floats:
    """(n, KNOWN): the columns that an activation table keeps of each customer."""
    return np.stack(
        [people.days_since, people.gap, people.frequency, people.value, people.tenure,
         people.alive, people.expected_orders],
        axis=1,
    )  # fmt: skip
