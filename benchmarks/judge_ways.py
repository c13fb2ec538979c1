"""Lists, a truth and one way of judging them in, its figures, seconds and peak memory out.

    PYTHON benchmarks/judge_ways.py WAY FOLDER

benchmarks/judge.py starts it, one process a way, with the interpreter that has it. FOLDER holds
listed.npy, (customers, k) product codes, true.npy and known.npy alike. What is ready before the
clock starts: for `arrays` and ranx the arrays that they take, for `tables` Arrow tables of string
ids, dictionary-encoded, for RecTools data frames of whole numbers. Numba's compiling is not timed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.int32]
Figures: TypeAlias = dict[str, float]

NAMES = ("ndcg", "recall", "hit_rate", "map", "mrr")
RUNS = 3
FEW = 100  # customers to compile with


def main() -> None:
    way, folder = sys.argv[1], Path(sys.argv[2])
    listed, true, known = (np.load(folder / f"{n}.npy") for n in ("listed", "true", "known"))
    make = WAYS[way]
    make(listed[:FEW], true[:FEW], known[:FEW])()
    work = make(listed, true, known)
    if way != "arrays":
        del listed, true, known  # what a way does not read is no part of its memory
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        figures = work()
        taken.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"figures": figures, "seconds": min(taken), "peak_rss_mb": round(peak)}))


def tables(listed: Codes, true: Codes, known: Codes) -> Callable[[], Figures]:
    """Ours from tables of ids: all eight metrics of every customer, and the means of five."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from models.evaluation.metrics import per_customer

    n, k = listed.shape
    customers = pa.array([f"customer-{i:08d}" for i in range(n)])
    products = pa.array(
        [f"product-{i:06d}" for i in range(1 + max(c.max() for c in (listed, true, known)))]
    )

    def table(codes: Codes) -> pa.Table:
        who = np.repeat(np.arange(n, dtype=np.int32), codes.shape[1])
        return pa.table(
            {
                "customer_id": pa.DictionaryArray.from_arrays(pa.array(who), customers),
                "product_id": pa.DictionaryArray.from_arrays(pa.array(codes.ravel()), products),
            }
        )

    ranks = np.tile(np.arange(1, k + 1, dtype=np.int32), n)
    lists = table(listed).append_column("rank", pa.array(ranks))
    truth = table(true).append_column("revenue", pa.array(np.full(true.size, 9.5)))
    before = table(known)

    def work() -> Figures:
        judged = per_customer(lists, truth, known=before, k=k)
        return {name: pc.mean(judged[f"{name}_at_{k}"]).as_py() for name in NAMES}

    return work


def arrays(listed: Codes, true: Codes, known: Codes) -> Callable[[], Figures]:
    """Ours from arrays of codes: the same."""
    from models.evaluation.pages import METRICS, figures, truth_of

    n, k = listed.shape
    products = 1 + int(max(codes.max() for codes in (listed, true, known)))
    who, before = (
        np.repeat(np.arange(n, dtype=np.int32), codes.shape[1]) for codes in (true, known)
    )
    revenue = np.full(true.size, 9.5)

    def work() -> Figures:
        truth = truth_of(
            who,
            true.ravel(),
            revenue,
            known=(before, known.ravel()),
            customers=n,
            products=products,
        )
        found = figures(listed, truth, k=k, products=products)
        return {name: float(found[METRICS.index(name)].mean()) for name in NAMES}

    return work


def ranx(listed: Codes, true: Codes, known: Codes) -> Callable[[], Figures]:
    """Ranx from the arrays that it takes, sorted: five metrics of every customer and the means."""
    from ranx import evaluate  # type: ignore[import-not-found, unused-ignore]

    n, k = listed.shape
    run = np.empty((n, k, 2))  # product and score
    run[:, :, 0], run[:, :, 1] = listed, np.arange(k, 0, -1)
    truth = np.ones((n, true.shape[1], 2))  # product and relevance
    truth[:, :, 0] = true

    def work() -> Figures:
        found: Any = evaluate(truth, run, [f"{name}@{k}" for name in NAMES], return_mean=False)
        return {name: float(np.mean(found[f"{name}@{k}"])) for name in NAMES}

    return work


def rectools(listed: Codes, true: Codes, known: Codes) -> Callable[[], Figures]:
    """RecTools from data frames of whole numbers: the means of five metrics."""
    import pandas as pd
    from rectools.metrics import (  # type: ignore[import-not-found, unused-ignore]
        MAP,
        MRR,
        NDCG,
        HitRate,
        Recall,
        calc_metrics,
    )

    n, k = listed.shape
    who = np.arange(n, dtype=np.int32)
    rank = np.tile(np.arange(1, k + 1, dtype=np.int32), n)
    columns = {"user_id": np.repeat(who, k), "item_id": listed.ravel(), "rank": rank}
    reco = pd.DataFrame(columns, copy=False)
    truth = pd.DataFrame({"user_id": np.repeat(who, true.shape[1]), "item_id": true.ravel()})
    metrics = {
        "ndcg": NDCG(k, divide_by_achievable=True),
        "recall": Recall(k),
        "hit_rate": HitRate(k),
        "map": MAP(k),
        "mrr": MRR(k),
    }

    def work() -> Figures:
        return {name: float(value) for name, value in calc_metrics(metrics, reco, truth).items()}

    return work


WAYS = {"tables": tables, "arrays": arrays, "ranx": ranx, "rectools": rectools}

if __name__ == "__main__":
    main()
