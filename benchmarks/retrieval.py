"""One customer's best hundred of a million products: exact beside indices that look at a part.

    make peers
    python benchmarks/retrieval.py --products 1000000 --factors 128

One row at a time on one core, after both sides are warm. Ours: `exact`, what the server does, and
`inverted`, lists by k-means with bytes within (`models/retrieval.py`). Peers, in an environment
of their own: faiss (inverted lists of bytes; HNSW), hnswlib and usearch. Each index is asked with
the least effort of a ladder that finds 98 % of the exact hundred for half of the rows; what is
printed is of the other half. A graph that would take longer to build than `--build-seconds` is not
built, and the table says so. `alike` factors stand in clusters, uneven in length; `als` are those
that als learns from drawn purchases.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
PEERS = ("faiss_ivf", "faiss_hnsw", "hnswlib", "usearch")
K, WANTED = 100, 0.98
Ask = Callable[[Any], Any]  # a row (1, f) -> codes


def main() -> None:
    """Draw, ask each in a process of its own, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--case", choices=("alike", "als"), default="alike")
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers-ann" / "bin" / "python")
    parser.add_argument("--only", nargs="*", help="of exact, inverted and the peers")
    parser.add_argument("--build-seconds", type=float, default=600, help="allowed to a graph")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.method:
        print(json.dumps(asked(given.method, given.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, given)
        print(
            f"{given.products:,} products x {given.factors} factors ({given.case}), best {K}, "
            f"{given.rows} rows one by one on one core\n"
            f"{'':12}{'recall':>8}{'p50 ms':>9}{'p99 ms':>9}{'build s':>9}{'MB':>8}  effort"
        )
        found = {}
        for method in given.only or ("exact", "inverted", *PEERS):
            python = str(given.peers) if method in PEERS else sys.executable
            command = [python, __file__, "--method", method, "--folder", str(folder)]
            allowed = os.environ | {"BUILD_SECONDS": str(given.build_seconds)}
            done = subprocess.run(command, capture_output=True, text=True, env=allowed)
            if done.returncode:
                print(f"{method:12}  {done.stderr.strip().splitlines()[-1]}", flush=True)
                continue
            it = found[method] = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{method:12}{it['recall']:8.4f}{it['p50_ms']:9.3f}{it['p99_ms']:9.3f}"
                f"{it['build_s']:9.1f}{it['mb']:8,.0f}  {it['effort']}",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def draw(folder: Path, given: argparse.Namespace) -> None:
    """Factors of products, rows that ask, and their exact hundred."""
    from models.rank import top_k_factors

    y, x = (alike if given.case == "alike" else learned)(given)
    np.save(folder / "products.npy", y)
    np.save(folder / "rows.npy", x)
    np.save(folder / "best.npy", top_k_factors(x, y, K).codes)


def alike(given: argparse.Namespace) -> tuple[Any, Any]:
    """Two hundred products a cluster, lengths log-normal; rows near a product."""
    rng = np.random.default_rng(0)
    f = given.factors
    centres = rng.standard_normal((max(1, given.products // 200), f), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = rng.standard_normal((given.products, f), dtype=np.float32)
    y = centres[rng.integers(len(centres), size=given.products)] + 0.6 * noise / np.float32(f**0.5)
    y *= np.exp(0.5 * rng.standard_normal((given.products, 1), dtype=np.float32))
    x = y[rng.integers(given.products, size=given.rows)]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x += 0.5 * rng.standard_normal(x.shape, dtype=np.float32) / np.float32(f**0.5)
    return y, x


def learned(given: argparse.Namespace) -> tuple[Any, Any]:
    """What als learns from customers of some taste, and customers."""
    import scipy.sparse as sp

    from models.scorer import History, make

    rng = np.random.default_rng(0)
    customers, products = given.products // 2, given.products
    rows = np.repeat(np.arange(customers), rng.integers(5, 40, customers))
    often = np.cumsum(1 / np.arange(10, products + 10))
    common = np.searchsorted(often, rng.uniform(0, often[-1], len(rows)))
    taste = rng.integers(0, max(1, products // 250), customers)[rows] * 250
    own = (taste + np.minimum(249, rng.exponential(60, len(rows)).astype(int))) % products
    columns = np.where(rng.random(len(rows)) < 0.3, common, own)
    ones = np.ones(len(rows), np.float32)
    weights = sp.csr_matrix((ones, (rows, columns)), (customers, products))
    weights.sum_duplicates()
    scorer = make("als", {"factors": given.factors, "iterations": 4}).fit(History(weights))
    x = scorer.customer_factors(History(weights[: given.rows]))  # type: ignore[attr-defined]
    return scorer.product_factors, x  # type: ignore[attr-defined]


def asked(method: str, folder: Path) -> dict[str, Any]:
    """One method: built, tuned on every other row, timed on the rest."""
    y, x, best = (np.load(folder / f"{name}.npy") for name in ("products", "rows", "best"))
    before, started = resident(), time.perf_counter()
    efforts = METHODS[method](y, x, best)
    effort, ask = next(efforts)
    built = time.perf_counter() - started
    while found(ask, x[::2], best[::2]) < WANTED:
        following = next(efforts, None)
        if following is None:
            break
        effort, ask = following
    mb = resident() - before
    held, seconds = x[1::2], []
    for row in held[:50]:
        ask(row[None])
    for row in held:
        at = time.perf_counter()
        ask(row[None])
        seconds.append(time.perf_counter() - at)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    figures = {"p50_ms": p50, "p99_ms": p99, "build_s": built, "mb": mb}
    return {"recall": found(ask, held, best[1::2]), "effort": effort, **figures}


def found(ask: Ask, x: Any, best: Any) -> float:
    """The share of the exact hundred that is among those given."""
    pairs = zip(x, best, strict=True)
    return float(np.mean([len(np.intersect1d(ask(row[None]), codes)) / K for row, codes in pairs]))


def grown(y: Any, add: Callable[[Any], Any]) -> None:
    """A graph, block by block; raises where all of it would take longer than allowed."""
    started, most = time.perf_counter(), float(os.environ["BUILD_SECONDS"])
    for block in np.array_split(np.arange(len(y)), max(1, len(y) // 20_000)):
        add(block)
        seconds = (time.perf_counter() - started) * len(y) / (block[-1] + 1)
        if seconds > most:
            raise SystemExit(f"not built: more than {seconds:,.0f} s, allowed {most:,.0f}")


def resident() -> float:
    """MB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in lines if row.startswith("VmRSS")) / 1024


def exact(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """Ours, as the server ranks."""
    from models.rank import prepare, top_k_factors

    prepare(y)
    yield "all", lambda row: top_k_factors(row, y, K).codes[0]


def inverted(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """Our inverted file, as a server looks in it."""
    from dataclasses import replace

    from models.retrieval import REACHES, build, ready

    index, nothing = build(y), np.empty(0, np.int32)
    retrieval = ready(index, y)
    if retrieval is None:
        raise SystemExit("this CPU multiplies no bytes: ranking stays exact")

    def ask(row: Any) -> Any:
        best = retrieval.best(row, K, nothing)
        return nothing if best is None else best.codes[0]

    for share in (*REACHES, 0.3, 0.4):
        retrieval.index = replace(index, reach=round(share * len(y)))
        yield f"{share:.1%} of products", ask


def faiss_ivf(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """Lists of bytes, inner product."""
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    lists = max(1, round(4 * len(y) ** 0.5))
    index = faiss.index_factory(y.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(y[np.random.default_rng(0).choice(len(y), min(len(y), 64 * lists), replace=False)])
    index.add(y)
    whole = faiss.IndexRefineFlat(index, faiss.swig_ptr(y))
    whole.k_factor = 2
    faiss.omp_set_num_threads(1)
    for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        index.nprobe = max(1, round(share * lists))
        yield f"{index.nprobe} of {lists} lists", lambda row: whole.search(row, K)[1][0]


def faiss_hnsw(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """A graph, inner product."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index = faiss.IndexHNSWFlat(y.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    grown(y, lambda some: index.add(y[some]))
    faiss.omp_set_num_threads(1)
    for effort in (200, 500, 1000, 2000, 5000):
        index.hnsw.efSearch = effort
        yield f"efSearch {effort}", lambda row: index.search(row, K)[1][0]


def hnswlib(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """A graph, inner product."""
    import hnswlib  # type: ignore[import-untyped]

    index = hnswlib.Index("ip", y.shape[1])
    index.init_index(len(y), M=32, ef_construction=100)
    threads = os.cpu_count() or 1
    grown(y, lambda some: index.add_items(y[some], some, num_threads=threads))
    index.set_num_threads(1)
    for effort in (200, 500, 1000, 2000, 5000):
        index.set_ef(effort)
        yield f"ef {effort}", lambda row: index.knn_query(row, K)[0][0]


def usearch(y: Any, *_: Any) -> Iterator[tuple[str, Ask]]:
    """A graph, inner product."""
    from usearch.index import Index  # type: ignore[import-not-found]

    index = Index(ndim=y.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_add=100)
    threads = os.cpu_count() or 1
    grown(y, lambda some: index.add(some, y[some], threads=threads))
    for effort in (200, 500, 1000, 2000, 5000):
        index.expansion_search = effort
        yield f"expansion {effort}", lambda row: index.search(row[0], K, threads=1).keys


METHODS = {one.__name__: one for one in (exact, inverted, faiss_ivf, faiss_hnsw, hnswlib, usearch)}


if __name__ == "__main__":
    main()
