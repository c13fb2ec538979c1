"""Visits: people in, when and where each comes to the shop and what she surely takes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.synthetic.people import CHANNELS, SHARES, People
from features.synthetic.season import (
    BROADCAST_EVERY,
    BROADCAST_HOUR,
    HOUR,
    LONGEST,
    ONLINE,
    OPEN,
    time_of_day,
)
from features.synthetic.taste import Repertoire
from features.synthetic.world import Doubles, Ints, World

Rows = npt.NDArray[np.intp]

WEB, APP, STORE, LIVE, CALL, EMAIL, MARKET = range(len(CHANNELS))
TOGETHER = 3  # days: what falls due so soon after is bought at one go
STEADY = 14.0  # regularity of replenishment


@dataclass(frozen=True, slots=True)
class Staples:
    """What people buy again and again: r rows of person, product and her mean gap in days."""

    who: Rows
    product: Ints
    every: Doubles


@dataclass(frozen=True, slots=True)
class Visits:
    """s visits, ordered by person, and f fixed lines of some of them.

    who, day, start, channel: (s,), person, day of the window, microseconds since 1970, place in
    CHANNELS. takes, looks: (s,), products freely bought and only looked at.
    broadcast: (s,), number of the live broadcast, -1 where there is none.
    line_visit, line_product: (f,), replenishment that is bought at that visit.
    """

    who: Rows
    day: Ints
    start: Ints
    channel: Ints
    takes: Ints
    looks: Ints
    broadcast: Ints
    line_visit: Rows
    line_product: Ints


def staples(rng: np.random.Generator, world: World, people: People, known: Repertoire) -> Staples:
    """Each customer's own, by her taste, each with her own pace of using it up."""
    who = np.repeat(np.arange(people.n), rng.poisson(0.6, people.n))
    product = known.choose(
        rng, who, lambda p, _: world.period[p] > 0, lambda p, _: np.ones(len(p), dtype=np.bool_)
    )
    who, product = who[product >= 0], product[product >= 0]
    # one row for a person and a product
    _, first = np.unique(who * world.products + product, return_index=True)
    who, product = who[first], product[first]
    every = world.period[product] * np.exp(0.25 * rng.standard_normal(len(who)))
    return Staples(who, product, np.round(every, 2))


def plan(rng: np.random.Generator, world: World, people: People, needs: Staples) -> Visits:
    """All visits of the window: orders by rhythm, replenishment by need, and looking around."""
    n, days = people.n, world.season.days
    # what can be lived within the window; never less than what falls in it
    span = np.minimum(people.awake(), days - people.begin)
    fresh = people.joined[:n] >= 0  # her first order is why she joined
    lead = np.where(fresh, 0.05, rng.random(n))
    orders, ordered = rhythmic(
        rng, people.rhythm[:n], people.regularity[:n], span=span[:n], lead=lead
    )
    since = rng.random(len(needs.who)) ** 2 * span[needs.who]
    rows, due = rhythmic(
        rng,
        needs.every,
        np.full(len(needs.every), STEADY),
        span=span[needs.who] - since,
        lead=np.zeros(len(since)),
    )
    due = due + since[rows]

    who = np.concatenate([orders, needs.who[rows]])
    lived = np.concatenate([ordered, due])
    product = np.concatenate([np.full(len(orders), -1), needs.product[rows]])
    day = _day(world, people, who, lived)
    inside = day < days
    who, day, product = who[inside], day[inside], product[inside]
    order = np.lexsort((product, day, who))
    who, day, product = who[order], day[order], product[order]
    opens = np.ones(len(who), dtype=np.bool_)
    opens[1:] = (who[1:] != who[:-1]) | (day[1:] - day[:-1] > TOGETHER)
    basket = np.cumsum(opens) - 1  # (rows,), the order each row belongs to
    head = np.flatnonzero(opens)
    free = np.bincount(basket[product < 0], minlength=len(head))
    takes = np.where(free > 0, 1 + rng.poisson(0.85, len(head)), rng.poisson(0.25, len(head)))

    # visits without an order: her own, and the strangers'
    idle = rng.poisson(0.95 * span[:n] / people.rhythm[:n])
    passing = 1 + rng.poisson(0.6, people.m - n)
    roam = np.repeat(np.arange(people.m), np.concatenate([idle, passing]))
    roam_day = _day(world, people, roam, rng.random(len(roam)) * span[roam])
    roam, roam_day = roam[roam_day < days], roam_day[roam_day < days]
    buys = (roam >= n) & (rng.random(len(roam)) < 0.15)

    visits = len(head) + len(roam)
    all_who = np.concatenate([who[head], roam])
    all_takes = np.concatenate([takes, buys * (1 + rng.poisson(0.5, len(roam)))])
    looks = np.concatenate([rng.poisson(1.2, len(head)), 1 + rng.poisson(1.5, len(roam))])
    channel, when, start, broadcast = _where(
        rng, world, people, all_who, np.concatenate([day[head], roam_day])
    )
    # a product that is not on sale that day is not replenished
    line = np.flatnonzero(product >= 0)
    line = line[world.on_sale(product[line], when[basket[line]])]
    order = np.lexsort((start, all_who))
    order = order[start[order] + LONGEST <= world.season.end]
    stays = np.full(visits, -1)
    stays[order] = np.arange(len(order))
    line = line[stays[basket[line]] >= 0]
    return Visits(
        who=all_who[order],
        day=when[order],
        start=start[order],
        channel=channel[order],
        takes=np.minimum(all_takes, 8)[order],
        looks=np.minimum(looks, 8)[order],
        broadcast=broadcast[order],
        line_visit=stays[basket[line]],
        line_product=product[line],
    )


def rhythmic(
    rng: np.random.Generator, mean: Doubles, shape: Doubles, *, span: Doubles, lead: Doubles
) -> tuple[Rows, Doubles]:
    """Renewal times in [0, span) of each row: gaps are gamma with that mean and shape.

    lead: (rows,), how much of the first gap has still to pass. Returns row and time of each.
    """
    expected = np.maximum(span, 0.0) / mean
    count = np.ceil(expected + 5 * np.sqrt(expected / shape) + 3).astype(np.int64)
    rows = np.repeat(np.arange(len(mean)), count)
    gaps = rng.standard_gamma(shape[rows]) * (mean / shape)[rows]
    first = np.cumsum(count) - count
    gaps[first] *= lead
    passed = np.cumsum(gaps)
    times = passed - (passed - gaps)[first][rows]
    inside = times < span[rows]
    return rows[inside], times[inside]


def _day(world: World, people: People, who: Rows, lived: Doubles) -> Ints:
    """Calendar day, whole, of moments of people's lives."""
    return np.floor(world.season.calendar(people.moment(who, lived))).astype(np.int64)


def _where(
    rng: np.random.Generator,
    world: World,
    people: People,
    who: Rows,
    day: Ints,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Channel, day, start and broadcast of visits; live ones move back to the last broadcast."""
    n = len(who)
    channel = np.where(
        rng.random(n) < 0.7, people.channel[who], rng.choice(len(CHANNELS), n, p=SHARES)
    )
    began = np.floor(world.season.calendar(people.begin)).astype(np.int64)[who]
    shown = day // BROADCAST_EVERY * BROADCAST_EVERY
    channel = np.where((channel == LIVE) & (shown < began), APP, channel)
    live = channel == LIVE
    day = np.where(live, shown, day)
    clock = np.where(channel == STORE, time_of_day(rng, OPEN, n), time_of_day(rng, ONLINE, n))
    clock = np.where(live, BROADCAST_HOUR * HOUR + rng.integers(0, HOUR * 3 // 4, n), clock)
    start = world.season.micros(day) + clock
    return channel, day, start, np.where(live, day // BROADCAST_EVERY, -1)
