"""Counts: how many of a product, where and when in, the newest of each product and store out."""

from __future__ import annotations

import math

import msgspec


class Count(msgspec.Struct, frozen=True, gc=False):
    """A count of a product, in a store or in the whole shop; `at` in POSIX seconds.

    version: of the log that holds it; of two counts of one moment the later in the log is newer.
    """

    quantity: float
    at: float
    version: int = 0


class Product:
    """What is known of a product over all stores.

    shop: the count of the whole shop. stocked: how many stores have some left. at: when it was
    last counted anywhere.
    """

    __slots__ = ("at", "shop", "stocked")

    def __init__(self) -> None:
        self.shop: Count | None = None
        self.stocked = 0
        self.at = -math.inf

    @property
    def shown(self) -> bool:
        """Whether the shop has it: by its own count, or where only stores count, in any of them."""
        return self.stocked > 0 if self.shop is None else self.shop.quantity > 0


class Counts:
    """The newest counts; a store is None for the whole shop.

    products: all that have a count. stores: the stores' counts, by store and product.
    """

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.stores: dict[str, dict[str, Count]] = {}

    def get(self, product_id: str, store_id: str | None) -> Count | None:
        """One count, where there is one."""
        if store_id is not None:
            return self.stores.get(store_id, {}).get(product_id)
        product = self.products.get(product_id)
        return None if product is None else product.shop

    def last(self, product_id: str) -> float:
        """When a product was counted last anywhere; before all time where it was not."""
        product = self.products.get(product_id)
        return -math.inf if product is None else product.at

    def of(self, product_id: str) -> dict[str | None, Count]:
        """All counts of a product, by store."""
        places: list[str | None] = [None, *self.stores]
        return {
            place: count for place in places if (count := self.get(product_id, place)) is not None
        }

    def put(self, product_id: str, store_id: str | None, count: Count) -> None:
        """Know a count in place of the one before; which is newer is the caller's to say."""
        product = self.products.get(product_id)
        if product is None:
            product = self.products[product_id] = Product()
        if store_id is None:
            product.shop = count
        else:
            counts = self.stores.setdefault(store_id, {})
            before = counts.get(product_id)
            counts[product_id] = count
            product.stocked += (count.quantity > 0) - (before is not None and before.quantity > 0)
        product.at = max(product.at, count.at)
