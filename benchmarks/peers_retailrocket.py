"""RetailRocket through other libraries: their settings tried on validation, the best on test.

    python benchmarks/peers_retailrocket.py --rectools PYTHON --recbole PYTHON [--json FILE]

PYTHON: interpreters that have RecTools and RecBole, whose needs are not ours. Each setting is
fitted to the parts of benchmarks/protocols/retailrocket.py in a process of its own, and its lists
are judged here by the same lines as our models'. RecBole trains for a fixed number of epochs,
chosen as the other settings are, so that it, too, learns from all of training before the test.
Both get pairs in time; EASE of neither, that inverts a matrix of 30,000 products by float64.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
K = 20
LIMIT = 3000  # seconds for one setting

SETTINGS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "rectools": {
        "popular": [{}],
        "knn": [
            {"of": of, "K": k}
            for of in ("CosineRecommender", "TFIDFRecommender", "BM25Recommender")
            for k in (1000,)
        ],
        "ials": [
            {"factors": 128, "regularization": l2, "alpha": a, "iterations": 15}
            for l2 in (0.1, 1.0, 10.0, 30.0)
            for a in (1.0, 10.0, 40.0)
        ],
        "bpr": [
            {"factors": 64, "iterations": n, "learning_rate": rate, "regularization": 0.01}
            for n in (100, 300)
            for rate in (0.01, 0.05)
        ],
        "svd": [{"factors": f} for f in (64, 256)],
        "sasrec": [
            {"n_factors": 64, "session_max_len": 50, "epochs": n, "dropout_rate": d}
            for n, d in ((10, 0.2), (20, 0.2), (20, 0.5))
        ],
    },
    "recbole": {
        "Pop": [{}],
        "ItemKNN": [{"k": k, "shrink": s} for k in (100, 500) for s in (0.0, 10.0)],
        "BPR": [{"learning_rate": 0.005, "epochs": n, "train_batch_size": 8192} for n in (20, 60)],
        "LightGCN": [
            {"n_layers": 3, "learning_rate": rate, "epochs": n, "train_batch_size": 8192}
            for rate, n in ((0.005, 40), (0.005, 100))
        ],
        "SASRec": [{"hidden_size": 64, "MAX_ITEM_LIST_LENGTH": 50, "epochs": n} for n in (5, 10)],
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rectools", type=Path, metavar="PYTHON")
    parser.add_argument("--recbole", type=Path, metavar="PYTHON")
    parser.add_argument("--only", help="one of their models")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # this file, run by their interpreter
    given = parser.parse_args(arguments)
    if given.inside:
        inside(json.loads(given.inside))
        return
    sys.path[0] = str(ROOT)
    rows: list[dict[str, Any]] = []
    for library, python in (("rectools", given.rectools), ("recbole", given.recbole)):
        for name, settings in SETTINGS[library].items() if python else ():
            if given.only in (None, name):
                rows += best(python, library, name, settings)
                if given.json:
                    given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def best(python: Path, library: str, name: str, settings: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of one model on test, at the settings that have the greatest NDCG on validation."""
    from benchmarks.protocols import retailrocket

    tried: list[tuple[float, dict[str, Any]]] = []
    for setting in settings:
        figures, seconds = outside(python, library, name, setting, retailrocket.validation())
        print(library, name, setting, figures or "failed", f"{seconds:.0f} s", flush=True)
        if figures:
            tried.append((figures["ndcg_at_10"], setting))
    if not tried:
        return []
    value, setting = max(tried, key=lambda pair: pair[0])
    figures, seconds = outside(python, library, name, setting, retailrocket.test())
    rows = [
        {
            "data": "retailrocket",
            "model": f"{library}:{name}",
            "metric": metric,
            "value": value_,
            "settings": setting,
            "validation_ndcg_at_10": value,
            "seconds": round(seconds, 1),
        }
        for metric, value_ in (figures or {}).items()
    ]
    for row in rows:
        print(row["model"], row["metric"], f"{row['value']:.4f}", setting, flush=True)
    return rows


def outside(
    python: Path, library: str, name: str, setting: dict[str, Any], part: Any
) -> tuple[dict[str, float] | None, float]:
    """Figures of one setting on one part, None where it failed or took too long; and seconds."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    from benchmarks.protocols import retailrocket

    pairs = retailrocket.interactions(part.events).sort_by(
        [("customer_id", "ascending"), ("last_time", "ascending"), ("product_id", "ascending")]
    )
    seconds = pairs["last_time"].cast(pa.int64())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pa_csv.write_csv(
            pa.table(
                {
                    "user": pairs["customer_id"],
                    "item": pairs["product_id"],
                    "weight": pairs["weight"],
                    "time": pa.array(seconds.to_numpy() // 1_000_000),
                }
            ),
            place / "training.csv",
        )
        pa_csv.write_csv(part.truth.rename_columns(["user", "item"]), place / "truth.csv")
        task = {"library": library, "name": name, "setting": setting, "folder": folder}
        started = time.perf_counter()
        try:
            done = subprocess.run(
                [str(python), __file__, "--inside", json.dumps(task)],
                cwd=folder,
                timeout=LIMIT,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            return None, time.perf_counter() - started
        took = time.perf_counter() - started
        if done.returncode:
            print(done.stderr[-600:], file=sys.stderr)
            return None, took
        read = pa_csv.read_csv(
            place / "lists.csv",
            convert_options=pa_csv.ConvertOptions(
                column_types={"customer_id": pa.string(), "product_id": pa.string()}
            ),
        )
    return retailrocket.figures(read, part.truth), took


def inside(task: dict[str, Any]) -> None:
    """Fit one setting and write lists.csv: customer_id, product_id, rank."""
    import warnings

    warnings.filterwarnings("ignore")
    folder = Path(task["folder"])
    model = {"rectools": rectools, "recbole": recbole}[task["library"]]
    lists = model(folder, task["name"], task["setting"])
    with (folder / "lists.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer_id", "product_id", "rank"))
        writer.writerows(lists)


def rectools(folder: Path, name: str, setting: dict[str, Any]) -> list[tuple[str, str, int]]:
    import pandas as pd
    from rectools import Columns
    from rectools import models as peer
    from rectools.dataset import Dataset

    table = pd.read_csv(folder / "training.csv")
    table[Columns.Datetime] = pd.to_datetime(table["time"], unit="s")
    table = table.rename(columns={"user": Columns.User, "item": Columns.Item})
    data = Dataset.construct(
        table[[Columns.User, Columns.Item, "weight", Columns.Datetime]].rename(
            columns={"weight": Columns.Weight}
        )
    )
    model: Any
    if name == "popular":
        model = peer.PopularModel()
    elif name == "svd":
        model = peer.PureSVDModel(**setting)
    elif name == "knn":
        from implicit import nearest_neighbours

        of = getattr(nearest_neighbours, setting.pop("of"))
        model = peer.ImplicitItemKNNWrapperModel(of(**setting))
    elif name == "ials":
        from implicit.als import AlternatingLeastSquares

        model = peer.ImplicitALSWrapperModel(AlternatingLeastSquares(random_state=0, **setting))
    elif name == "bpr":
        from implicit.bpr import BayesianPersonalizedRanking

        model = peer.ImplicitBPRWrapperModel(
            BayesianPersonalizedRanking(random_state=0, num_threads=1, **setting)
        )
    else:
        import torch

        torch.manual_seed(0)
        model = peer.SASRecModel(deterministic=True, **setting)
    model.fit(data)
    users = pd.read_csv(folder / "truth.csv")["user"].to_numpy()
    if name == "sasrec":  # answers only whom it trained on or has a session of
        users = users[pd.Series(users).isin(table[Columns.User])]
    lists = model.recommend(users, data, k=K, filter_viewed=True, on_unsupported_targets="ignore")
    chosen = lists[[Columns.User, Columns.Item, Columns.Rank]]
    return [(str(u), str(i), int(r)) for u, i, r in chosen.itertuples(index=False)]


def recbole(folder: Path, name: str, setting: dict[str, Any]) -> list[tuple[str, str, int]]:
    import numpy as np
    import pandas as pd
    import torch

    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{**k, "weights_only": False})  # it is of an older torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    table = pd.read_csv(folder / "training.csv")
    truth = pd.read_csv(folder / "truth.csv")
    table = table[table["user"].isin(truth["user"]) | (name != "SASRec")]
    last = truth.assign(time=table["time"].max() + 1)
    both = pd.concat([table[["user", "item", "time"]], last])
    both.columns = ["user_id:token", "item_id:token", "timestamp:float"]
    (folder / "shop").mkdir()
    both.to_csv(folder / "shop" / "shop.inter", sep="\t", index=False)
    config = Config(
        model=name,
        dataset="shop",
        config_dict={
            "data_path": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {
                "split": {"LS": "test_only"},
                "group_by": "user",
                "order": "TO",
                "mode": "full",
            },
            "train_neg_sample_args": None
            if name == "SASRec"
            else {
                "distribution": "uniform",
                "sample_num": 1,
                "dynamic": False,
                "candidate_num": 0,
                "alpha": 1.0,
            },
            "eval_batch_size": 1 << 25,
            "train_batch_size": 1024,
            "use_gpu": False,
            "show_progress": False,
            "state": "ERROR",
            "seed": 0,
            "checkpoint_dir": str(folder),
            **setting,
        },
    )
    init_seed(config["seed"], True)
    data = create_dataset(config)
    training, _, testing = data_preparation(config, data)
    model = get_model(config["model"])(config, training.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(training, None, verbose=False, saved=False, show_progress=False)
    model.eval()
    users, items = data.field2id_token["user_id"], data.field2id_token["item_id"]
    seen = {str(u): g["item"].astype(str).tolist() for u, g in table.groupby("user")}
    code = {token: place for place, token in enumerate(items)}
    lists = []
    with torch.no_grad():
        for batch in testing:
            interaction = batch[0]
            try:
                scores = model.full_sort_predict(interaction)
            except NotImplementedError:
                scores = model.predict(interaction)
            scores = scores.view(-1, len(items)).numpy().copy()
            for row, user in zip(scores, interaction["user_id"].numpy(), strict=True):
                name_ = users[user]
                row[0] = -np.inf
                row[[code[item] for item in seen.get(name_, [])]] = -np.inf
                best_ = np.argsort(-row, kind="stable")[:K]
                lists += [(name_, items[i], r) for r, i in enumerate(best_, 1)]
    return lists


if __name__ == "__main__":
    main()
