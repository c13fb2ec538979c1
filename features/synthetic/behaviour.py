"""Behaviour: visits in, what people look at, put into carts, buy and send back out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.schemas import EVENT_TYPES
from features.synthetic.names import mix
from features.synthetic.people import People
from features.synthetic.season import DAY, LONGEST
from features.synthetic.taste import Repertoire
from features.synthetic.visits import APP, CALL, EMAIL, MARKET, STORE, WEB, Rows, Visits
from features.synthetic.world import Doubles, Ints, World

VIEW, CART, UNCART, WISH, BUY, REFUND, LIST = range(len(EVENT_TYPES))
SILENT = (STORE, CALL, MARKET)  # channels of which only the order is known
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Items:
    """i products met in visits, each once a visit, in the order in which they were looked at.

    visit, place: (i,), the visit and the place within it, from 0. product: (i,).
    bought: (i,). size: (s,), items of each visit.
    """

    visit: Rows
    place: Ints
    product: Ints
    bought: npt.NDArray[np.bool_]
    size: Ints


@dataclass(frozen=True, slots=True)
class Happened:
    """e events by time. kind: place in EVENT_TYPES; visit: place in Visits; product: -1 is none.

    quantity, price: NaN where there is none.
    """

    time: Ints
    kind: Ints
    visit: Rows
    product: Ints
    quantity: Doubles
    price: Doubles


def meet(rng: np.random.Generator, world: World, visits: Visits, known: Repertoire) -> Items:
    """Choose the products of every visit by taste, among those on sale, in their season."""
    silent = np.isin(visits.channel, SILENT)
    looks = np.where(silent, 0, visits.looks)
    count = visits.takes + looks
    visit = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    bought = np.arange(len(visit)) - first[visit] < visits.takes[visit]
    themes = _themes(world, int(visits.broadcast.max(initial=-1)) + 1)

    def possible(products: Ints, at: Rows) -> npt.NDArray[np.bool_]:
        return world.on_sale(products, visits.day[visit[at]])

    def liked(products: Ints, at: Rows) -> npt.NDArray[np.bool_]:
        category, where = world.category[products], visit[at]
        shown = themes[visits.broadcast[where], category]  # the last row, -1, shows everything
        willing = world.liked[category, visits.day[where]]
        return np.asarray((rng.random(len(at), dtype=np.float32) < willing) & shown)

    product = known.choose(rng, visits.who[visit], possible, liked)
    found = product >= 0
    visit = np.concatenate([visit[found], visits.line_visit])
    product = np.concatenate([product[found], visits.line_product])
    bought = np.concatenate([bought[found], np.ones(len(visits.line_visit), dtype=np.bool_)])
    return _once(visit, product, bought, len(count), bits=int(world.products).bit_length())


def happen(
    rng: np.random.Generator, world: World, people: People, visits: Visits, items: Items
) -> Happened:
    """Give every act of a visit its time; send back a few purchases some days later."""
    n = len(items.visit)
    channel = visits.channel[items.visit]
    silent = np.isin(channel, SILENT)
    # seconds from one product to the next, such that no session lasts too long
    pace = np.clip(45 * SECOND * rng.gamma(2.0, 0.5, len(visits.who)), 8 * SECOND, None)
    pace = np.minimum(pace, LONGEST / (items.size + 2)).astype(np.int64)
    start, step = visits.start[items.visit], pace[items.visit]
    viewed = start + ((items.place + 1 + 0.7 * rng.random(n)) * step).astype(np.int64)
    carted = viewed + (step * (0.05 + 0.2 * rng.random(n))).astype(np.int64)
    over = start + (items.size[items.visit] + 1) * step  # later than every view and cart
    paid = np.where(silent, start, over + step // 2)

    chance = rng.random(n, dtype=np.float32)
    into = ~silent & np.where(items.bought, chance < 0.88, chance < 0.13)
    wished = ~silent & ~items.bought & (chance > 0.93)
    dropped = into & ~items.bought & (rng.random(n, dtype=np.float32) < 0.35)
    opened = np.flatnonzero(~silent & (items.place == 0) & np.isin(channel, (WEB, APP, EMAIL)))
    opened = opened[rng.random(len(opened)) < 0.35]
    units = np.where(
        world.period[items.product] > 0, rng.geometric(0.7, n), rng.geometric(0.92, n)
    ).astype(np.float64)

    sold = np.flatnonzero(items.bought)
    back, returned, amount = _refunds(rng, world, people, visits, items, sold, paid[sold], units)

    everyone = np.arange(n)
    acts = (
        (VIEW, everyone[~silent], viewed[~silent]),
        (CART, everyone[into], carted[into]),
        (UNCART, everyone[dropped], over[dropped] + step[dropped] // 4),
        (WISH, everyone[wished], carted[wished]),
        (BUY, sold, paid[sold]),
        (REFUND, back, returned),
        (LIST, opened, start[opened] + step[opened] // 2),
    )
    time = np.concatenate([when for _, _, when in acts])
    order = np.argsort(time, kind="stable")
    item = np.concatenate([which for _, which, _ in acts])[order]
    kind = np.repeat(np.arange(len(acts)), [len(which) for _, which, _ in acts])[order]
    product = items.product[item]
    units = np.where(np.isin(kind, (CART, UNCART, BUY)), units[item], np.nan)
    units[kind == REFUND] = amount[np.argsort(returned, kind="stable")]
    price = np.where(
        np.isin(kind, (WISH, LIST)), np.nan, _price(world, product, visits.day[items.visit[item]])
    )
    # a list has no product of its own; most shops log its first one
    unnamed = (kind == LIST) & (rng.random(len(item)) < 0.2)
    return Happened(
        time[order], kind, items.visit[item], np.where(unnamed, -1, product), units, price
    )


def _refunds(
    rng: np.random.Generator,
    world: World,
    people: People,
    visits: Visits,
    items: Items,
    sold: Rows,
    paid: Ints,
    units: Doubles,
) -> tuple[Rows, Ints, Doubles]:
    """Items that come back, when, and how many of each: one line in twenty, within three weeks."""
    some = rng.random(len(sold)) < 0.05
    sold, paid = sold[some], paid[some]
    when = paid + (rng.uniform(2, 21, len(sold)) * DAY).astype(np.int64)
    last = np.minimum(leaves(world, people)[visits.who[items.visit[sold]]], world.season.end)
    amount = np.where(rng.random(len(sold)) < 0.8, units[sold], np.ceil(units[sold] / 2))
    keep = when < last
    return sold[keep], when[keep], amount[keep]


def leaves(world: World, people: People) -> Ints:
    """(m,): the midnight, in microseconds since 1970, after which each is gone for good."""
    day = np.floor(world.season.calendar(people.until)).astype(np.int64) + 1
    return world.season.micros(day)


def _price(world: World, products: Ints, day: Ints) -> Doubles:
    """What a product costs on a day: one in ten is a fifth cheaper for a week."""
    offer = mix(products * 1_000 + day // 7) % np.uint64(10) == 0
    return np.asarray(np.round(world.price[products] * np.where(offer, 0.8, 1.0), 2))


def _themes(world: World, broadcasts: int) -> npt.NDArray[np.bool_]:
    """(broadcasts + 1, K): a third of the categories each; the last row stands for no broadcast."""
    k = len(world.mass)
    number = np.arange(broadcasts)[:, None] * k + np.arange(k)[None, :]
    shown = mix(number.ravel()).reshape(number.shape) % np.uint64(3) == 0
    return np.concatenate([shown, np.ones((1, k), dtype=np.bool_)])


def _once(
    visit: Rows, product: Ints, bought: npt.NDArray[np.bool_], visits: int, *, bits: int
) -> Items:
    """Each product once a visit, bought if it was bought at all, in an order of chance.

    The sort key is the visit, then the product scrambled by a bijection that differs from visit to
    visit, then whether it was only looked at: one sort shuffles and finds what stands twice.
    """
    within = np.uint64((1 << bits) - 1)
    salt = mix(visit)
    mixed = ((product.astype(np.uint64) ^ salt) * (salt | np.uint64(1))) & within
    mixed ^= mixed >> np.uint64(bits // 2)
    key = (visit.astype(np.uint64) << np.uint64(bits + 1)) | (mixed << np.uint64(1))
    key |= (~bought).astype(np.uint64)
    order = np.argsort(key, kind="stable")
    key = key[order] >> np.uint64(1)
    first = np.ones(len(key), dtype=np.bool_)
    first[1:] = key[1:] != key[:-1]
    order = order[first]
    visit = visit[order]
    size = np.bincount(visit, minlength=visits)
    place = np.arange(len(visit)) - (np.cumsum(size) - size)[visit]
    return Items(visit, place, product[order], bought[order], size)
