"""Who took what in, the speed of learning als beside implicit's and irspack's out.

    python benchmarks/train.py [--peers PYTHON] [--factors 128 256] [--threads N] [--json FILE]

Time an iteration: a million events of 30,000 customers and 10,000 products, three steps of
conjugate gradients on each side in all three; what comes before the first iteration is left out.
Time to equal quality: Gowalla's training part ($REGULARS_DATA; else events drawn from factors), a
fifth of each customer's products held out; each side learns anew with 1, 2, 3, ... iterations, and
what counts is the least time after which it reaches a recall@20 that all of them reach. Ours and
irspack's minimise nearly the same loss with the same settings; implicit's has no weight for what
nobody took, and gets the best of a few of its own (--search shows them).

--peers: a Python with irspack; left out without it. Every side runs in a process of its own, in
turns; its peak memory is above what it has when the data are there. ratio: above 1, ours is better.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

SIDES = ("ours", "implicit", "irspack")
COUNTS = (1, 2, 3, 4, 6, 8)  # iterations after which quality is looked at
FITS = (1, 5)  # iterations of the two fits whose difference is the time of four
K = 20
EVERY = 5  # of the customers, on whom quality is looked at
ALPHA0, RIDGE, NU = 0.01, 0.01, 1.0  # of ours and irspack, for the time to equal quality
IMPLICIT = ((40, 3.0), (20, 3.0), (40, 30.0), (80, 10.0))  # its alpha, regularization


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers" / "bin" / "python")
    parser.add_argument("--factors", type=int, nargs="*", default=[128, 256])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=("iteration", "quality"))
    parser.add_argument("--search", action="store_true", help="show implicit's settings and stop")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        measure(given)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        if given.only != "quality" and not given.search:
            rows += iterations(Path(name), given)
        if given.only != "iteration":
            rows += quality(Path(name), given)
    print("ratio: above 1, ours is better")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def sides(given: argparse.Namespace) -> list[str]:
    found = [side for side in SIDES if side != "irspack" or given.peers.exists()]
    if "irspack" not in found:
        print(f"without irspack: {given.peers} is not there")
    return found


def iterations(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds an iteration, and peak memory."""
    import scipy.sparse as sp

    taken = drawn(30_000, 10_000, 1_000_000)
    sp.save_npz(folder / "taken.npz", taken)
    rows = []
    for factors in given.factors:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides(given)}
        for _ in range(given.repeat):
            for side, runs in found.items():
                runs.append(run(side, {"factors": factors, "counts": FITS}, folder, given))
        each = {
            side: min((r["seconds"][1] - r["seconds"][0]) / (FITS[1] - FITS[0]) for r in runs)
            for side, runs in found.items()
        }
        memory = {side: statistics.median(r["mb"] for r in runs) for side, runs in found.items()}
        what = f"als, {taken.nnz:,} of 30,000 x 10,000, {factors} factors"
        rows += [
            shown(compared(f"{what}, {case}", of["ours"], of[other], other, unit))
            for case, of, unit in (("an iteration", each, "s"), ("peak memory", memory, "MB"))
            for other in of
            if other != "ours"
        ]
    return rows


def quality(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds until all are as good."""
    import scipy.sparse as sp

    taken, hidden, name = held_out()
    sp.save_npz(folder / "taken.npz", taken)
    factors = given.factors[0]
    job: dict[str, Any] = {"factors": factors, "counts": COUNTS, "keep": True}
    if given.search:
        for settings in IMPLICIT:
            run("implicit", job | {"implicit": settings, "counts": COUNTS[-1:]}, folder, given)
            print(settings, recall(folder, "implicit", COUNTS[-1], taken, hidden))
        return []
    seconds: dict[str, list[float]] = {}
    reached: dict[str, list[float]] = {}
    for side in sides(given):
        seconds[side] = run(side, job, folder, given)["seconds"]
        reached[side] = [recall(folder, side, count, taken, hidden) for count in COUNTS]
        every = zip(COUNTS, seconds[side], reached[side], strict=True)
        print(f"{side}: " + ", ".join(f"{n} in {s:.2f} s {r:.4f}" for n, s, r in every), flush=True)
    rows = []
    for other in seconds:
        if other == "ours":
            continue
        aim = 0.995 * min(max(reached["ours"]), max(reached[other]))
        both = [
            min(s for s, r in zip(seconds[side], reached[side], strict=True) if r >= aim)
            for side in ("ours", other)
        ]
        what = f"als on {name}, {factors} factors, to recall@{K} {aim:.4f}"
        rows.append(shown(compared(what, both[0], both[1], other, "s")))
    return rows


def run(side: str, job: dict[str, Any], folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What one side says of itself, in a process of its own."""
    python = given.peers if side == "irspack" else Path(sys.executable)
    command = [str(python), __file__, "--side", side, "--job", json.dumps(job)]
    command += ["--folder", str(folder), "--threads", str(given.threads)]
    threads = {
        "OPENBLAS_NUM_THREADS": "1" if side == "implicit" else str(given.threads),
        "NUMBA_NUM_THREADS": str(given.threads),
        "OMP_NUM_THREADS": str(given.threads),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | threads
    )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads((folder / f"{side}.json").read_text(encoding="utf-8"))
    return said


def measure(given: argparse.Namespace) -> None:
    """One side: for each number of iterations its seconds, and factors where they are asked for."""
    import numpy as np
    import scipy.sparse as sp

    taken = sp.load_npz(given.folder / "taken.npz")
    fit = {"ours": ours, "implicit": implicit, "irspack": irspack}[given.side]
    fit(taken[:200], 1, given)  # compiled, loaded
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    seconds = []
    for count in given.job["counts"]:
        started = time.perf_counter()
        factors = fit(taken, count, given)
        seconds.append(time.perf_counter() - started)
        if given.job.get("keep"):
            for name, array in zip(("x", "y"), factors(), strict=True):
                np.save(given.folder / f"{given.side}-{count}-{name}.npy", array)
    said = {"seconds": seconds, "mb": resident("VmHWM") - before}
    (given.folder / f"{given.side}.json").write_text(json.dumps(said), encoding="utf-8")


def ours(taken: Any, count: int, given: argparse.Namespace) -> Callable[[], Any]:
    from models.als import ALS
    from models.scorer import History

    scorer = ALS(
        factors=given.job["factors"],
        iterations=count,
        alpha=1.0,
        alpha0=ALPHA0,
        l2=RIDGE,
        nu=NU,
    ).fit(History(taken))
    return lambda: (scorer.customer_factors(History(taken[::EVERY])), scorer.product_factors)


def implicit(taken: Any, count: int, given: argparse.Namespace) -> Callable[[], Any]:
    from implicit.cpu.als import AlternatingLeastSquares

    alpha, ridge = given.job.get("implicit", IMPLICIT[0])
    model = AlternatingLeastSquares(
        factors=given.job["factors"],
        iterations=count,
        alpha=alpha,
        regularization=ridge,
        num_threads=given.threads,
        random_state=0,
    )
    model.fit(taken, show_progress=False)
    return lambda: (model.user_factors[::EVERY], model.item_factors)


def irspack(taken: Any, count: int, given: argparse.Namespace) -> Callable[[], Any]:
    from irspack import IALSRecommender  # type: ignore[import-not-found]

    model = IALSRecommender(
        taken,
        n_components=given.job["factors"],
        alpha0=ALPHA0,
        reg=RIDGE,
        nu=NU,
        train_epochs=count,
        max_cg_steps=3,
        n_threads=given.threads,
    ).learn()
    return lambda: (model.get_user_embedding()[::EVERY], model.get_item_embedding())


def drawn(customers: int, products: int, events: int) -> Any:
    """Who took what: a few much, some products often."""
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    popular = np.cumsum(1 / np.arange(10, products + 10))
    busy = np.cumsum(rng.lognormal(0, 1, customers))
    row = np.searchsorted(busy, rng.uniform(0, busy[-1], events))
    taste = rng.integers(0, products, customers)[row] + rng.integers(0, 200, events)
    common = np.searchsorted(popular, rng.uniform(0, popular[-1], events))
    column = np.where(rng.random(events) < 0.5, taste % products, common)
    taken = sp.csr_matrix((np.ones(events, np.float32), (row, column)), (customers, products))
    taken.sum_duplicates()
    taken.data[:] = 1
    return taken


def held_out() -> tuple[Any, Any, str]:
    """What is learned from, what is to be found, both CSR, and where they are from."""
    import numpy as np

    from benchmarks.rank import gowalla

    taken, name = gowalla(), "Gowalla"
    if taken is None:
        taken, name = drawn(30_000, 10_000, 1_000_000), "drawn events"
    pairs = taken.tocoo()
    away = np.random.default_rng(0).random(taken.nnz) < 0.2
    parts = []
    for keep in (~away, away):
        part = pairs.copy()
        part.data = keep.astype(np.float32)
        part = part.tocsr()
        part.eliminate_zeros()
        parts.append(part)
    return parts[0], parts[1], name


def recall(folder: Path, side: str, count: int, taken: Any, hidden: Any) -> float:
    """Mean over some customers of the share of what was held out that is among her best K."""
    import numpy as np
    import scipy.sparse as sp

    from models.rank import top_k_factors

    taken, hidden = taken[::EVERY], hidden[::EVERY]
    x, y = (np.load(folder / f"{side}-{count}-{name}.npy") for name in ("x", "y"))
    codes = top_k_factors(x.astype(np.float32), y.astype(np.float32), K, seen=taken).codes
    row, place = np.nonzero(codes >= 0)
    lists = sp.csr_matrix((np.ones(len(row)), (row, codes[row, place])), taken.shape)
    hits = np.asarray(lists.multiply(hidden).sum(axis=1)).ravel()
    lengths = np.diff(hidden.indptr)
    return float((hits[lengths > 0] / np.minimum(K, lengths[lengths > 0])).mean())


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


def shown(row: dict[str, Any]) -> dict[str, Any]:
    print(
        f"{row['case']:66}  {row['ours']:9.3f}  {row['other']:9.3f}  {row['ratio']:6.2f}  "
        f"{row['other_name']} ({row['unit']})",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
