"""Simulate: policies and a seed in, whom they keep and who would have known it out.

Every run is a shop of its own: its people, its year of events, its models, its chance. Intervals
are over such shops, so that they hold for the policies and not for one shop's luck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation import verdicts
from models.evaluation.intervals import Interval
from models.evaluation.reactions import Nature
from models.evaluation.simulate import Policy, nothing, oracle, simulate
from pipelines import simulated
from pipelines.progress import step
from pipelines.settings import SettingsError

MARKS = ("nothing", "oracle")  # floor and ceiling, not to be chosen
JUDGES = ("offline", "off_policy", "live")
Record = dict[str, Any]


def run(
    root: Path,
    names: Sequence[str],
    *,
    customers: int = 2_000,
    days: int = 90,
    seed: int = 0,
    runs: int = 5,
    overrides: Sequence[str] = (),
    nature: Nature | None = None,
) -> Record:
    """Simulate each policy in `runs` shops, kept below `root`; what `summary` gives and the runs.

    names: models by name or kind; the first is the control of the live test.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise SettingsError(f"policies must be 2 or more different ones, got {', '.join(names)}")
    if wrong := sorted(set(names) & set(MARKS)):
        raise SettingsError(f"policies must be models, got {wrong[0]}, which is always shown")
    done = []
    for number in range(seed, seed + runs):
        with step(f"shop {number - seed + 1} of {runs}"):
            shop = simulated.make(
                root / f"{customers}-{number}",
                names,
                customers=customers,
                seed=number,
                overrides=overrides,
            )
            done.append(one(shop, days=days, seed=number, nature=nature))
    return {
        "policies": list(names),
        "days": days,
        "seed": seed,
        **summary(done, names),
        "runs": done,
    }


def one(shop: simulated.Simulated, *, days: int, seed: int, nature: Nature | None = None) -> Record:
    """One shop: the truth of every policy, and what the three who do not know it would choose."""
    crowd, policies = shop.crowd, shop.policies
    every: Mapping[str, Policy] = {"nothing": nothing(), **policies, "oracle": oracle(crowd)}
    ran = {}
    for name, policy in every.items():
        with step(f"{days} days of {name}"):
            ran[name] = simulate(crowd, policy, days=days, seed=seed, nature=nature)
    given: dict[str, Any] = {"days": days, "seed": seed, "nature": nature}
    with step(f"{days} days of a live test"):
        effects, live = verdicts.live(crowd, policies, before=shop.before, **given)
    with step(f"{days} days of exploring"):
        replays, off_policy = verdicts.off_policy(crowd, policies, **given)
    chosen = {
        "offline": max(shop.offline, key=lambda name: shop.offline[name]),
        "off_policy": off_policy or None,
        "live": live,
    }
    return {
        "seed": seed,
        "customers": len(crowd.rhythm),
        "figures": {
            name: {key: _number(value) for key, value in outcome.figures(crowd).items()}
            for name, outcome in ran.items()
        },
        "offline": shop.offline,
        "off_policy": {
            name: None if found.refused else _said(found.values["snips"])
            for name, found in replays.items()
        },
        "refused": next((found.refused for found in replays.values() if found.refused), ""),
        "live": {
            effect.arm: {
                **_said(Interval(effect.difference, effect.low, effect.high, effect.n)),
                "adjusted": _number(effect.adjusted),
                "detectable": _number(effect.detectable),
            }
            for effect in effects
        },
        "best": verdicts.truth({name: ran[name] for name in policies}),
        "chosen": chosen,
    }


def summary(runs: Sequence[Record], names: Sequence[str]) -> Record:
    """Over the runs: figures with intervals, gains in retention over the first, and the judges.

    A judge is right where no policy kept more than the one it chose; regret is what its choice
    lost against the best, as a share of customers. A judge that refuses keeps the first policy.
    """
    every = {name: runs[0]["figures"][name] for name in ("nothing", *names, "oracle")}
    figures = {
        name: {
            key: _said(verdicts.over_runs([run["figures"][name][key] for run in runs]))
            for key in keys
        }
        for name, keys in every.items()
    }
    kept = {name: np.array([run["figures"][name]["retained"] for run in runs]) for name in every}
    best = np.max([kept[name] for name in names], axis=0)
    judges = {}
    for judge in JUDGES:
        picks = [run["chosen"][judge] or names[0] for run in runs]
        got = np.array([kept[name][place] for place, name in enumerate(picks)])
        judges[judge] = {
            "chosen": dict(Counter(picks).most_common()),
            "refused": sum(run["chosen"][judge] is None for run in runs),
            "right": int((got >= best).sum()),
            "regret": _said(verdicts.over_runs(best - got)),
        }
    return {
        "customers": int(np.mean([run["customers"] for run in runs])),
        "figures": figures,
        "gains": {
            name: _said(verdicts.over_runs(kept[name] - kept[names[0]])) for name in names[1:]
        },
        "best": max(names, key=lambda name: float(kept[name].mean())),
        "judges": judges,
    }


def _said(found: Interval) -> dict[str, float | None]:
    """An interval in numbers."""
    return {name: _number(getattr(found, name)) for name in ("mean", "low", "high")}


def _number(value: float) -> float | None:
    """As JSON has it: no NaN."""
    return None if np.isnan(value) else float(value)
