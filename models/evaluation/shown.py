"""Shown: all lists together in, how new, how dear and whose the products in them are out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.catalogue import gini
from models.evaluation.codes import Floats, Places, column, ids, place, unique
from models.evaluation.intervals import numbers

NEW_DAYS = 28


def of_lists(lists: pa.Table, *, catalogue: pa.Table, k: int = 10) -> dict[str, float]:
    """new_share_at_k, price_at_k and supplier_gini_at_k of the first k of every list.

    lists: customer_id, rank, product_id. catalogue: product_id and, where known, age_days (since
    the shop first saw the product), price and supplier_id.

    new_share      share of the places with a product of at most 28 days; one that the catalogue
                   does not have was never seen before, and is new
    price          mean price of the places, those without one left out
    supplier_gini  of how many places each of the catalogue's suppliers has: 0 all alike

    NaN where the catalogue lacks the column, or no place has a value.
    """
    shown = _places(lists, catalogue, k)
    found = {"new_share": np.nan, "price": np.nan, "supplier_gini": np.nan}
    if "age_days" in catalogue.column_names and shown.size:
        ages = np.append(numbers(catalogue["age_days"]), 0.0)[shown]
        found["new_share"] = float(np.mean(ages <= NEW_DAYS))
    if "price" in catalogue.column_names:
        prices: Floats = np.append(numbers(catalogue["price"]), np.nan)[shown]
        if not np.isnan(prices).all():
            found["price"] = float(np.nanmean(prices))
    if "supplier_id" in catalogue.column_names:
        names, codes = _suppliers(catalogue)
        held = codes[shown[shown >= 0]]
        found["supplier_gini"] = gini(np.bincount(held[held >= 0], minlength=len(names)))
    return {f"{name}_at_{k}": value for name, value in found.items()}


def suppliers(lists: pa.Table, *, catalogue: pa.Table, k: int = 10) -> dict[str, float]:
    """The share of all places that each supplier of the catalogue has, by its id.

    Empty where no supplier is known; places of products without one belong to nobody, so that the
    shares may sum to less than one.
    """
    if "supplier_id" not in catalogue.column_names:
        return {}
    shown = _places(lists, catalogue, k)
    names, codes = _suppliers(catalogue)
    held = np.append(codes, -1)[shown]
    counts = np.bincount(held[held >= 0], minlength=len(names))
    return {
        str(name): float(count / max(1, shown.size))
        for name, count in zip(names.to_pylist(), counts, strict=True)
    }


def _places(lists: pa.Table, catalogue: pa.Table, k: int) -> Places:
    """For each place of each list the catalogue's row, -1 for a product that it does not have."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    products = unique(ids(catalogue, "product_id", of="catalogue"), of="catalogue", what="product")
    first = pc.less_equal(column(lists, "rank", of="lists"), k)
    return place(ids(lists, "product_id", of="lists").filter(first), products)


def _suppliers(catalogue: pa.Table) -> tuple[pa.Array, Places]:
    """The suppliers there are, sorted, and each product's place among them, -1 without."""
    every = catalogue["supplier_id"].cast(pa.string())
    names = pc.drop_null(every.unique()).sort()
    return names, place(every, names)
