"""One shop's events in, the speed of learning sasrec beside RecTools' SASRecModel out.

    python benchmarks/train_sasrec.py [--peers PYTHON] [--loss softmax] [--json FILE]

Amazon Beauty (`$REGULARS_DATA`): both learn from all but the last two events of the same customers,
with the same layers, heads, factors, dropout, events a customer, customers a step, learning rate,
loss, negatives and epochs, one after the other, each in a process of its own, on the same threads.
Both are asked for the last but one event (ndcg@10 among what she has not had); the last is not
looked at. What differs: RecTools pads each customer to `--length` and draws `--negatives` for each
event, ours packs and draws them for each step; ours has the wider inner layer.

Customers' events: those that are foretold, each once an epoch; seconds are of `fit`, preparing
included. ratio: above 1, ours is better. Ours learns by cosine and needs more epochs for the same
quality; so it runs once more with `--longer` epochs, whose seconds and quality are printed too.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

K = 10
SIDES = ("ours", "rectools")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers-rectools" / "bin" / "python")
    parser.add_argument("--customers", type=int, default=5_000, help="0: all")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--longer", type=int, default=60, help="epochs of ours once more")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--loss", choices=("sampled_softmax", "softmax"), default="sampled_softmax")
    parser.add_argument("--negatives", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        answer = {"ours": ours, "rectools": rectools}[given.side](given)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        into = given.folder / f"{given.side}.json"
        into.write_text(json.dumps(answer | {"peak_rss_mb": peak}), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        events = prepare(Path(folder), given)
        found = {
            side: run(side, given.peers if side == "rectools" else Path(sys.executable), folder)
            for side in SIDES
        }
        more = run("ours", Path(sys.executable), folder, "--epochs", str(given.longer))
    rows = report(found, events * given.epochs, given)
    for who, epochs, one in (
        ("ours", given.longer, more),
        ("RecTools", given.epochs, found["rectools"]),
    ):
        print(f"{who}, {epochs} epochs: {one['seconds']:.1f} s, ndcg@{K} {one['ndcg']:.4f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def prepare(folder: Path, given: argparse.Namespace) -> int:
    """Write users.npy, items.npy, each customer's events in order; how many are foretold."""
    import numpy as np
    import pyarrow.parquet as pq

    data = Path(os.environ.get("REGULARS_DATA", ROOT.parent / "shared" / "data"))
    table = pq.read_table(data / "amazon_beauty.parquet").sort_by(
        [("user", "ascending"), ("position", "ascending")]
    )
    user, item = table["user"].to_numpy(), table["item"].to_numpy()
    if given.customers:
        known = np.unique(user)
        chosen = np.random.default_rng(given.seed).permutation(known)[: given.customers]
        keep = np.isin(user, chosen)
        user, item = user[keep], item[keep]
    last = np.append(user[1:] != user[:-1], True)  # the test: nobody sees it
    user, item = user[~last], item[~last]
    last = np.append(user[1:] != user[:-1], True)
    np.save(folder / "users.npy", user[~last])
    np.save(folder / "items.npy", item[~last])
    np.save(folder / "asked.npy", user[last])
    np.save(folder / "right.npy", item[last])
    lengths = np.unique(user[~last], return_counts=True)[1]
    return int(np.minimum(lengths - 1, given.length).sum())


def run(side: str, python: Path, folder: str, *more: str) -> dict[str, Any]:
    """What one side says of itself, in a process of its own with our arguments and more."""
    if not python.exists():
        raise SystemExit(f"--peers must be a Python that has RecTools, got {python}")
    command = [str(python), __file__, *sys.argv[1:], *more, "--side", side, "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads((Path(folder) / f"{side}.json").read_text(encoding="utf-8"))
    return said


def ours(given: argparse.Namespace) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    import torch  # noqa: F401  # its import is timed for neither

    from models.recommender import Recommender
    from models.sasrec import SASRec

    user, item, asked, right = (np.load(given.folder / f"{n}.npy") for n in NAMES)
    known = pa.table(
        {
            "customer_id": pa.array(user).cast(pa.string()),
            "product_id": pa.array(item).cast(pa.string()),
            "weight": np.ones(len(user), np.float32),
        }
    )
    scorer = SASRec(
        factors=given.factors,
        layers=given.layers,
        heads=given.heads,
        length=given.length,
        batch=given.batch,
        dropout=given.dropout,
        rate=given.rate,
        negatives=given.negatives if given.loss == "sampled_softmax" else 0,
        epochs=given.epochs,
        patience=0,
        seed=given.seed,
    )
    started = time.perf_counter()
    recommender = Recommender(scorer).fit(known, events=known)
    seconds = time.perf_counter() - started
    lists = recommender.recommend(pa.array(asked).cast(pa.string()), K)
    ranks = dict(
        zip(
            zip(lists["customer_id"].to_pylist(), lists["product_id"].to_pylist(), strict=True),
            lists["rank"].to_pylist(),
            strict=True,
        )
    )
    found = [ranks.get((str(u), str(i))) for u, i in zip(asked, right, strict=True)]
    return {"seconds": seconds, "ndcg": ndcg(found)}


def rectools(given: argparse.Namespace) -> dict[str, Any]:
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import numpy as np
    import pandas as pd
    from pytorch_lightning import seed_everything  # type: ignore[import-not-found]
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    user, item, asked, right = (np.load(given.folder / f"{n}.npy") for n in NAMES)
    seed_everything(given.seed)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(user)), unit="min")
    table = pd.DataFrame({"user_id": user, "item_id": item, "weight": 1.0, "datetime": days})
    dataset = Dataset.construct(table)
    model = SASRecModel(
        n_blocks=given.layers,
        n_heads=given.heads,
        n_factors=given.factors,
        dropout_rate=given.dropout,
        session_max_len=given.length,
        batch_size=given.batch,
        lr=given.rate,
        loss=given.loss,
        n_negatives=given.negatives,
        epochs=given.epochs,
    )
    started = time.perf_counter()
    model.fit(dataset)
    seconds = time.perf_counter() - started
    lists = model.recommend(asked, dataset, k=K, filter_viewed=True)
    both = lists.merge(pd.DataFrame({"user_id": asked, "item_id": right}))
    found = [*both["rank"].tolist(), *[None] * (len(asked) - len(both))]
    return {"seconds": seconds, "ndcg": ndcg(found)}


NAMES = ("users", "items", "asked", "right")


def ndcg(ranks: list[int | None]) -> float:
    """Mean over customers of 1 / log2(1 + rank) of the one right product, 0 where not listed."""
    from math import log2

    return sum(1 / log2(1 + rank) for rank in ranks if rank) / len(ranks)


def report(
    found: dict[str, dict[str, Any]], events: int, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row a figure, ours beside RecTools'."""
    one, two = found["ours"], found["rectools"]
    who = f"{given.customers:,}" if given.customers else "all"
    loss = given.loss + (f" of {given.negatives}" if given.loss == "sampled_softmax" else "")
    case = f"sasrec, {who} customers, {given.epochs} epochs, {loss}"
    speeds = [events / side["seconds"] for side in (one, two)]
    peaks = [side["peak_rss_mb"] for side in (one, two)]
    lines = [
        ("events per second", *speeds, speeds[0] / speeds[1], "events/s"),
        ("seconds", one["seconds"], two["seconds"], two["seconds"] / one["seconds"], "s"),
        ("peak memory", *peaks, peaks[1] / peaks[0], "MB"),
        ("ndcg@10", one["ndcg"], two["ndcg"], one["ndcg"] / two["ndcg"] if two["ndcg"] else 0, ""),
    ]
    print(f"{case}\n{'':20}{'ours':>12}{'RecTools':>12}{'ratio':>8}")
    rows = []
    for name, ours_, other, ratio, unit in lines:
        print(f"{name:20}{ours_:12,.4f}{other:12,.4f}{ratio:8.2f}")
        rows.append(
            {
                "case": f"{case}, {name}",
                "ours": ours_,
                "other": other,
                "other_name": "RecTools SASRecModel",
                "ratio": ratio,
                "unit": unit,
            }
        )
    print("ratio: above 1, ours is better")
    return rows


if __name__ == "__main__":
    main()
