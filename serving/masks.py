"""Masks: a shelf and counts of stock in, which of its products can be shown out, place by place.

Of a product with counts, that of the whole shop tells, or where only stores count, whether any has
some left; a store that counts a product goes by its own. A product without counts is as the bundle
has it. So is one that was counted last before the bundle counted it itself, where a bundle says
so (`counted_at` in its catalogue).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.history import Codes
from serving.catalogue import NEVER, Mask, numbers
from serving.counts import Counts

if TYPE_CHECKING:
    from serving.shelf import Shelf

STORE_BYTES = 1 << 26  # for the masks of stores, on each shelf


class Masks:
    """One shelf's masks: (products,) bool, the shop's under None, and those of stores asked for.

    They change in place. Of the shelf it holds no more than ids, so that one out of use can go.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.code: Callable[[str], int] = shelf.code
        self.of: dict[str | None, Mask] = {None: shelf.catalogue.available.copy()}
        self._counted = _counted(shelf.catalogue.table)

    def show(self, counts: Counts, news: Iterable[tuple[str, str | None, float]]) -> bool:
        """Say what is known of products; whether the bundle was the word on one until now.

        news: a product, the place of a count of it, when it had been counted last before that.
        """
        turned, shop = False, self.of[None]
        codes: dict[str, int] = {}  # of products that may be new in all places
        for product_id, place, before in news:
            code, product = self.code(product_id), counts.products[product_id]
            if code < 0 or product.at < self._since(code):
                continue
            if before < self._since(code):
                turned = True
                codes[product_id] = code
            elif bool(shop[code]) != product.shown:
                codes[product_id] = code
            elif place is not None and place in self.of:
                self.of[place][code] = counts.stores[place][product_id].quantity > 0
        if codes:
            self._show_everywhere(counts, codes)
        return turned

    def _show_everywhere(self, counts: Counts, codes: dict[str, int]) -> None:
        rows = np.fromiter(codes.values(), np.int32, len(codes))
        shown = np.array([counts.products[product_id].shown for product_id in codes])
        order = {product_id: row for row, product_id in enumerate(codes)}
        for place, mask in self.of.items():
            values = shown
            own = {} if place is None else counts.stores[place]
            if counted := own.keys() & codes.keys():
                values = shown.copy()
                for product_id in counted:
                    values[order[product_id]] = own[product_id].quantity > 0
            mask[rows] = values  # at once: whoever looks meanwhile sees nothing in between

    def add(self, counts: Counts, store_id: str) -> Mask:
        """The mask of a store; one that counts nothing has the shop's own. Forgets the oldest."""
        if store_id not in counts.stores:
            return self.of[None]
        mask = self.of[None].copy()
        for product_id, count in counts.stores[store_id].items():
            code = self.code(product_id)
            if code >= 0 and counts.products[product_id].at >= self._since(code):
                mask[code] = count.quantity > 0
        self.of[store_id] = mask
        if len(self.of) > 2 + STORE_BYTES // (len(mask) or 1):
            del self.of[next(itertools.islice(self.of, 1, None))]
        return mask

    def _since(self, code: int) -> float:
        """When the bundle counted a product; before all time where it does not say."""
        return -math.inf if self._counted is None else float(self._counted[code])


def substitutes(shelf: Shelf, code: int, mask: Mask) -> int | None:
    """The code of the product most alike to one that is sold out, of those that a mask shows.

    One of the same category goes before all others; None where nothing alike can be shown.
    """
    alike: Codes = shelf.bundle.similar_products[code]
    alike = alike[alike >= 0]
    found = alike[mask[alike]]
    if not len(found):
        return None
    categories = shelf.catalogue.groups("category")
    same = found[(categories[found] == categories[code]) & (categories[code] >= 0)]
    return int(same[0] if len(same) else found[0])


def _counted(products: pa.Table) -> npt.NDArray[np.float64] | None:
    """(products,) POSIX seconds of a bundle's own counts."""
    if "counted_at" not in products.column_names:
        return None
    times = numbers(products["counted_at"].combine_chunks().cast(pa.int64()), missing=NEVER)
    return np.where(times == NEVER, -np.inf, times / 1e6)
