"""Activation: a shop's past in, who of the list came back beside a random lapsed customer out.

    .venv/bin/python benchmarks/activation_return.py --workspace DIR [--cuts 4] [--json FILE]

DIR: a workspace that a shop was ingested into, such as Online Retail II. At each cut the list is
made from what was known then, without a bundle, consent or rest: only whom it would choose and in
what order counts. Then: who ordered within the 90 days after it. The last cut lies 90 days before
the newest event, the others 90 days apart. Nobody was contacted, so this is no effect: it says
that the list begins with customers who can still be won.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402

from pipelines import (  # noqa: E402
    activate,
    activation_past,
    activation_people,
    activation_worth,
    steps,
)
from pipelines.build import last_event  # noqa: E402
from pipelines.steps import Job  # noqa: E402

DAYS = 90


def looks(job: Job, cuts: int) -> Iterator[dict[str, Any]]:
    """A row a cut: shares of customers who ordered within DAYS of it."""
    end = last_event(job.workspace.tables)
    for place in range(cuts, 0, -1):
        yield look(job, end - place * timedelta(days=DAYS))


def look(job: Job, cut: datetime) -> dict[str, Any]:
    """One cut: the top decile of the list, all of it, and the lapsed."""
    tables, rules = job.workspace.tables, job.shop.activation
    people = activation_people.people(job.workspace, job.shop, as_of=cut)
    past = activation_past.units(tables, [], as_of=cut)
    worth = activation_worth.worth(people, past, rules)
    n = len(people.ids)
    reached, never = pa.repeat(pa.scalar("email"), n), np.full(n, np.nan)
    left = activate.left_out(people, worth, reached, never, rules)
    chosen = np.flatnonzero(left == "")
    gain = worth.with_ - worth.without
    chosen = chosen[np.argsort(-gain[chosen], kind="stable")]
    bought = activation_past.bought(tables, cut, cut + timedelta(days=DAYS))
    bought = bought.filter(pc.equal(bought["purchase"], 1))
    back = np.isin(people.ids.to_pylist(), bought["customer_id"].drop_null().to_pylist())
    lapsed = back[np.array(people.stage.to_pylist()) == "lapsed"]
    top = back[chosen[: max(1, len(chosen) // 10)]]
    return {
        "cut": cut.date().isoformat(),
        "customers": n,
        "chosen": len(chosen),
        "top_decile": float(top.mean()),
        "all_chosen": float(back[chosen].mean()),
        "lapsed": float(lapsed.mean()),
        "n_lapsed": len(lapsed),
        "times": float(top.mean() / lapsed.mean()) if lapsed.any() else None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--cuts", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    rows = []
    for row in looks(steps.job(given.workspace), given.cuts):
        rows.append(row)
        times = "–" if row["times"] is None else f"{row['times']:.2f} times"
        print(
            f"{row['cut']}: {row['chosen']:,} chosen of {row['customers']:,}; back within {DAYS} "
            f"days: top decile {row['top_decile']:.1%}, all chosen {row['all_chosen']:.1%}, a "
            f"random lapsed customer {row['lapsed']:.1%} (of {row['n_lapsed']:,}): {times}",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
