"""Judging: ranked lists and a truth in, the time to judge them beside the usual ways out.

    make peers
    .venv/bin/python benchmarks/judge.py --customers 200000 --large 1000000 --json judge.json

**Large**: lists of 100 from 20,000 products, five true products a customer, five known ones, each
way in a process of its own (benchmarks/judge_ways.py), on all cores. All must give the same ndcg,
recall, hit rate, average precision and reciprocal rank within 1e-6; ours give three figures more.

- ours from tables of ids | RecTools from data frames of whole numbers
- ours from arrays of codes | ranx from the arrays that it takes

**Small**: lists of 10 from 20,000 products, three true products a customer, five known ones;
drawing them is not timed. All sides are checked to agree on ndcg@10, the script on every
customer's.

- `per_customer`: Arrow tables with string ids in, all eight metrics out.
- scikit-learn's `ndcg_score`: ndcg alone, from dense arrays of 10 + 3 columns that hold the listed
  products and what the list missed; making those arrays from ids is not counted for it. Given the
  whole catalogue, its way is customers x products: too large for one machine's memory.
- a plain Python loop over dictionaries, as evaluation scripts have it: ndcg alone; making the
  dictionaries from the tables is counted, as it is for ours.
- the bootstrap interval of a mean, beside `scipy.stats.bootstrap` (percentile) with as many
  resamples: of ndcg, which takes few distinct values, so that ours is the same bootstrap drawn
  faster; and of amounts all distinct, where ours gathers like values (docs/metrics.md).

Wall time, the best of three runs (scipy: one), and peak memory of the large ways, inputs included.
ratio: above 1, ours is better.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
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

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".peers-rectools" / "bin" / "python"
K, TRUE, KNOWN, PRODUCTS = 10, 3, 5, 20_000
MANY, MANY_TRUE = 100, 5  # the same of the large case
PAIRS = (("tables", "rectools"), ("arrays", "ranx"))


def main() -> None:
    asked = argparse.ArgumentParser(description="Time of judging beside the usual ways.")
    asked.add_argument("--customers", type=int, default=200_000)
    asked.add_argument("--large", type=int, default=1_000_000, help="customers; 0 leaves it out")
    asked.add_argument("--peer", type=Path, default=PEER, help="the interpreter that has the peers")
    asked.add_argument("--resamples", type=int, default=1_000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--json", type=Path)
    options = asked.parse_args()
    if options.large and not options.peer.exists():
        raise SystemExit(f"{options.peer} is missing: run `make peers`, or give --large 0")
    rows = large(options.large, options.seed, options.peer) if options.large else []
    rows += measure(options.customers, options.resamples, options.seed)
    width = max(len(row["case"]) for row in rows)
    print(f"{'case':{width}}  {'ours':>9}  {'other':>9}  {'ratio':>6}  unit     other")
    for row in rows:
        print(
            f"{row['case']:{width}}  {row['ours']:9,.3f}  {row['other']:9,.2f}  "
            f"{row['ratio']:6.1f}  {row['unit']:7}  {row['other_name']}"
        )
    print("ratio: above 1, ours is better")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def large(customers: int, seed: int, peer: Path) -> list[dict[str, Any]]:
    """Each way on the same lists of 100, one after another; ends where they disagree."""
    rng = np.random.default_rng(seed)
    drawn = draw(rng, customers, MANY, MANY_TRUE)
    with tempfile.TemporaryDirectory(prefix="regulars-benchmark-") as scratch:
        for name, codes in zip(("listed", "true", "known"), drawn, strict=True):
            np.save(Path(scratch) / f"{name}.npy", codes.astype(np.int32))
        del drawn
        said = {}
        for way in (way for pair in PAIRS for way in pair):
            python = peer if way in ("ranx", "rectools") else sys.executable
            command = [str(python), str(ROOT / "benchmarks" / "judge_ways.py"), way, scratch]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            said[way] = json.loads(done.stdout)
    for way, one in said.items():
        for name, value in one["figures"].items():
            if not abs(value - said["tables"]["figures"][name]) < 1e-6:
                raise SystemExit(f"{way} disagrees on {name}: the times say nothing")
    size = f"{customers:,} customers x {MANY}"
    rows = []
    for ours, other in PAIRS:
        case = f"{size}, eight metrics from {ours} | five"
        for figure, unit in (("seconds", "seconds"), ("peak_rss_mb", "MB")):
            rows.append(row(case, said[ours][figure], said[other][figure], other, unit))
    return rows


def measure(customers: int, resamples: int, seed: int) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scipy.stats import bootstrap
        from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]

    rng = np.random.default_rng(seed)
    listed, true, known = draw(rng, customers, K, TRUE)
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


def row(case: str, ours: float, other: float, name: str, unit: str = "seconds") -> dict[str, Any]:
    return {
        "case": case,
        "ours": ours,
        "other": other,
        "other_name": name,
        "ratio": other / ours,
        "unit": unit,
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


def draw(
    rng: np.random.Generator, customers: int, k: int, count: int
) -> tuple[Codes, Codes, Codes]:
    """Product codes (customers, k), (customers, count), (customers, KNOWN), distinct in a row.

    Every other customer's truth holds one product of her list.
    """
    steps = np.arange(k + count + KNOWN) * 97  # distinct modulo PRODUCTS
    codes = (rng.integers(0, PRODUCTS, (customers, 1)) + steps) % PRODUCTS
    listed, true, known = codes[:, :k], codes[:, k : k + count].copy(), codes[:, k + count :]
    rows = np.arange(0, customers, 2)
    true[rows, 0] = listed[rows, rng.integers(0, k, len(rows))]
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
