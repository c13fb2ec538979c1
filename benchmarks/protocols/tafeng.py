"""Ta-Feng's baskets, the last to be foretold: a configuration in, recall and ndcg at 10 out.

The protocol of Li et al., A Next Basket Recommendation Reality Check, 2023, and its five folds of
customers: mean over a fold's test customers, then over folds; spreads are over folds. A model is
fitted once, on everybody's earlier baskets and on no last one, so that it serves all five. The file
knows the order of baskets only: no days are given, nor made up.

Chosen on the last baskets of `untested()`: the customers whom no fold tests.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from benchmarks.protocols.rows import DATA, Printed, Row, model, name_of, read, rows
from models.recommender import Recommender

K = 10
FOLDS = 5
MEASURED = "TIFU-KNN as measured on this file"
AIM = "our own aim: nobody printed one"

PUBLISHED = {
    "rebuy": {
        "recall_at_10": Printed(0.1300, MEASURED),
        "ndcg_at_10": Printed(0.1051, MEASURED),
    },
    "blend": {"recall_at_10": Printed(0.140, AIM), "ndcg_at_10": Printed(0.112, AIM)},
}


def run(config: Path) -> list[Row]:
    """Means over the five folds, and `_spread`, the standard deviation of the folds' means."""
    tables, truth = data()
    recommender = Recommender(model(config))
    started = time.perf_counter()
    recommender.fit(tables["interactions"], events=tables["events"])
    fitted = time.perf_counter()
    tests = [fold("test", n) for n in range(FOLDS)]
    ranked = ranking(recommender, np.unique(np.concatenate(tests)))
    done = time.perf_counter()
    of = [figures(recommender, ranked, truth, test) for test in tests]
    found = {name: float(np.mean([one[name] for one in of])) for name in of[0]}
    found |= {f"{name}_spread": float(np.std([one[name] for one in of])) for name in of[0]}
    name = name_of(config, "tafeng")
    return rows(
        "tafeng",
        name,
        found,
        PUBLISHED.get(name, {}),
        seconds=done - started,
        fit_seconds=fitted - started,
    )


def data() -> tuple[dict[str, pa.Table], pa.Table]:
    """Interactions and events of all baskets but the last; customer_id, product_id of the last."""
    table = read("tafeng.parquet").sort_by(
        [("user_id", "ascending"), ("order_number", "ascending")]
    )
    user = pc.cast(table["user_id"], pa.string())
    order = pc.binary_join_element_wise(user, pc.cast(table["order_number"], pa.string()), "-")
    events = pa.table(
        {
            "customer_id": user,
            "product_id": pc.cast(table["product_id"], pa.string()),
            "order_id": order,
            "event_type": pa.repeat("purchase", table.num_rows),
        }
    )
    last = pc.equal(table["part"], "future")
    known, truth = events.filter(pc.invert(last)), events.filter(last)
    ones = pa.array(np.ones(known.num_rows, np.float32))
    interactions = known.select(["customer_id", "product_id"]).append_column("weight", ones)
    return {"interactions": interactions, "events": known}, truth


def fold(part: str, number: int) -> npt.NDArray[np.str_]:
    """Customer ids of a part, train, val or test, of a fold."""
    path = DATA / f"tafeng_keyset_{number}.json"
    return np.array(json.loads(path.read_text(encoding="utf-8"))[part])


def untested() -> npt.NDArray[np.str_]:
    """Customers whom no fold tests: their last baskets are free to choose by."""
    tested = np.concatenate([fold("test", number) for number in range(FOLDS)])
    return np.setdiff1d(np.concatenate([fold("train", 0), fold("val", 0)]), tested)


def ranking(
    recommender: Recommender, customers: npt.NDArray[np.str_], k: int = K
) -> npt.NDArray[np.int32]:
    """(all customers, k) product codes, best first; -1 for those not asked for."""
    asked = recommender.customer_map.codes(pa.array(customers), unknown="raise")
    ranked = np.full((len(recommender.customers), k), -1, np.int32)
    ranked[asked] = recommender.rank(recommender.history.take(asked), k, seen="keep").codes
    return ranked


def figures(
    recommender: Recommender,
    ranked: npt.NDArray[np.int32],
    truth: pa.Table,
    customers: npt.NDArray[np.str_],
) -> dict[str, float]:
    """Means over customers: of all she bought, of what she had before, and of what was new to her.

    The last two are over those who bought any such. As in the repository of the paper, the ideal of
    ndcg is over all of the truth, not over its first 10.
    """
    k, width = ranked.shape[1], len(recommender.products)
    people = len(recommender.customers)
    row = recommender.customer_map.codes(truth["customer_id"], unknown="raise")
    code = recommender.product_map.codes(truth["product_id"], unknown="raise")
    bought = sp.csr_matrix((np.ones(len(row), bool), (row, code)), (people, width))
    asked = recommender.customer_map.codes(pa.array(customers), unknown="raise")
    wanted = bought[asked].toarray()  # (asked, products)
    before = recommender.history.weights[asked].toarray() > 0
    best = ranked[asked]
    hits = np.take_along_axis(wanted, best, 1)
    again = np.take_along_axis(before, best, 1)
    gain = 1 / np.log2(np.arange(2, width + 2))
    ideal = np.cumsum(gain)[wanted.sum(axis=1) - 1]
    return {
        "recall_at_10": _recall(hits, wanted),
        "ndcg_at_10": float((hits @ gain[:k] / ideal).mean()),
        "repeat_recall_at_10": _recall(hits & again, wanted & before),
        "new_recall_at_10": _recall(hits & ~again, wanted & ~before),
    }


def _recall(hits: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_]) -> float:
    of = wanted.sum(axis=1)
    return float((hits.sum(axis=1)[of > 0] / of[of > 0]).mean())
