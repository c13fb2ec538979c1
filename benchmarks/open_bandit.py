"""Open Bandit: the sample's two logs in, each policy's value from the other's log out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.evaluation import replay

DATA = Path(os.environ.get("REGULARS_DATA", "../shared/data"))


def open_bandit() -> list[dict[str, Any]]:
    """Each policy's clicks an exposure from the other's log, beside what it truly had.

    Nothing where the sample is not there.
    """
    if not (DATA / "open_bandit.parquet").exists():
        return []
    every = pq.read_table(DATA / "open_bandit.parquet")
    rows = []
    for campaign in ("men", "women"):
        for target, log in (("random", "bts"), ("bts", "random")):
            truth, exposures, policy = bandit_case(every, campaign, target=target, log=log)
            got = replay.value(exposures, policy, seed=1)
            row: dict[str, Any] = {"campaign": campaign, "target": target, "log": log}
            row |= {"truth": truth, "effective": round(got.overlap.effective, 1)}
            for name, value in got.values.items():
                row[name] = [round(part, 5) for part in (value.mean, value.low, value.high)]
            rows.append(row | {"refused": got.refused})
    return rows


def bandit_case(
    every: pa.Table, campaign: str, *, target: str, log: str
) -> tuple[float, pa.Table, pa.Table]:
    """The target's own click rate, the other's exposures, and the target's distribution.

    random is uniform over the campaign's items. What bts would show is how often it showed each
    item at each position of its own log: obp computes the like by drawing from its priors.
    """
    of = every.filter(pc.equal(every["campaign"], campaign))
    ours, theirs = (of.filter(pc.equal(of["policy"], name)) for name in (target, log))
    exposures = pa.table(
        {
            "request_id": [f"r{row}" for row in range(theirs.num_rows)],
            "position": theirs["position"],
            "product_id": theirs["item_id"].cast(pa.string()),
            "propensity": theirs["propensity_score"],
            "reward": theirs["click"],
        }
    )
    position, item = ours["position"].to_numpy(), ours["item_id"].to_numpy()
    places, items = np.unique(position), np.unique(item)
    count = np.ones((len(places), len(items)))
    if target != "random":
        count[:] = 0
        np.add.at(count, (np.searchsorted(places, position), np.searchsorted(items, item)), 1)
    policy = pa.table(
        {
            "position": np.repeat(places, len(items)),
            "product_id": pa.array(np.tile(items, len(places))).cast(pa.string()),
            "probability": (count / count.sum(axis=1, keepdims=True)).ravel(),
        }
    )
    return float(pc.mean(ours["click"]).as_py()), exposures, policy
