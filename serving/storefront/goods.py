"""Goods: a shelf in, what the demo shop shows of its products and customers out.

A storefront has its own catalogue and knows its own customers; the demo borrows both from the
bundle. Nothing here is part of the API.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from features.schemas import STAGES
from serving.catalogue import Mask
from serving.pages.people import Person, find, person
from serving.shelf import Shelf

MOST = 100  # products in one answer
HISTORY = 4  # products of a customer that are named


class Product(msgspec.Struct, frozen=True):
    """One product as the shop shows it; `available` is what stock says now."""

    product_id: str
    title: str
    category: str | None
    brand: str | None
    price: float | None
    available: bool


class Products(msgspec.Struct, frozen=True):
    """Products, and how many there are like them."""

    products: list[Product]
    total: int


class Customer(msgspec.Struct, frozen=True):
    """One customer to shop as: her stage, how many products she knows, the newest by title."""

    customer_id: str
    stage: str | None
    products: int
    newest: list[str]


class Customers(msgspec.Struct, frozen=True):
    """Customers, how many were found, and how many there are of each stage."""

    customers: list[Customer]
    total: int
    stages: dict[str, int]


class Shop(msgspec.Struct, frozen=True):
    """The shop: its currency, and the categories that have most products."""

    name: str
    currency: str
    categories: list[str]


def shop(shelf: Shelf, *, most: int = 12) -> Shop:
    """What the page's head needs."""
    codes, values = shelf.catalogue.columns["category"]
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    names = [name for name in values if name]
    names.sort(key=lambda name: (-counts[values[name]], name))
    manifest = shelf.bundle.manifest
    return Shop(str(manifest.get("shop") or ""), str(manifest.get("currency") or ""), names[:most])


def named(shelf: Shelf, stock: Mask, ids: Sequence[str]) -> Products:
    """Products by id, in the order asked; an id that the shelf lacks is left out."""
    codes = [code for code in map(shelf.code, ids[:MOST]) if code >= 0]
    return Products([_product(shelf, stock, code) for code in codes], len(codes))


def searched(shelf: Shelf, stock: Mask, text: str, *, most: int = 24) -> Products:
    """Products whose title, brand or category holds every word of a text, popular ones first."""
    words = text.casefold().split()
    categories, brands = (
        [(value or "").casefold() for value in shelf.bundle.products[name].to_pylist()]
        for name in ("category", "brand")
    )
    found = [
        code
        for code in shelf.popular.tolist()
        for held in [f"{shelf.titles[code].casefold()} {categories[code]} {brands[code]}"]
        if all(word in held for word in words)
    ]
    return Products([_product(shelf, stock, code) for code in found[:most]], len(found))


def people(shelf: Shelf, text: str, stage: str) -> Customers:
    """Customers to shop as."""
    found = find(shelf, text[:64], stage if stage in STAGES else None)
    return Customers([_customer(shelf, one) for one in found.people], found.total, found.stages)


def known(shelf: Shelf, customer_id: str) -> Customers:
    """One customer, none where the shelf does not know her."""
    row = shelf.row(customer_id)
    some = [_customer(shelf, person(shelf, row))] if row >= 0 else []
    return Customers(some, len(some), {})


def _product(shelf: Shelf, stock: Mask, code: int) -> Product:
    category, brand, price = (
        shelf.bundle.products[name][code].as_py() for name in ("category", "brand", "price")
    )
    id, title = shelf.product_ids[code], shelf.titles[code]
    return Product(id, title, category, brand, price, bool(stock[code]))


def _customer(shelf: Shelf, one: Person) -> Customer:
    history = shelf.bundle.recommender.history
    part = slice(history.weights.indptr[one.row], history.weights.indptr[one.row + 1])
    codes, weights = history.weights.indices[part], history.weights.data[part]
    order = np.argsort(-weights if history.last_days is None else history.last_days[part])
    newest = [shelf.titles[code] for code in codes[order[:HISTORY]].tolist()]
    return Customer(one.customer_id, one.stage, one.products, newest)
