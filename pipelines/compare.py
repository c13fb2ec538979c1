"""Compare: judged runs in, which is better, for whom, how surely and at what cost out.

Everything is paired over the same customers of the same windows; runs that were judged on other
data or splits are refused with the reason.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.artifact import write_text
from pipelines import choose, compare_people, judgement, train
from pipelines.compare_figures import differences, folds, kinds
from pipelines.compare_sides import Side, load, refuse, split, unlike
from pipelines.compare_verdict import Facts, weigh
from pipelines.settings import BASELINE, Shop
from pipelines.tracking import JUDGED, Run, Tracking, TrackingError

SHOWN = (
    "coverage", "new_share", "price", "revenue", "novelty", "diversity", "fallback_share", "gini",
)  # fmt: skip
FOLDER = "comparison"


def run(shop: Shop, tracking: Tracking, *, names: Sequence[str] = ()) -> dict[str, Any]:
    """Compare runs with the first of them; a name is a model's, meaning its newest, or a run's id.

    Without names: every model of the newest judgement, against popularity. Gives `baseline`,
    `metric`, `customers`, `models`, `run_ids`, `differences`, `kinds`, `folds`, `slices`, `shown`,
    `suppliers`, `costs`, `people`, `left_out` and `verdict`; docs/command-line.md says what is in
    each. Raises TrackingError for named runs that were judged on other data or splits; without
    names such runs are left out, with the reason.
    """
    judged = [one for one in tracking.runs() if JUDGED in one.tags]
    if not judged:
        raise TrackingError("no run was judged yet: `regulars judge` first")
    chosen = _chosen(judged, names)
    sides = [load(tracking, label, one) for label, one in chosen.items()]
    left_out: dict[str, str] = {}
    if not names:  # a model that nobody asked for by name must not stand in the way
        left_out = {one.label: why for one in sides if (why := unlike(sides[0], one))}
        sides = [one for one in sides if one.label not in left_out]
    refuse(sides)
    serving = train.champion(tracking)
    champion = None if serving is None else serving.id
    others = _beside(tracking, judged, sides, champion)
    tables = tracking.workspace.tables
    enough = choose.enough(tables)
    suppliers = tables.current("suppliers")
    named: dict[str, str] = {}
    if suppliers is not None:
        known = suppliers.read(["supplier_id", "name"])
        named = dict(zip(known["supplier_id"].to_pylist(), known["name"].to_pylist(), strict=True))
    facts = Facts(champion, enough, others)
    return {**assemble(shop, sides, facts, suppliers=named), "left_out": left_out}


def assemble(
    shop: Shop, sides: Sequence[Side], facts: Facts, *, suppliers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The record of a comparison from what was loaded; suppliers: names by id."""
    base, metric = sides[0], shop.judge.metric
    try:
        found = differences(shop.judge, sides)
        by_kind = kinds(shop.judge, sides)
        by_fold = folds(shop.judge, sides)
    except ValueError as error:
        raise TrackingError(f"the runs cannot be compared: {error}") from error
    at = f"_at_{shop.judge.k}"
    names = suppliers or {}
    return {
        "baseline": base.label,
        "metric": metric,
        "k": shop.judge.k,
        "customers": base.per_customer.num_rows,
        "windows": [{key: one[key] for key in ("cut", "until")} for one in base.summary["folds"]],
        "models": {one.label: one.summary["metrics"] for one in sides},
        "run_ids": {one.label: one.run_id for one in sides},
        "seen": {one.label: one.seen for one in sides},
        "verdict": weigh(shop, sides, facts, found, by_kind, by_fold),
        "differences": found,
        "kinds": by_kind,
        "folds": by_fold,
        "slices": {one.label: _slices(one, metric) for one in sides},
        "shown": {
            one.label: {
                name: one.summary["metrics"].get(name + at, {}).get("mean")
                for name in (*SHOWN, "supplier_gini")
            }
            for one in sides
        },
        "suppliers": {
            one.label: {names.get(id) or id: share for id, share in one.suppliers.items()}
            for one in sides
        },
        "costs": {one.label: one.costs for one in sides},
        "people": compare_people.beside(sides),
    }


def track(tracking: Tracking, record: dict[str, Any], page: str) -> None:
    """Add the page and the record to each candidate's run, named by the run it is compared with."""
    name = record["run_ids"][record["baseline"]]
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with tempfile.TemporaryDirectory(dir=tracking.workspace.root, prefix=".compare.") as folder:
        for end, content in (("html", page), ("json", text)):
            write_text(Path(folder) / f"{name}.{end}", content)
        for run_id in record["run_ids"].values():
            if run_id != name:
                for path in sorted(Path(folder).iterdir()):
                    tracking.add(run_id, path, FOLDER)


def _chosen(judged: Sequence[Run], names: Sequence[str]) -> dict[str, Run]:
    """Runs by label, the baseline first."""
    if not names:
        newest: dict[str, Run] = {}
        for one in judged:
            if one.tags["regulars.as_of"] == judged[0].tags["regulars.as_of"]:
                newest.setdefault(one.tags["regulars.model"], one)
        return dict(sorted(newest.items(), key=lambda item: (item[0] != BASELINE, item[0])))
    chosen: dict[str, Run] = {}
    for name in names:
        match = [one for one in judged if name in (one.tags["regulars.model"], one.id)]
        if not match:
            models = sorted({one.tags["regulars.model"] for one in judged})
            raise TrackingError(f"want a run's id or one of {', '.join(models)}, got {name!r}")
        chosen[name] = match[0]
    return chosen


def _beside(
    tracking: Tracking, judged: Sequence[Run], sides: Sequence[Side], champion: str | None
) -> list[Side]:
    """Popularity and what serves, judged on the same, where they are not among the compared."""
    found: list[Side] = []
    wanted = [("regulars.model", BASELINE), ("regulars.recipe", champion)]
    here = [{"regulars.model": one.model, "regulars.recipe": one.recipe} for one in sides]
    for tag, value in wanted:
        if value is None or any(one[tag] == value for one in here):
            continue
        for run in judged:
            if run.tags.get(tag) == value:
                summary = judgement.load(tracking, run)
                if split(summary) == split(sides[0].summary):
                    name = run.tags["regulars.model"]
                    taken = any(one.label == name for one in (*sides, *found))
                    found.append(load(tracking, "champion" if taken else name, run))
                    break
    return found


def _slices(side: Side, metric: str) -> list[dict[str, Any]]:
    """One metric by kind of customer, as the run's own judgement has it."""
    rows = side.slices.to_pylist()
    return [
        {key: value for key, value in row.items() if key != "metric"}
        for row in rows
        if row["metric"] == metric
    ]
