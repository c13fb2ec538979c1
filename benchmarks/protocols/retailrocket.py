"""RetailRocket, one buy left out: a configuration in, hit rate, NDCG and recall of it out.

A customer's views, carts and buys are known but for one product that she bought; it is to be found
among all products that she has nothing to do with yet. One target each: recall is the hit rate.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.rows import Printed, Row, model, name_of, read, rows
from features.schemas import TIME
from models.recommender import Recommender

K = 20
TYPES = {"view": "view_item", "cart": "add_to_cart", "buy": "purchase"}
WEIGHTS = {"view": 1.0, "cart": 1.0, "buy": 1.0}  # chosen on the validation part

PEER = "RecTools' iALS, the best peer yet, run by benchmarks/peers_retailrocket.py"

PUBLISHED = {
    "hit_rate_at_10": Printed(0.1279, PEER),
    "ndcg_at_10": Printed(0.0871, PEER),
    "recall_at_20": Printed(0.1509, PEER),
}


class Part(NamedTuple):
    """customer_id, product_id, behaviour, event_time; and one product to find for each of some."""

    events: pa.Table
    truth: pa.Table


def run(config: Path) -> list[Row]:
    """The rows of one model on the test part."""
    figures, fit_seconds, seconds = judged(model(config), test())
    return rows(
        "retailrocket",
        name_of(config, "retailrocket"),
        figures,
        PUBLISHED,
        seconds=seconds,
        fit_seconds=fit_seconds,
    )


def test() -> Part:
    """Training as it is, and the target of each customer."""
    table = read("retailrocket.parquet")
    table = pa.table(
        {
            "customer_id": pc.cast(table["user"], pa.string()),
            "product_id": pc.cast(table["item"], pa.string()),
            "behaviour": pc.cast(table["behaviour"], pa.string()),
            "event_time": pc.cast(pc.cast(table["timestamp"], pa.timestamp("s", "UTC")), TIME),
            "split": pc.cast(table["split"], pa.string()),
        }
    )
    training = pc.equal(table["split"], "train")
    events = table.filter(training).drop_columns("split")
    truth = table.filter(pc.invert(training)).select(["customer_id", "product_id"])
    return Part(events, truth)


def validation() -> Part:
    """The same, cut from training: her last buy, and none of her other events with that product.

    Customers with another buy have one, as all have in `test`; what the rest did is all known.
    """
    events = test().events.sort_by(
        [("customer_id", "ascending"), ("event_time", "ascending"), ("product_id", "ascending")]
    )
    bought = events.filter(pc.equal(events["behaviour"], "buy"))
    last = bought.group_by("customer_id", use_threads=False).aggregate(
        [("product_id", "last"), ("product_id", "count")]
    )
    truth = last.filter(pc.greater(last["product_id_count"], 1)).drop_columns("product_id_count")
    truth = truth.rename_columns({"product_id_last": "product_id"})
    rest = events.filter(pc.invert(pc.is_in(pair(events), pair(truth))))
    return Part(rest, truth)


def judged(scorer: object, part: Part) -> tuple[dict[str, float], float, float]:
    """Figures, seconds to fit and seconds in all."""
    recommender = Recommender(scorer)  # type: ignore[arg-type]
    started = time.perf_counter()
    recommender.fit(interactions(part.events), events=typed(part.events))
    fitted = time.perf_counter()
    lists = recommender.recommend(part.truth["customer_id"].combine_chunks(), K)
    done = time.perf_counter()
    return figures(lists, part.truth), fitted - started, done - started


def interactions(events: pa.Table) -> pa.Table:
    """Pairs with the weight of all that happened, and when it last did."""
    weight = np.array([WEIGHTS[name] for name in events["behaviour"].to_pylist()], np.float32)
    weighed = events.append_column("weight", pa.array(weight))
    pairs = weighed.group_by(["customer_id", "product_id"], use_threads=False)
    sums = pairs.aggregate([("weight", "sum"), ("event_time", "max")])
    return sums.rename_columns({"weight_sum": "weight", "event_time_max": "last_time"})


def typed(events: pa.Table) -> pa.Table:
    """Events in the words of `features.schemas`."""
    types = pa.array([TYPES[name] for name in events["behaviour"].to_pylist()])
    return events.drop_columns("behaviour").append_column("event_type", types)


def figures(lists: pa.Table, truth: pa.Table) -> dict[str, float]:
    """Of lists, customer_id, product_id and rank from 1; a customer without one has no hit."""
    rank = lists.filter(pc.is_in(pair(lists), pair(truth)))["rank"].to_numpy()
    return {
        "hit_rate_at_10": float((rank <= 10).sum() / len(truth)),
        "ndcg_at_10": float((1 / np.log2(1 + rank[rank <= 10])).sum() / len(truth)),
        "recall_at_20": float((rank <= K).sum() / len(truth)),
    }


def pair(table: pa.Table) -> pa.ChunkedArray:
    """Customer and product as one word."""
    return pc.binary_join_element_wise(table["customer_id"], table["product_id"], "/")
