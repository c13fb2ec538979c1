"""Shown: what customers were shown in, what of it they keep passing by out; in memory, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

CUSTOMERS = 100_000
PRODUCTS = 100  # a customer and surface
SURFACES = 8  # a customer


class Shown:
    """How often each customer was shown a product on a surface since she last took it up.

    The customer longest away is forgotten first, and of a customer's products the one longest not
    shown: so that what was left out for being stale has its chance again. One event loop's own.
    """

    def __init__(self, *, customers: int = CUSTOMERS, products: int = PRODUCTS) -> None:
        self.customers, self.products = customers, products
        self._seen: OrderedDict[str, dict[str, dict[str, int]]] = OrderedDict()

    @property
    def known(self) -> int:
        """Customers who are remembered."""
        return len(self._seen)

    def note(self, customer_id: str, surface: str, product_ids: Iterable[str]) -> None:
        """She was shown these, once more each."""
        surfaces = self._seen.get(customer_id)
        if surfaces is None:
            surfaces = self._seen[customer_id] = {}
            if len(self._seen) > self.customers:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(customer_id)
        counts = surfaces.get(surface)
        if counts is None:
            if len(surfaces) >= SURFACES:
                del surfaces[next(iter(surfaces))]
            counts = surfaces[surface] = {}
        take = counts.pop
        for id in product_ids:
            counts[id] = take(id, 0) + 1  # taken out and put in again: now the last shown
        while len(counts) > self.products:
            del counts[next(iter(counts))]

    def stale(self, customer_id: str, surface: str, times: int) -> list[str]:
        """Products that she was shown there `times` times or more and did not take up since."""
        surfaces = self._seen.get(customer_id)
        counts = surfaces.get(surface) if surfaces else None
        return [id for id, count in counts.items() if count >= times] if counts else []

    def clicked(self, customer_id: str, product_id: str) -> None:
        """She took it up, by a click, a cart or a purchase: it is stale on no surface."""
        for counts in self._seen.get(customer_id, {}).values():
            counts.pop(product_id, None)

    def forget(self, customer_id: str) -> None:
        """Erase a customer."""
        self._seen.pop(customer_id, None)
