"""Verdict: compared sides and what the gate knows in, ship, hold or fail with reasons out.

The gate itself is asked, so that page and gate never contradict: what it holds is never shipped
here, and what ships here it would publish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines import gate
from pipelines.compare_sides import Side
from pipelines.guardrails import Rail
from pipelines.settings import BASELINE, Shop

Row = dict[str, Any]
WORSE = "It serves these surely worse"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gate weighs beside the compared sides.

    champion: the recipe that serves. others: popularity and what serves, judged on the same, where
    they are not among the compared.
    """

    champion: str | None
    enough: gate.Enough
    others: Sequence[Side] = ()


def weigh(
    shop: Shop,
    sides: Sequence[Side],
    facts: Facts,
    differences: Mapping[str, Mapping[str, Row]],
    kinds: Mapping[str, Sequence[Row]],
    folds: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """`decision, model, headline, gate` and `models`, each with its part.

    models: NAME -> decision, headline, reasons, cautions, against (the differences that the gate
    weighed, by rival) and rails (guardrails as of `pipelines.guardrails.Rail`). model: the one that
    ships, else the candidate with the best mean; decision is its, and it comes first in models, the
    others by their means. gate: what the gate says of all of them and `against`, what its
    guardrails guard; None where popularity was not judged on the same.
    """
    base, metric = sides[0], shop.judge.metric
    weighed = _ask(shop, sides, facts)
    models: dict[str, dict[str, Any]] = {}
    for side in sides[1:]:
        row = differences[side.label].get(metric)
        decision, headline, reasons = _one(side, base, row, weighed, facts)
        models[side.label] = {
            "decision": decision,
            "headline": headline,
            "reasons": reasons,
            "cautions": _cautions(row, kinds[side.label], folds[side.label]),
            "against": {} if weighed is None else weighed.against[_own(weighed, side)],
            "rails": [] if weighed is None else [asdict(one) for one in _rails(weighed, side)],
        }
    ships = [name for name, one in models.items() if one["decision"] == "ship"]
    means = {one.label: _mean(one, metric) for one in sides[1:]}
    model = ships[0] if ships else max(means, key=lambda name: (means[name], name))
    decision = models[model]["decision"]
    word = {"ship": "Ship", "hold": "Hold", "fail": "Fail"}[decision]
    order = sorted(models, key=lambda name: (name != model, -means[name], name))
    every = [*sides, *facts.others]
    serving = next((one.label for one in every if one.recipe == facts.champion), BASELINE)
    said = None
    if weighed is not None:
        said = {"action": weighed.action, "said": weighed.verdict, "against": serving}
    return {
        "decision": decision,
        "model": model,
        "headline": f"{word}: {models[model]['headline']}",
        "gate": said,
        "models": {name: models[name] for name in order},
    }


def _ask(shop: Shop, sides: Sequence[Side], facts: Facts) -> gate.Decision | None:
    """The gate's decision over all that is known; None where popularity is not among it."""
    every = [*sides, *facts.others]
    baseline = next((one for one in every if one.model == BASELINE), None)
    if baseline is None:
        return None
    return gate.decide(
        [
            gate.Entry(
                name=BASELINE if one is baseline else one.label,
                run_id=one.run_id,
                recipe=one.recipe,
                mean=_mean(one, shop.judge.metric),
                per_customer=one.per_customer,
                findings=tuple(one.summary["findings"]),
                figures={name: figure["mean"] for name, figure in one.summary["metrics"].items()},
                costs=one.costs,
                kinds=one.kinds,
            )
            for one in every
        ],
        champion=facts.champion,
        enough=facts.enough,
        gate=shop.gate,
        judge=shop.judge,
    )


def _one(
    side: Side, base: Side, row: Row | None, weighed: gate.Decision | None, facts: Facts
) -> tuple[str, str, list[str]]:
    """Decision, headline and reasons of one candidate."""
    name, other = side.label, base.label
    if row is None:
        return "hold", f"{name} has too few customers in common with {other}.", []
    said = _said(row, name, other)
    if weighed is None:
        why = f"{BASELINE} was not judged on the same, so the gate cannot be asked"
        return "hold", f"{name} was not weighed by the gate.", [said, f"{why}."]
    own = _own(weighed, side)
    held = [_words(why) for why in weighed.reasons[own]]
    lost = [rival for rival, one in weighed.against[own].items() if one["high"] < 0]
    if side.summary["findings"]:
        return "fail", f"{name}'s lists have faults.", [said, *held]
    if row["high"] < 0:
        return "fail", f"{name} is worse than {other}.", [said, *held]
    if lost:
        rivals = ["what serves now" if rival == "champion" else rival for rival in lost]
        return "fail", f"{name} is worse than {' and '.join(rivals)}.", [said, *held]
    if side.recipe == facts.champion:
        passed = [] if held else ["It passes the gate."]
        return "hold", f"{name} serves already.", [said, *held, *passed]
    broken = [rail.name for rail in _rails(weighed, side) if rail.holds is False]
    if broken:
        which = "a guardrail" if len(broken) == 1 else f"{len(broken)} guardrails"
        return "fail", f"{name} breaks {which}: {', '.join(broken)}.", [said, *held]
    if held:
        return "hold", f"{name} does not pass the gate.", [said, *held]
    if not row["low"] > 0:
        why = f"It passes the gate, but nothing shows that it is better than {other}."
        return "hold", f"{name} and {other} cannot be told apart.", [said, why]
    if weighed.model != name:
        why = f"It passes the gate too; the gate takes the best, {weighed.model}."
        return "hold", f"{weighed.model} is ahead of {name}.", [said, why]
    unknown = facts.champion is not None and facts.champion not in {
        one.recipe for one in (side, base, *facts.others)
    }
    reason = f"It passes the gate: {weighed.verdict}."
    if unknown and "champion" not in weighed.against[own]:
        why = "What serves now was not judged on the same, so that it cannot be set against it."
        return "hold", f"{name} was not set against what serves.", [said, reason, why]
    return "ship", f"{name} is better than {other}.", [said, reason]


def _own(weighed: gate.Decision, side: Side) -> str:
    """What the gate knows a side by."""
    return side.label if side.label in weighed.reasons else BASELINE


def _rails(weighed: gate.Decision, side: Side) -> list[Rail]:
    return weighed.rails[_own(weighed, side)]


def _said(row: Row, name: str, other: str) -> str:
    """The difference that decides, in a sentence."""
    share = f"{row['relative']:+.1%}, " if row["relative"] is not None else ""
    gain = f"{share}{row['baseline']:.4f} → {row['candidate']:.4f}"
    between = f"the difference lies between {row['low']:+.4f} and {row['high']:+.4f}"
    if row["low"] > 0:
        return f"{name} is better than {other}: {gain}; {between}."
    if row["high"] < 0:
        return f"{name} is worse than {other}: {gain}; {between}."
    return (
        f"{name} and {other} cannot be told apart: {gain}; {between}. {power(row)} A smaller one "
        "may be there, or none."
    )


def power(row: Row) -> str:
    """How small a difference the test could have seen."""
    if row["detectable"] is None:
        return "So few customers could have seen nothing."
    seen = row["relative_detectable"]
    share = f"{row['detectable']:.4f}" if seen is None else f"{seen:.1%}"
    return f"{row['n']:,} customers could have seen a difference of {share} (in 4 of 5 tries)."


def _cautions(row: Row | None, kinds: Sequence[Row], folds: Mapping[str, Any]) -> list[str]:
    """What to look at before acting, whatever the decision."""
    found = []
    if row and row["low"] > 0 and row["adjusted"] is not None and not row["adjusted"] < 0.05:
        found.append(
            f"Corrected for the {row['among']} models looked at, chance alone would do as much in "
            f"{row['adjusted']:.0%} of such comparisons."
        )
    worse = [one for one in kinds if one["high"] < 0 and (one["adjusted"] or 0) < 0.05]
    sure = [f"{_words(one['slice'])} {_words(one['value'])}" for one in worse if not one["small"]]
    if sure:
        found.append(f"{WORSE}: {', '.join(sure)}.")
    if folds["stable"] is False:
        found.append(folds["said"])
    return found


def _mean(side: Side, metric: str) -> float:
    return float(side.summary["metrics"][metric]["mean"] or 0.0)


def _words(text: str) -> str:
    """A reason or name as part of a sentence."""
    return text.replace("_", " ")
