"""Amazon Beauty, each customer's last event to be foretold: a configuration in, HR and NDCG out.

The protocol of S3-Rec (Zhou et al., 2020): the last event is the test, the last but one the
validation; every product that she has not had is ranked, validation known. `sasrec` learns from
the training part only: the validation event says when to stop and is learned from by nobody.
`sasrec refitted` learns from training and validation for as many epochs as that one did. Figures
are means over SEEDS, `spread` their standard deviation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.rows import Printed, Row, model, name_of, read, rows
from models.recommender import Recommender

K = 10
SEEDS = (0, 1, 2)
ESASREC = "eSASRec, RecTools' team, 2025; whether refitted on validation is not said"
AIM = "our own aim, above the .0605/.0318 of S3-Rec's table"

PUBLISHED = {
    "sasrec": {"hit_rate_at_10": Printed(0.083, AIM), "ndcg_at_10": Printed(0.050, AIM)},
    "sasrec refitted": {
        "hit_rate_at_10": Printed(0.0928, ESASREC),
        "ndcg_at_10": Printed(0.0531, ESASREC),
    },
}


class Fitted(NamedTuple):
    """One seed's model, its figures on the test and the seconds of its fit and of all."""

    scorer: Any
    figures: dict[str, float]
    fit_seconds: float
    seconds: float


def run(config: Path) -> list[Row]:
    """Two rows trained on the training part only, and for sasrec two of the model refitted."""
    name = name_of(config, "beauty")
    known, truth = tables()
    given = model(config)
    if name != "sasrec":
        return summed(name, [fit(given, known, truth)])
    learned = [fit(replace(given, seed=seed), known, truth) for seed in SEEDS]
    refitted = [
        fit(
            replace(one.scorer, held_out=0.0, patience=0, epochs=one.scorer.learned_epochs),
            known,
            truth,
        )
        for one in learned
    ]
    return [*summed(name, learned), *summed(f"{name} refitted", refitted)]


def tables() -> tuple[pa.Table, pa.Table]:
    """Events but each customer's last, in their order; and the last ones."""
    table = read("amazon_beauty.parquet").sort_by(
        [("user", "ascending"), ("position", "ascending")]
    )
    user = table["user"].to_numpy()
    last = pa.array(np.append(user[1:] != user[:-1], True))
    events = pa.table(
        {
            "customer_id": pc.cast(table["user"], pa.string()),
            "product_id": pc.cast(table["item"], pa.string()),
            "weight": np.ones(table.num_rows, np.float32),
        }
    )
    return events.filter(pc.invert(last)), events.filter(last)


def fit(scorer: Any, known: pa.Table, truth: pa.Table) -> Fitted:
    """Learn from what is known and rank; a product that nobody had can't be ranked but counts."""
    started = time.perf_counter()
    recommender = Recommender(scorer).fit(known, events=known)
    learned = time.perf_counter()
    ranked = recommender.rank(recommender.history, K).codes  # (customers, K)
    rows = recommender.customer_map.codes(truth["customer_id"], unknown="raise")
    right = recommender.product_map.codes(truth["product_id"])
    found = figures(ranked[rows], right)
    return Fitted(scorer, found, learned - started, time.perf_counter() - started)


def figures(ranked: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> dict[str, float]:
    """Hit rate and NDCG at 10 of (customers, 10) codes, each customer having one right product."""
    hits = (ranked == right[:, None]) & (ranked >= 0)
    gain = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    return {
        "hit_rate_at_10": float(hits.any(axis=1).mean()),
        "ndcg_at_10": float((hits @ gain).mean()),
    }


def summed(name: str, fits: Sequence[Fitted]) -> list[Row]:
    """A row a metric: the mean over seeds, their standard deviation beside it."""
    values = {metric: [one.figures[metric] for one in fits] for metric in fits[0].figures}
    of = rows(
        "beauty",
        name,
        {metric: float(np.mean(each)) for metric, each in values.items()},
        PUBLISHED.get(name, {}),
        seconds=sum(one.seconds for one in fits),
        fit_seconds=sum(one.fit_seconds for one in fits),
    )
    for row in of:
        each = values[row["metric"]]
        row["seeds"] = [round(value, 5) for value in each]
        row["spread"] = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    return of
