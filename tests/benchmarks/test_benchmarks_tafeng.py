"""Ta-Feng's protocol on a shop that fits the screen."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.protocols.tafeng import figures, ranking
from models.popularity import Popularity
from models.recommender import Recommender


def pairs(*lines: str) -> pa.Table:
    customers, products = zip(*(line.split() for line in lines), strict=True)
    weight = pa.array(np.ones(len(lines), np.float32))
    return pa.table(
        {"customer_id": list(customers), "product_id": list(products), "weight": weight}
    )


def test_figures_are_split_into_what_she_had_before_and_what_is_new() -> None:
    known = pairs("ann a", "ann b", "bob a", "bob a", "bob b", "bob c", "cat d")
    truth = pairs("ann a", "ann c", "ann d", "bob d", "cat a")
    recommender = Recommender(Popularity()).fit(known)
    ranked = ranking(recommender, np.array(["ann", "bob"]), k=2)  # a, b for both
    assert (ranked[2] == -1).all()  # cat was not asked for
    found = figures(recommender, ranked, truth, np.array(["ann", "bob"]))
    assert found["recall_at_10"] == pytest.approx((1 / 3 + 0) / 2)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)  # over all of her truth, though but 2 are shown
    assert found["ndcg_at_10"] == pytest.approx((1 / ideal + 0) / 2)
    assert found["repeat_recall_at_10"] == 1  # ann alone bought again
    assert found["new_recall_at_10"] == 0
