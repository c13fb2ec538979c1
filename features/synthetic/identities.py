"""Identities: people and their visits in, the name each is recorded by and whose it is out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.schemas import IDENTITIES, TIME
from features.synthetic.behaviour import leaves
from features.synthetic.names import coded, scrambled
from features.synthetic.people import People
from features.synthetic.season import DAY
from features.synthetic.visits import APP, LIVE, STORE, WEB, Visits
from features.synthetic.world import Ints, World

KINDS = ("cookie", "cookie", "app", "loyalty")  # the first cookie is the phone's, the second home's
COOKIE, HOME, DEVICE, CARD = range(len(KINDS))
OWNED = (0.7, 0.15, 0.6, 0.65)  # customers whose identity of the kind gets linked


@dataclass(frozen=True, slots=True)
class Names:
    """What one may be called: customer ids first, then every person's identities kind by kind.

    words: `kind:value` behind the n ids; values: by kind, (m,) each.
    linked: (4, m), microseconds since 1970 from which a link is known, -1 where there never is one.
    """

    words: pa.Array
    values: tuple[pa.Array, ...]
    linked: Ints
    n: int
    m: int

    def of(self, kind: int, who: npt.NDArray[np.intp]) -> Ints:
        """Places in `words` of people's identities of a kind."""
        return np.asarray(self.n + kind * self.m + who, dtype=np.int64)


def name(
    rng: np.random.Generator, world: World, people: People, *, ids: pa.Array, first: int
) -> Names:
    """Identities for everyone; `first` is a number that no other chunk's people reach."""
    n, m = people.n, people.m
    season = world.season
    numbers = [(first + np.arange(m)) * len(KINDS) + k for k in range(len(KINDS))]
    values = tuple(scrambled("", number) for number in numbers)
    words = [scrambled(f"{kind}:", number) for kind, number in zip(KINDS, numbers, strict=True)]

    joined = season.micros(np.floor(season.calendar(people.joined)).astype(np.int64))
    wait = (rng.exponential(40.0, (len(KINDS), m)) * DAY).astype(np.int64)
    wait[CARD] = 0
    linked = joined[None, :] + wait
    owned = rng.random((len(KINDS), m)) < np.asarray(OWNED)[:, None]
    owned &= linked < np.minimum(leaves(world, people), season.end)[None, :]
    owned[:, n:] = False
    owned[HOME] &= owned[DEVICE]  # the home cookie is known through the app
    return Names(pa.concat_arrays([ids, *words]), values, np.where(owned, linked, -1), n, m)


def used(rng: np.random.Generator, people: People, visits: Visits, names: Names) -> Ints:
    """(s,): the place in `names.words` under which each visit is recorded, -1 for nobody."""
    who, channel = visits.who, visits.channel
    chance = rng.random(len(who))
    stranger = who >= people.n
    away = chance > np.where(visits.takes > 0, 0.85, 0.65)  # not logged in
    cookie = np.where(rng.random(len(who)) < 0.25, names.of(HOME, who), names.of(COOKIE, who))
    device = names.of(DEVICE, who)
    outside = np.select([channel == WEB, np.isin(channel, (APP, LIVE))], [cookie, device], -1)
    outside = np.where((chance > 0.96) | (stranger & (chance > 0.6)), -1, outside)
    card = np.where((names.linked[CARD, who] >= 0) & (chance < 0.8), names.of(CARD, who), -1)
    inside = np.where(away & np.isin(channel, (WEB, APP, LIVE)), outside, who)
    return np.where(channel == STORE, card, np.where(stranger, outside, inside))


def links(names: Names) -> pa.Table:
    """What is known of whose the identities are; home cookies lead to the app's."""
    tables = []
    for kind, word in enumerate(KINDS):
        who = np.flatnonzero(names.linked[kind] >= 0)
        owner = names.of(DEVICE, who) if kind == HOME else who
        columns = [
            coded(np.zeros(len(who)), pa.array([word])).cast(pa.string()),
            names.values[kind].take(pa.array(who)),
            names.words.take(pa.array(owner)),
            pa.array(names.linked[kind, who]).cast(TIME),
        ]
        tables.append(pa.table(columns, schema=IDENTITIES))
    return pa.concat_tables(tables)
