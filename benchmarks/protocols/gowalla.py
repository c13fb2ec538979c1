"""Gowalla check-ins, the LightGCN split: a configuration in, recall and NDCG at 20 out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.rows import Printed, Row, model, name_of, read, rows
from models.recommender import Recommender

K = 20

PUBLISHED = {
    name: {"recall_at_20": Printed(recall, source), "ndcg_at_20": Printed(ndcg, source)}
    for name, recall, ndcg, source in (
        ("neighbours", 0.1570, 0.1214, "ItemCF, BARS leaderboard"),
        ("ease", 0.1765, 0.1467, "EASE, BARS leaderboard"),
        ("als", 0.171, 0.146, "our own aim: a tuned iALS as first measured here"),
        ("graph", 0.1941, 0.1616, "ChebyCF, its repository"),
        ("graph_gfcf", 0.1849, 0.1518, "GF-CF, its paper"),
        ("blend", 0.1941, 0.1616, "ChebyCF, its repository: the best of the zoo"),
    )
}


def run(config: Path) -> list[Row]:
    """Over all products not in training, and the customers who have test items."""
    table = read("gowalla.parquet")
    ids = {
        "customer_id": pc.cast(table["user"], pa.string()),
        "product_id": pc.cast(table["item"], pa.string()),
    }
    pairs = pa.table({**ids, "weight": np.ones(table.num_rows, np.float32)})
    training = pc.equal(table["split"], "train")
    truth = pairs.filter(pc.invert(training))
    recommender = Recommender(model(config))
    started = time.perf_counter()
    recommender.fit(pairs.filter(training))
    fitted = time.perf_counter()
    ranked = recommender.rank(recommender.history, K).codes  # (customers, K)
    done = time.perf_counter()
    recall, ndcg = figures(
        ranked,
        recommender.customer_map.codes(truth["customer_id"], unknown="raise"),
        recommender.product_map.codes(truth["product_id"]),
    )
    name = name_of(config, "gowalla")
    return rows(
        "gowalla",
        name,
        {"recall_at_20": recall, "ndcg_at_20": ndcg},
        PUBLISHED.get(name, {}),
        seconds=done - started,
        fit_seconds=fitted - started,
    )


def figures(
    ranked: npt.NDArray[np.int32], rows: npt.NDArray[np.int32], codes: npt.NDArray[np.int32]
) -> tuple[float, float]:
    """Mean recall and NDCG over the rows that have a truth, by LightGCN's protocol.

    ranked: (customers, k) product codes, best first. rows, codes: the truth's pairs, each once; a
    product without a code can't be ranked but counts. Recall is over all of the truth, the ideal
    of NDCG over its first k.
    """
    k = ranked.shape[1]
    width = np.int64(max(ranked.max(), codes.max()) + 2)
    taken = np.arange(len(ranked))[:, None] * width + ranked + 1
    hits = np.isin(taken, rows * width + codes + 1) & (ranked >= 0)  # (customers, k)
    truths = np.bincount(rows, minlength=len(ranked))
    asked = truths > 0
    gain = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gain)[np.minimum(truths, k) - 1]
    recall = hits.sum(axis=1)[asked] / truths[asked]
    ndcg = (hits @ gain)[asked] / ideal[asked]
    return float(recall.mean()), float(ndcg.mean())
