"""Factors of customers and products in, the speed of ranking beside the usual ways out.

    python benchmarks/rank.py [--case all] [--rows 30000] [--threads N] [--json FILE]

all: every customer's 100 best of 10,000 products and of 41,000, 128 factors, what she has seen
left out; the larger with Gowalla's own seen products where $REGULARS_DATA has them.

- bare: nothing but `left @ right.T` by NumPy into memory that is already there; ranks nothing.
- implicit: its `topk` with `filter_query_items`, as its models' `recommend` calls it.
- torch: product, mask and `topk`, 1,024 rows at a time.

one: one customer's 20 best of 41,000, the products prepared once; p50 of many customers, on one
core. numpy is `right @ left` and `argpartition`. The same products as an exact sort, or it says so.

Factors are drawn from a normal distribution; --factors als takes those that als learned on
Gowalla. The sides take turns in one process, best of --repeat; each side's peak memory above what
it was given is taken in a process of its own. ratio: above 1, ours is better.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

CORES = os.cpu_count() or 1
CASES = {"10k": 10_000, "41k": 41_000}
K, FEW, BATCH = 100, 20, 1024


class Data(NamedTuple):
    """What is ranked: (rows, f), (products, f), CSR (rows, products)."""

    left: Any
    right: Any
    seen: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=("all", "10k", "41k", "one"), default="all")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--factors", choices=("normal", "als"), default="normal")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--without", nargs="*", default=[], help="sides to leave out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # of this side, in this process
    given = parser.parse_args()
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(given.threads)  # before anything is imported that reads them
    if given.memory:
        print(peak(given))
        return
    found: list[dict[str, Any]] = []
    for case in ("10k", "41k", "one") if given.case == "all" else (given.case,):
        found += one(given) if case == "one" else everyone(case, given)
        for row in found[-8:]:
            if not row.get("shown"):
                row["shown"] = True
                print(line(row), flush=True)
    print("ratio: above 1, ours is better")
    for row in found:
        del row["shown"]
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['case']:44}  {row['ours']:10.3f}  {row['other']:10.3f}  {row['ratio']:7.2f}  "
        f"{row['other_name']} ({row['unit']})"
    )


def everyone(case: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Recommend-all, side by side."""
    data = draw(case, given)
    ways = {name: way for name, way in sides(data).items() if name not in given.without}
    few = sides(data._replace(left=data.left[:BATCH], seen=data.seen[:BATCH]))
    for name in ways:  # what runs once is not timed: compiling, loading
        few[name]()
    if "bare" in ways:
        ways["bare"]()  # nor are the pages it writes to, when they are first touched
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.repeat):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    what = f"{data.left.shape[0]:,} x {data.right.shape[0]:,}, {data.left.shape[1]}, top {K}"
    rows = [
        compared(what, min(taken["ours"]), min(times), name, "s")
        for name, times in taken.items()
        if name != "ours"
    ]
    memory = {name: measured(name, case, given) for name in ways}
    return rows + [
        compared(f"{what}, memory", memory["ours"], more, name, "MB")
        for name, more in memory.items()
        if name != "ours"
    ]


def one(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One customer after the other."""
    import numpy as np
    from implicit.cpu.topk import topk
    from threadpoolctl import threadpool_limits

    from models.rank import prepare, top_k_factors

    data = draw("41k", given)
    left, right = data.left[:500], data.right
    prepare(right)

    def numpy(row: int) -> Any:
        scores = right @ left[row]
        scores[data.seen[row].indices] = -np.inf
        best = np.argpartition(scores, -FEW)[-FEW:]
        return best[np.argsort(-scores[best])]

    ways: dict[str, Callable[[int], Any]] = {
        "ours": lambda r: top_k_factors(left[r : r + 1], right, FEW, seen=data.seen[r])[0][0],
        "implicit": lambda r: topk(
            right, left[r : r + 1], FEW, filter_query_items=data.seen[r], num_threads=1
        )[0][0],
        "numpy": numpy,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    wrong = 0
    with threadpool_limits(1, "blas"):
        for row in range(len(left)):
            for name, way in ways.items():
                started = time.perf_counter()
                found = way(row)
                taken[name].append(1000 * (time.perf_counter() - started))
                if name == "ours":
                    wrong += not np.array_equal(found, exact(data, row))
    what = f"1 x {len(right):,}, {right.shape[1]}, top {FEW}"
    print(f"{what}: {len(left) - wrong} of {len(left)} lists as by an exact sort")
    p50 = {name: float(np.median(times)) for name, times in taken.items()}
    p99 = {name: float(np.quantile(times, 0.99)) for name, times in taken.items()}
    others = [name for name in ways if name != "ours"]
    return [compared(f"{what}, p50", p50["ours"], p50[o], o, "ms") for o in others] + [
        compared(f"{what}, p99", p99["ours"], p99[o], o, "ms") for o in others
    ]


def exact(data: Data, row: int) -> Any:
    import numpy as np

    scores = data.right.astype(np.float64) @ data.left[row].astype(np.float64)
    scores[data.seen[row].indices] = -np.inf
    return np.argsort(-scores, kind="stable")[:FEW]


def sides(data: Data) -> dict[str, Callable[[], Any]]:
    """Each way to rank everyone."""
    import numpy as np
    import torch
    from implicit.cpu.topk import topk

    from models.rank import top_k_factors

    left, right, seen = data
    room: list[Any] = []

    def ours() -> Any:
        return top_k_factors(left, right, K, seen=seen)

    def bare() -> Any:
        if not room:
            room.append(np.zeros((len(left), len(right)), np.float32))
        return np.matmul(left, right.T, out=room[0])

    def implicit() -> Any:
        return topk(right, left, K, filter_query_items=seen, num_threads=0)

    def by_torch() -> Any:
        x, y = torch.from_numpy(left), torch.from_numpy(right)
        found = []
        for start in range(0, len(x), BATCH):
            scores = x[start : start + BATCH] @ y.T
            some = seen[start : start + BATCH]
            row = np.repeat(np.arange(len(scores)), np.diff(some.indptr))
            scores[torch.from_numpy(row), torch.from_numpy(some.indices.astype(np.int64))] = -np.inf
            found.append(scores.topk(K))
        return found

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return {"ours": ours, "bare": bare, "implicit": implicit, "torch": by_torch}


def draw(case: str, given: argparse.Namespace) -> Data:
    """Factors and what was seen: for 41k Gowalla's own, where it is at hand."""
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    seen = gowalla() if case == "41k" else None
    if seen is None:
        products = CASES[case]
        popular = np.cumsum(1 / np.arange(10, products + 10))
        row = np.repeat(np.arange(given.rows), rng.integers(5, 60, given.rows))
        column = np.searchsorted(popular, rng.uniform(0, popular[-1], len(row)))
        shape = given.rows, products
        seen = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape)
        seen.sum_duplicates()
        seen.data[:] = 1
    if given.factors == "als":
        from models.als import ALS
        from models.scorer import History

        model = ALS(factors=given.dimensions, iterations=5, alpha0=0.1, l2=1.0, nu=0.5)
        left = model.fit(History(seen)).customer_factors(History(seen))
        right = model.product_factors
    else:
        left = rng.standard_normal((seen.shape[0], given.dimensions), dtype=np.float32)
        right = rng.standard_normal((seen.shape[1], given.dimensions), dtype=np.float32)
    rows = min(given.rows, len(left))
    return Data(np.ascontiguousarray(left[:rows]), np.ascontiguousarray(right), seen[:rows])


def gowalla() -> Any:
    """(customers, products) of its training part; None where it is not at hand."""
    import numpy as np
    import pyarrow.parquet as pq
    import scipy.sparse as sp

    path = Path(os.environ.get("REGULARS_DATA", ROOT / "../shared/data")) / "gowalla.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path)
    train = table["split"].to_numpy(zero_copy_only=False) == "train"
    row, column = table["user"].to_numpy()[train], table["item"].to_numpy()[train]
    shape = int(row.max()) + 1, int(table["item"].to_numpy().max()) + 1
    seen = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape)
    seen.sum_duplicates()
    return seen


def measured(side: str, case: str, given: argparse.Namespace) -> float:
    """Peak memory of a side in a process of its own, in MB above what it was given."""
    command = [sys.executable, __file__, "--memory", side, "--case", case]
    for name in ("rows", "dimensions", "factors", "threads"):
        command += [f"--{name}", str(getattr(given, name))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def peak(given: argparse.Namespace) -> float:
    data = draw(given.case, given)
    few = data._replace(left=data.left[:BATCH], seen=data.seen[:BATCH])
    sides(few)[given.memory]()  # compiled, loaded
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    sides(data)[given.memory]()
    return resident("VmHWM") - before


def resident(what: str) -> float:
    """Of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in lines if row.startswith(what)) / 1024


def compared(case: str, ours: float, other: float, name: str, unit: str) -> dict[str, Any]:
    return {
        "case": case,
        "ours": ours,
        "other": other,
        "other_name": name,
        "ratio": other / ours if ours else float("inf"),
        "unit": unit,
    }


if __name__ == "__main__":
    main()
