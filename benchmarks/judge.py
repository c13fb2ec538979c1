"""Judging: ranked lists and a truth in, the time to judge them beside the usual ways out.

    python benchmarks/judge.py --customers 200000 --json judge.json

Lists of 10 from 20,000 products, three true products a customer, five known ones; drawing them is
not timed. All sides are checked to agree on ndcg@10, the script on every customer's.

- `per_customer`: Arrow tables with string ids in, all eight metrics out.
- scikit-learn's `ndcg_score`: ndcg alone, from dense arrays of 10 + 3 columns that hold the listed
  products and what the list missed; making those arrays from ids is not counted for it. Given the
  whole catalogue, its way is customers x products: too large for one machine's memory.
- a plain Python loop over dictionaries, as evaluation scripts have it: ndcg alone; making the
  dictionaries from the tables is counted, as it is for ours.
- the bootstrap interval of a mean, beside `scipy.stats.bootstrap` (percentile) with as many
  resamples: of ndcg, which takes few distinct values, so that ours is the same bootstrap drawn
  faster; and of amounts all distinct, where ours gathers like values (docs/metrics.md).

Wall time, the best of three runs (scipy: one).  ratio: above 1, ours is better.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evaluation.intervals import mean_interval
from models.evaluation.metrics import per_customer

K, TRUE, KNOWN, PRODUCTS = 10, 3, 5, 20_000


def main() -> None:
    asked = argparse.ArgumentParser(description="Time of judging beside the usual ways.")
    asked.add_argument("--customers", type=int, default=200_000)
    asked.add_argument("--resamples", type=int, default=1_000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--json", type=Path)
    options = asked.parse_args()
    rows = measure(options.customers, options.resamples, options.seed)
    width = max(len(row["case"]) for row in rows)
    print(f"{'case':{width}}  {'ours':>9}  {'other':>8}  {'ratio':>6}  other")
    for row in rows:
        print(
            f"{row['case']:{width}}  {row['ours']:9.4f}  {row['other']:8.2f}  "
            f"{row['ratio']:6.1f}  {row['other_name']}"
        )
    print("seconds; ratio: above 1, ours is better")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(customers: int, resamples: int, seed: int) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scipy.stats import bootstrap
        from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]

    rng = np.random.default_rng(seed)
    listed, true, known = draw(rng, customers)
    lists, truth, before = tables(listed, true, known)
    ours, judged = best(lambda: per_customer(lists, truth, known=before, k=K))
    ndcg = judged["ndcg_at_10"].to_numpy()
    loop, slow = best(lambda: by_hand(lists, truth))
    relevance, scores = dense(listed, true)
    sklearn, mean = best(lambda: ndcg_score(relevance, scores, k=K))
    by_script = [slow[customer] for customer in judged["customer_id"].to_pylist()]
    if not np.allclose(ndcg, by_script) or not math.isclose(ndcg.mean(), mean):
        raise SystemExit("the sides disagree on ndcg@10: their times say nothing")

    size = f"{customers:,} customers x {K}"
    rows = [
        row(f"{size}, eight metrics from ids | ndcg from ids", ours, loop, "plain Python loop"),
        row(
            f"{size}, eight metrics from ids | ndcg from ready arrays",
            ours,
            sklearn,
            "sklearn.metrics.ndcg_score",
        ),
    ]
    for what, values in (("ndcg", ndcg), ("amounts", rng.lognormal(3, 1, customers))):
        interval, _ = best(partial(mean_interval, values, seed=seed, resamples=resamples))
        scipy, _ = best(
            partial(
                bootstrap,
                (values,),
                np.mean,
                n_resamples=resamples,
                method="percentile",
                rng=rng,
                batch=20,
            ),
            times=1,
        )
        case = f"interval of the mean {what} of {customers:,}, {resamples:,} resamples"
        rows.append(row(case, interval, scipy, "scipy.stats.bootstrap"))
    return rows


def row(case: str, ours: float, other: float, name: str) -> dict[str, Any]:
    return {
        "case": case,
        "ours": ours,
        "other": other,
        "other_name": name,
        "ratio": other / ours,
        "unit": "seconds",
    }


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Least wall time of some runs, and what the last gave."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return min(taken), result


Codes = npt.NDArray[np.int64]


def draw(rng: np.random.Generator, customers: int) -> tuple[Codes, Codes, Codes]:
    """Product codes (customers, K), (customers, TRUE), (customers, KNOWN), distinct in a row.

    Every other customer's truth holds one product of her list.
    """
    steps = np.arange(K + TRUE + KNOWN) * 997  # distinct modulo PRODUCTS
    codes = (rng.integers(0, PRODUCTS, (customers, 1)) + steps) % PRODUCTS
    listed, true, known = codes[:, :K], codes[:, K : K + TRUE].copy(), codes[:, K + TRUE :]
    rows = np.arange(0, customers, 2)
    true[rows, 0] = listed[rows, rng.integers(0, K, len(rows))]
    return listed, true, known


def tables(listed: Codes, true: Codes, known: Codes) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The same as Arrow tables with string ids."""
    n = len(listed)
    customers = pa.array([f"customer-{i:08d}" for i in range(n)])
    products = pa.array([f"product-{i:06d}" for i in range(PRODUCTS)])

    def table(codes: Codes) -> pa.Table:
        who = np.repeat(np.arange(n), codes.shape[1])
        return pa.table(
            {
                "customer_id": customers.take(pa.array(who)),
                "product_id": products.take(pa.array(codes.ravel())),
            }
        )

    ranks = pa.array(np.tile(np.arange(1, K + 1, dtype=np.int32), n))
    revenue = pa.array(np.full(n * TRUE, 9.5))
    return (
        table(listed).append_column("rank", ranks),
        table(true).append_column("revenue", revenue),
        table(known),
    )


def dense(listed: Codes, true: Codes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(customers, K + TRUE) relevance and scores: the list, then what it missed, ranked last."""
    hit = (listed[:, :, None] == true[:, None, :]).any(axis=2)  # (customers, K)
    missed = ~(true[:, :, None] == listed[:, None, :]).any(axis=2)  # (customers, TRUE)
    relevance = np.hstack([hit, missed]).astype(np.float64)
    scores = np.tile(np.arange(K + TRUE, 0, -1, dtype=np.float64), (len(listed), 1))
    return relevance, scores


def by_hand(lists: pa.Table, truth: pa.Table) -> dict[str, float]:
    """ndcg@10 by customer, as a script would."""
    tops: dict[str, list[str]] = {}
    for who, what in zip(
        lists["customer_id"].to_pylist(), lists["product_id"].to_pylist(), strict=True
    ):
        tops.setdefault(who, []).append(what)
    bought: dict[str, set[str]] = {}
    for who, what in zip(
        truth["customer_id"].to_pylist(), truth["product_id"].to_pylist(), strict=True
    ):
        bought.setdefault(who, set()).add(what)
    figures = {}
    for who, true in bought.items():
        gain = sum(
            1 / math.log2(i + 2) for i, what in enumerate(tops.get(who, [])[:K]) if what in true
        )
        figures[who] = gain / sum(1 / math.log2(i + 2) for i in range(min(K, len(true))))
    return figures


if __name__ == "__main__":
    main()
