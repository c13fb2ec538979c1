"""Catalogue figures beside a slow oracle and known values."""

from __future__ import annotations

from itertools import combinations
from math import isnan, log2

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.catalogue import gini, of_lists

CATALOGUE = pa.table(
    {
        "product_id": list("abcdef"),
        "buyers": pa.array([4, 2, 1, 0, None, 1], pa.int32()),
        "category": ["toy", "toy", "cup", "cup", None, "pen"],
    }
)


def table(lists: dict[str, str]) -> pa.Table:
    rows = [(c, i, p) for c, ps in lists.items() for i, p in enumerate(ps, 1)]
    return pa.table(
        {
            "customer_id": pa.array([r[0] for r in rows], "str"),
            "rank": pa.array([r[1] for r in rows], "int32"),
            "product_id": pa.array([r[2] for r in rows], "str"),
        }
    )


def oracle(lists: dict[str, str], k: int) -> dict[str, float]:
    """As the docstring reads; z and y are products that the catalogue does not have."""
    buyers = {"a": 4, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}
    category = {"a": "toy", "b": "toy", "c": "cup", "d": "cup", "f": "pen"}
    tops = [products[:k] for products in lists.values() if products]
    shown = [product for top in tops for product in top if product in buyers]
    exposure = [shown.count(product) for product in buyers]
    bits = [np.mean([-log2(buyers.get(p, 1) / sum(buyers.values())) for p in top]) for top in tops]
    varied = []
    for top in tops:
        pairs = list(combinations([category[p] for p in top if p in category], 2))
        if pairs:
            varied.append(np.mean([one != other for one, other in pairs]))
    apart = [abs(x - y) for x in exposure for y in exposure]
    return {
        f"coverage_at_{k}": len(set(shown)) / len(buyers),
        f"novelty_at_{k}": float(np.mean(bits)) if bits else np.nan,
        f"diversity_at_{k}": float(np.mean(varied)) if varied else np.nan,
        f"gini_at_{k}": sum(apart) / (2 * len(buyers) * len(shown)) if shown else np.nan,
    }


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("ABCD"), st.lists(st.sampled_from("abcdefyz"), unique=True).map("".join)
    ),
    st.integers(1, 8),
)
def test_every_figure_is_what_its_definition_says(lists: dict[str, str], k: int) -> None:
    got = of_lists(table(lists), catalogue=CATALOGUE, k=k)
    assert got == pytest.approx(oracle(lists, k), nan_ok=True)


def test_known_values_of_gini() -> None:
    assert gini([5, 5, 5, 5]) == 0
    assert gini([0, 0, 0, 7]) == pytest.approx(0.75)
    assert gini([1, 2, 3, 4]) == pytest.approx(0.25)
    assert isnan(gini([0, 0]))
    assert isnan(gini([]))


def test_the_same_for_all_is_narrow_and_each_her_own_is_wide() -> None:
    same = of_lists(table({"x": "ab", "y": "ab", "z": "ab"}), catalogue=CATALOGUE, k=2)
    own = of_lists(table({"x": "ac", "y": "bd", "z": "fe"}), catalogue=CATALOGUE, k=2)
    assert (same["coverage_at_2"], own["coverage_at_2"]) == (pytest.approx(1 / 3), 1.0)
    assert (same["gini_at_2"], own["gini_at_2"]) == (pytest.approx(2 / 3), 0.0)
    assert (same["diversity_at_2"], own["diversity_at_2"]) == (0.0, 1.0)
    assert same["novelty_at_2"] < own["novelty_at_2"]


def test_a_catalogue_without_buyers_or_categories_leaves_those_figures_open() -> None:
    got = of_lists(table({"x": "ab"}), catalogue=CATALOGUE.select(["product_id"]))
    assert isnan(got["novelty_at_10"])
    assert isnan(got["diversity_at_10"])
    assert got["coverage_at_10"] == pytest.approx(1 / 3)


def test_a_catalogue_of_no_products_covers_nothing() -> None:
    got = of_lists(table({"x": "ab"}), catalogue=CATALOGUE.slice(0, 0))
    assert isnan(got["coverage_at_10"])
    assert got["novelty_at_10"] == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        of_lists(table({}), catalogue=CATALOGUE, k=0)
    with pytest.raises(ValueError, match=r"catalogue must have one row a product, .* for a"):
        of_lists(table({}), catalogue=pa.concat_tables([CATALOGUE, CATALOGUE]))
