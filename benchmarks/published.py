"""A public data set in, the figures that papers printed and those of our models beside them out.

    python benchmarks/published.py gowalla [--model NAME] [--json FILE] [--config FILE]

Hyperparameters: configs/DATA-NAME.toml, chosen on a validation part of the training data. Each
model runs in a process of its own, so that its peak memory is its own. Data: $REGULARS_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

from models.recommender import Recommender  # noqa: E402
from models.scorer import make  # noqa: E402

DATA = Path(os.environ.get("REGULARS_DATA", ROOT.parent / "shared" / "data"))

Row: TypeAlias = dict[str, Any]


class Published(NamedTuple):
    """A figure to hold: what it is of, by whom, or what we set ourselves."""

    recall: float
    ndcg: float
    source: str


GOWALLA = {  # R@20 and NDCG@20 on the split of LightGCN
    "neighbours": Published(0.1570, 0.1214, "ItemCF, BARS leaderboard"),
    "ease": Published(0.1765, 0.1467, "EASE, BARS leaderboard"),
    "als": Published(0.171, 0.146, "our own aim: a tuned iALS as first measured here"),
    "graph": Published(0.1941, 0.1616, "ChebyCF, its repository"),
}


def gowalla(config: Path) -> list[Row]:
    """Recall and NDCG at 20 over all products not in training, customers with test items only."""
    table = pq.read_table(DATA / "gowalla.parquet")
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
    ranked = recommender.rank(recommender.history, 20).codes  # (customers, 20)
    done = time.perf_counter()
    recall, ndcg = figures(
        ranked,
        recommender.customer_map.codes(truth["customer_id"], unknown="raise"),
        recommender.product_map.codes(truth["product_id"]),
    )
    name = config.stem.removeprefix("gowalla-")
    want = GOWALLA.get(name, Published(np.nan, np.nan, ""))
    shared = {
        "source": want.source,
        "seconds": round(done - started, 1),
        "fit_seconds": round(fitted - started, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return [
        {"data": "gowalla", "model": name, "metric": metric, "value": value, "published": printed}
        | shared
        for metric, value, printed in (
            ("recall_at_20", recall, want.recall),
            ("ndcg_at_20", ndcg, want.ndcg),
        )
    ]


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


def model(config: Path) -> Any:
    """The scorer that a file of one `[models.NAME]` section says."""
    ((name, values),) = tomllib.loads(config.read_text(encoding="utf-8"))["models"].items()
    return make(values.pop("kind", name), values)


SETS: dict[str, Callable[[Path], list[Row]]] = {"gowalla": gowalla}


def alone(data: str, config: Path) -> list[Row]:
    """The rows of one model, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "rows.json"
        command = [sys.executable, __file__, data, "--config", str(config), "--json", str(into)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
        rows: list[Row] = json.loads(into.read_text(encoding="utf-8"))
    return rows


def environment() -> dict[str, str]:
    """Ours, with this repository importable."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=sorted(SETS))
    parser.add_argument("--model", help="only configs/DATA-MODEL.toml")
    parser.add_argument("--config", type=Path, help="only this file, in this process")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    given = parser.parse_args()
    if given.config:
        rows = SETS[given.data](given.config)
    else:
        wanted = f"{given.data}-{given.model or '*'}.toml"
        configs = sorted((ROOT / "configs").glob(wanted))
        if not configs:
            parser.error(f"configs must hold {wanted}, got none such")
        rows = [row for config in configs for row in alone(given.data, config)]
    for row in rows:
        reached = row["value"] / row["published"]
        print(
            f"{row['data']:10} {row['model']:12} {row['metric']:12} {row['value']:.4f} "
            f"published {row['published']:.4f} ({reached:6.1%}) {row['seconds']:8.1f} s "
            f"{row['peak_rss_mb']:7,} MB  {row['source']}"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
