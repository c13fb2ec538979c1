"""World: the size of a shop and a seed in, its catalogue with tastes, prices and dates out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.synthetic import words
from features.synthetic.names import numbered
from features.synthetic.season import Season, day_of_year

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DIMENSIONS = 16
TAIL = 0.75  # the exponent of popularity by rank


@dataclass(frozen=True, slots=True)
class World:
    """Everything of the shop that does not depend on a customer; P products, K categories.

    taste: (P, d), of length 1; centre: (K, d), each category's, of length 1.
    appeal: (P,), the logarithm of how popular a product is among equals of taste and price.
    level: (P,), how dear it is within its category, about -2 to 2.
    launched, gone: (P,), whole days of the season's window in which it is on sale, gone excluded.
    period: (P,), days until it is used up, 0 where it never is.
    liked: (K, days), in the season of a category 1, out of it less.
    shelf: (P,), the products sorted by category; standing: (P,), appeal summed along the shelf.
    low, high: (K,), where each category begins and ends on `standing`; mass: (K,), log of its sum.
    """

    season: Season
    taste: Floats
    centre: Floats
    appeal: Doubles
    level: Floats
    category: Ints
    brand: Ints
    supplier: Ints
    price: Doubles
    launched: Ints
    gone: Ints
    period: Doubles
    liked: Floats
    shelf: Ints
    standing: Doubles
    low: Doubles
    high: Doubles
    mass: Doubles
    stores: int
    ids: pa.Array
    titles: list[str]
    brands: list[str]
    supplier_ids: pa.Array

    @property
    def products(self) -> int:
        """Number of products."""
        return len(self.price)

    def on_sale(self, products: Ints, day: Ints) -> npt.NDArray[np.bool_]:
        """Whether each product can be seen and bought on the day beside it."""
        return (self.launched[products] <= day) & (day < self.gone[products])


def products_for(customers: int) -> int:
    """How many products a shop of so many customers has: 400 for a thousand, 50,000 at most."""
    return int(np.clip(round(400 * (customers / 1000) ** 0.56), 60, 50_000))


def make(rng: np.random.Generator, season: Season, *, customers: int) -> World:
    """A catalogue as large as that many customers sustain."""
    n = products_for(customers)
    k = int(np.clip(n // 25, 8, len(words.CATEGORIES)))
    makers = 6 + n // 30
    suppliers = 3 + n // 90
    centre = unit(rng.standard_normal((k, DIMENSIONS)))
    usual = np.array([words.CATEGORIES[c][2] for c in range(k)])
    lasts = np.array([words.CATEGORIES[c][3] for c in range(k)], dtype=np.float64)

    # categories differ in size; each brand has a manner, a price level and three categories
    share = rng.dirichlet(np.full(k, 6.0))
    category = np.concatenate([np.arange(k), rng.choice(k, n - k, p=share)])
    homes = rng.integers(0, k, (makers, 3))
    homes[:k, 0] = np.arange(k)[:makers]  # each category has a brand of its own where they suffice
    manner = rng.standard_normal((makers, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    rank = 0.7 * rng.standard_normal(makers)
    brand = _brand(rng, category, homes)
    own = rng.standard_normal((n, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    taste = unit(centre[category] + 0.35 * manner[brand] + 0.6 * own)  # (P, d)
    level = rank[brand] + 0.6 * rng.standard_normal(n)
    price = np.maximum(np.round(usual[category] * np.exp(0.45 * level)) - 0.01, 0.99)

    appeal = -TAIL * np.log(rng.permutation(n) + 4.0) + 0.2 * rng.standard_normal(n)
    launched, gone = _on_sale(rng, n, season.days)
    period = np.where(
        rng.random(n) < 0.9, lasts[category] * np.exp(0.2 * rng.standard_normal(n)), 0.0
    )

    # the shelf: within a category a product is met as often as it is popular
    shelf = np.argsort(category, kind="stable")
    standing = np.cumsum(np.exp(appeal[shelf]))
    last = np.searchsorted(category[shelf], np.arange(k), side="right")
    high = standing[last - 1]
    low = np.concatenate([[0.0], high[:-1]])
    number = np.empty(n, dtype=np.int64)
    number[shelf] = np.arange(n) - np.concatenate([[0], last[:-1]])[category[shelf]]
    names = words.brands(makers)
    return World(
        season=season,
        taste=taste,
        centre=centre,
        appeal=appeal - np.log(standing[-1]),
        level=level.astype(np.float32),
        category=category,
        brand=brand,
        supplier=rng.integers(0, suppliers, makers)[brand],
        price=price,
        launched=launched,
        gone=gone,
        period=np.round(period, 1).astype(np.float64),
        liked=_liked(rng, season, k),
        shelf=shelf,
        standing=standing,
        low=low,
        high=high,
        mass=np.log(high - low),
        stores=int(np.clip(customers // 2000, 3, 200)),
        ids=numbered("p", np.arange(n), 6),
        titles=[
            words.title(names[b], c, i)
            for b, c, i in zip(brand.tolist(), category.tolist(), number.tolist(), strict=True)
        ],
        brands=names,
        supplier_ids=numbered("s", np.arange(suppliers), 4),
    )


def unit(vectors: Doubles) -> Floats:
    """The same directions, of length 1."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(vectors / length[:, None], dtype=np.float32)


def _brand(rng: np.random.Generator, category: Ints, homes: Ints) -> Ints:
    """For each product one of the brands at home in its category, or any where there is none."""
    where = homes.ravel()
    order = np.argsort(where, kind="stable")
    low = np.searchsorted(where[order], category, side="left")
    high = np.searchsorted(where[order], category, side="right")
    pick = low + np.floor(rng.random(len(category)) * np.maximum(high - low, 1)).astype(np.int64)
    found = order[np.minimum(pick, len(order) - 1)] // homes.shape[1]
    return np.where(high > low, found, rng.integers(0, len(homes), len(category)))


def _on_sale(rng: np.random.Generator, n: int, days: int) -> tuple[Ints, Ints]:
    """First day on sale and first day no more: one in five is new, one in twenty goes."""
    before = -np.ceil(rng.exponential(500.0, n)).astype(np.int64)
    during = rng.integers(0, days, n)
    launched = np.where(rng.random(n) < 0.2, during, before)
    goes = (rng.random(n) < 0.06) & (launched < 0)
    return launched, np.where(goes, rng.integers(0, days, n) + 1, np.iinfo(np.int64).max)


def _liked(rng: np.random.Generator, season: Season, k: int) -> Floats:
    """(K, days): how willing one is to look at a category on a day."""
    depth = rng.beta(1.0, 4.0, k)[:, None]
    best = rng.random(k)[:, None] * 365
    off = 1 - np.cos(2 * np.pi * (day_of_year(season.start, np.arange(season.days)) - best) / 365)
    return np.asarray(1 - depth * off / 2, dtype=np.float32)
