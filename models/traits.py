"""Traits: the catalogue's table in, what models may know of each product by code out.

Categories, brands, suppliers and the words of titles are hashed into a fixed number of columns
(Weinberger et al.: Feature Hashing for Large Scale Multitask Learning, 2009), so that a product
launched after training has its traits in the columns that the model learned.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from features.columns import numbers
from features.ids import IdMap
from models.history import Catalogue, Codes

TRAITS = 1 << 14  # columns that traits are hashed into
NAMED = ("category", "brand", "supplier_id")
WORD = re.compile(r"[^\W_]{2,}")


def catalogue(products: pa.Table, codes: IdMap, *, full: bool = False) -> Catalogue:
    """What a table says of the products of a map; one of `codes` it lacks is without.

    products: product_id, category and, for `full`, brand, supplier_id, price and title where
    there are such columns.
    """
    rows = numbers(
        pc.index_in(codes.ids, value_set=products["product_id"].combine_chunks()), null=-1
    )
    categories = np.full(len(codes), -1, dtype=np.int32)
    names = IdMap.of(products["category"])
    categories[rows >= 0] = names.codes(products["category"])[rows[rows >= 0]]
    if not full:
        return Catalogue(categories)
    prices = np.full(len(codes), np.nan, dtype=np.float32)
    if "price" in products.column_names:
        given = pc.fill_null(products["price"].cast(pa.float32()), np.nan)
        prices[rows >= 0] = given.to_numpy()[rows[rows >= 0]]
    return Catalogue(categories, prices, _traits(products, rows))


def _traits(products: pa.Table, rows: Codes) -> sp.csr_matrix:
    """(len(rows), TRAITS) of the table's rows, none for -1."""
    bags: list[list[int]] = [[] for _ in range(products.num_rows)]
    for name in NAMED:
        if name in products.column_names:
            for bag, value in zip(bags, products[name].to_pylist(), strict=True):
                if value is not None:
                    bag.append(hashed(f"{name}={value}"))
    if "title" in products.column_names:
        known: dict[str, int] = {}
        for bag, title in zip(bags, products["title"].to_pylist(), strict=True):
            for word in WORD.findall((title or "").lower()):
                if word not in known:
                    known[word] = hashed(word)
                bag.append(known[word])
    columns = [sorted(set(bags[row])) if row >= 0 else [] for row in rows.tolist()]
    indptr = np.cumsum([0, *map(len, columns)])
    indices = np.fromiter((c for bag in columns for c in bag), np.int32, indptr[-1])
    ones = np.ones(len(indices), np.float32)
    return sp.csr_matrix((ones, indices, indptr), (len(rows), TRAITS))


def hashed(trait: str) -> int:
    """Its column: the same on every machine."""
    return zlib.crc32(trait.encode("utf-8")) % TRAITS
