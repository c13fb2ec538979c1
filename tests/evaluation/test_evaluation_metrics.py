"""Each metric beside a slow oracle and, where definitions meet, scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.metrics import METRICS, names, over_folds, per_customer

Lists = dict[str, list[str]]
Truth = dict[str, dict[str, float]]
Known = dict[str, set[str]]


def tables(lists: Lists, truth: Truth, known: Known) -> tuple[pa.Table, pa.Table, pa.Table]:
    def table(rows: list[tuple[object, ...]], **kinds: str) -> pa.Table:
        columns = zip(*rows, strict=True) if rows else [[] for _ in kinds]
        return pa.table(
            {n: pa.array(list(c), t) for (n, t), c in zip(kinds.items(), columns, strict=True)}
        )

    return (
        table(
            [(c, i, p) for c, ps in lists.items() for i, p in enumerate(ps, 1)],
            customer_id="str",
            rank="int32",
            product_id="str",
        ),
        table(
            [(c, p, r) for c, ps in truth.items() for p, r in ps.items()],
            customer_id="str",
            product_id="str",
            revenue="float64",
        ),
        table(
            [(c, p) for c, ps in known.items() for p in sorted(ps)],
            customer_id="str",
            product_id="str",
        ),
    )


def judge(
    lists: Lists, truth: Truth, known: Known | None = None, k: int = 10
) -> dict[str, dict[str, float | None]]:
    listed, bought, before = tables(lists, truth, known or {})
    rows = per_customer(listed, bought, known=before, k=k).to_pylist()
    return {row.pop("customer_id"): row for row in rows}


def oracle(
    products: list[str], truth: dict[str, float], known: set[str], k: int
) -> dict[str, float | None]:
    """One customer's figures, as the definitions read."""
    top = products[:k]
    hits = [product in truth for product in top]
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    reach = min(k, len(truth))

    def hit_among(kind: set[str]) -> float | None:
        return None if not kind else float(any(product in kind for product in top))

    figures = {
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks)
        / sum(1 / math.log2(r + 1) for r in range(1, reach + 1)),
        "recall": len(ranks) / len(truth),
        "hit_rate": float(bool(ranks)),
        "map": sum(sum(hits[:r]) / r for r in ranks) / reach,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "revenue": sum(truth[product] for product in top if product in truth),
        "repeat_hit_rate": hit_among(set(truth) & known),
        "new_hit_rate": hit_among(set(truth) - known),
    }
    return {f"{name}_at_{k}": value for name, value in figures.items()}


CUSTOMERS = st.sampled_from(["ann", "bob", "cleo", "dan"])
PRODUCTS = st.sampled_from([f"p{i}" for i in range(8)])


@settings(deadline=None)
@given(
    lists=st.dictionaries(CUSTOMERS, st.lists(PRODUCTS, unique=True)),
    truth=st.dictionaries(
        CUSTOMERS, st.dictionaries(PRODUCTS, st.floats(0, 1e6), min_size=1, max_size=6)
    ),
    known=st.dictionaries(CUSTOMERS, st.sets(PRODUCTS)),
    k=st.integers(1, 10),
)
def test_every_metric_is_what_its_definition_says(
    lists: Lists, truth: Truth, known: Known, k: int
) -> None:
    judged = judge(lists, truth, known, k)
    assert list(judged) == sorted(truth)
    for customer, bought in truth.items():
        wanted = oracle(lists.get(customer, []), bought, known.get(customer, set()), k)
        assert list(judged[customer]) == list(names(k)) == list(wanted)
        for name, value in wanted.items():
            assert judged[customer][name] == (None if value is None else pytest.approx(value))


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_the_order_of_rows_says_nothing(random, k: int) -> None:  # type: ignore[no-untyped-def]
    lists = {c: random.sample([f"p{i}" for i in range(12)], 8) for c in "abc"}
    truth = {c: {f"p{random.randrange(12)}": 1.0, "p3": 2.0} for c in "cab"}
    ordered = tables(lists, truth, {"a": {"p3"}})
    mixed = [t.take(random.sample(range(t.num_rows), t.num_rows)) for t in ordered]
    results = [per_customer(a, b, known=c, k=k) for a, b, c in (ordered, mixed)]
    assert results[0].equals(results[1])


def test_ndcg_recall_and_ranks_agree_with_scikit_learn() -> None:
    """On 40 customers x 30 products, each ranked whole: sklearn has no list shorter than that.

    Coinciding: ndcg (binary gains, unique scores), average precision and reciprocal rank at
    k = all products, recall as coverage of the top k.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklearn.metrics import (
            average_precision_score,
            label_ranking_average_precision_score,
            ndcg_score,
            recall_score,
        )

    rng = np.random.default_rng(5)
    customers, products, k = 40, 30, 10
    relevant = rng.random((customers, products)) < 0.2
    relevant[np.arange(customers), rng.integers(0, products, customers)] = True
    scores = rng.permuted(np.tile(np.arange(products, dtype=float), (customers, 1)), axis=1)
    ranked = np.argsort(-scores, axis=1)
    lists = {f"c{i:02d}": [f"p{j}" for j in row] for i, row in enumerate(ranked)}
    truth = {f"c{i:02d}": {f"p{j}": 1.0 for j in np.flatnonzero(relevant[i])} for i in range(40)}

    ours = judge(lists, truth, k=k)
    whole = judge(lists, truth, k=products)
    for i, name in enumerate(lists):
        yes, score = relevant[i], scores[i]
        assert ours[name]["ndcg_at_10"] == pytest.approx(ndcg_score([yes], [score], k=k))
        assert whole[name]["ndcg_at_30"] == pytest.approx(ndcg_score([yes], [score]))
        assert whole[name]["map_at_30"] == pytest.approx(average_precision_score(yes, score))
        assert ours[name]["recall_at_10"] == pytest.approx(recall_score(yes, score >= products - k))
        first = np.zeros(products, bool)
        first[ranked[i][yes[ranked[i]]][0]] = True  # one relevant label: lrap is 1 / its rank
        reciprocal = label_ranking_average_precision_score([first], [score])
        assert whole[name]["mrr_at_30"] == pytest.approx(reciprocal)


def test_a_perfect_list_is_one_and_a_wrong_one_zero() -> None:
    truth = {"ann": {"a": 1.0, "b": 2.0}, "bob": {"a": 4.0}}
    judged = judge({"ann": ["b", "a"], "bob": ["b"]}, truth)
    rates = [n for n in names() if not n.startswith("re") or n == "recall_at_10"]
    assert [judged["ann"][n] for n in rates] == [1.0] * len(rates)
    assert judged["ann"]["revenue_at_10"] == 3.0
    assert [judged["bob"][n] for n in rates] == [0.0] * len(rates)


def test_more_bought_than_k_still_lets_a_list_be_perfect_but_for_recall() -> None:
    judged = judge({"ann": ["a", "b"]}, {"ann": {"a": 1, "b": 1, "c": 1, "d": 1}}, k=2)
    assert judged["ann"]["ndcg_at_2"] == judged["ann"]["map_at_2"] == 1.0
    assert judged["ann"]["recall_at_2"] == 0.5


def test_who_has_no_list_counts_zero_and_who_bought_nothing_is_not_judged() -> None:
    judged = judge({"bob": ["a"]}, {"ann": {"a": 1.0}}, {"ann": {"a"}})
    assert list(judged) == ["ann"]
    assert judged["ann"] == dict.fromkeys(names(), 0.0) | {"new_hit_rate_at_10": None}


def test_nobody_bought_anything() -> None:
    listed, bought, before = tables({"ann": ["a"]}, {}, {"ann": {"a"}})
    table = per_customer(listed, bought, known=before)
    assert table.num_rows == 0
    assert table.column_names == ["customer_id", *names()]
    assert table.schema.types == [pa.string(), *[pa.float64()] * len(METRICS)]


def test_rows_of_one_product_add_up_and_unknown_revenue_is_none() -> None:
    listed, _, before = tables({"ann": ["a", "b"]}, {}, {})
    bought = pa.table(
        {"customer_id": ["ann"] * 3, "product_id": ["a", "a", "b"], "revenue": [2.0, 3.0, None]}
    )
    (row,) = per_customer(listed, bought, known=before).to_pylist()
    assert (row["revenue_at_10"], row["recall_at_10"]) == (5.0, 1.0)
    (row,) = per_customer(listed, bought.drop(["revenue"]), known=before).to_pylist()
    assert (row["revenue_at_10"], row["recall_at_10"]) == (None, 1.0)


def test_a_place_left_empty_stays_empty() -> None:
    lists = pa.table({"customer_id": ["ann"], "rank": [3], "product_id": ["a"]})
    _, bought, before = tables({}, {"ann": {"a": 1.0}}, {})
    (row,) = per_customer(lists, bought, known=before).to_pylist()
    assert row["mrr_at_10"] == pytest.approx(1 / 3)
    assert row["ndcg_at_10"] == pytest.approx(0.5)


def test_dictionaries_large_strings_and_chunks_are_ids_too() -> None:
    listed, bought, before = tables({"ann": ["a", "b"], "bob": ["c"]}, {"bob": {"c": 1.0}}, {})
    plain = per_customer(listed, bought, known=before)
    encoded = listed.set_column(0, "customer_id", listed["customer_id"].dictionary_encode())
    chunked = pa.concat_tables([encoded.slice(1), encoded.slice(0, 1)])
    wide = bought.set_column(1, "product_id", bought["product_id"].cast(pa.large_string()))
    assert per_customer(chunked, wide, known=before).equals(plain)


@pytest.mark.parametrize(
    ("ranks", "products", "says"),
    [
        ([1, 2], ["a", "a"], "the list of customer ann has a twice"),
        ([2, 2], ["a", "b"], "the list of customer ann has rank 2 twice"),
        ([1, 0], ["a", "b"], "rank must be at least 1, got 0 for customer ann"),
        ([1, None], ["a", "b"], "lists.rank must have no nulls, got 1"),
        ([1, 2], ["a", None], "lists.product_id must have no nulls, got 1"),
    ],
)
def test_a_list_that_cannot_be_is_refused(ranks, products, says) -> None:  # type: ignore[no-untyped-def]
    lists = pa.table({"customer_id": ["ann"] * 2, "rank": ranks, "product_id": products})
    _, bought, before = tables({}, {"bob": {"a": 1.0}, "ann": {"c": 1.0}}, {})
    with pytest.raises(ValueError, match=says):
        per_customer(lists, bought, known=before)


def test_k_below_one_and_a_missing_column_are_refused() -> None:
    listed, bought, before = tables({"ann": ["a"]}, {"ann": {"a": 1.0}}, {})
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        per_customer(listed, bought, known=before, k=0)
    with pytest.raises(ValueError, match="lists must have a column rank, got customer_id"):
        per_customer(listed.drop(["rank"]), bought, known=before)


def test_a_customer_of_two_folds_is_one_row_with_her_mean() -> None:
    first = pa.table({"customer_id": ["a", "b"], "ndcg": [0.2, 0.4], "new": [None, 1.0]})
    second = pa.table({"customer_id": ["c", "a"], "ndcg": [1.0, 0.6], "new": [0.0, None]})
    assert over_folds([first, second]).to_pylist() == [
        {"customer_id": "a", "ndcg": 0.4, "new": None},
        {"customer_id": "b", "ndcg": 0.4, "new": 1.0},
        {"customer_id": "c", "ndcg": 1.0, "new": 0.0},
    ]
