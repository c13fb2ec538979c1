"""People: a world and a number in, customers with tastes, rhythms and lives out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.synthetic.world import DIMENSIONS, Doubles, Floats, Ints, World, unit

STRANGERS = 5  # one passer-by for so many customers
CHANNELS = ("web", "app", "store", "live", "call_center", "email", "marketplace")
SHARES = (0.42, 0.27, 0.20, 0.05, 0.015, 0.03, 0.015)


@dataclass(frozen=True, slots=True)
class People:
    """Customers first, then strangers who only pass by: m people, of whom n are customers.

    taste: (m, d), of length 1; level: (m,), how dear she likes it.
    rhythm: (m,), mean days between her orders by the even clock, replenishment apart;
    regularity: (m,), 1 is chance, 8 a metronome (the shape of the gamma law of the gaps).
    channel: (m,), the one she mostly uses.
    joined: (m,), day on which she became a customer, negative before the window.
    Life by the even clock: she is there from `begin`, slow from `slow` on, silent from `stop` to
    `back`, gone for good at `until`. stop = back = until for one who does not return.
    """

    n: int
    taste: Floats
    level: Floats
    rhythm: Doubles
    regularity: Doubles
    channel: Ints
    joined: Doubles
    begin: Doubles
    slow: Doubles
    stop: Doubles
    back: Doubles
    until: Doubles

    @property
    def m(self) -> int:
        """Customers and strangers."""
        return len(self.level)

    def awake(self) -> Doubles:
        """(m,): days of ordinary living that her life holds; a slow day is a third of one."""
        return (self.slow - self.begin) + (self.stop - self.slow) / 3 + (self.until - self.back)

    def moment(self, who: npt.NDArray[np.intp], lived: Doubles) -> Doubles:
        """Even-clock days at which people have `lived` so many ordinary days."""
        brisk = (self.slow - self.begin)[who]
        slowly = (self.stop - self.slow)[who] / 3
        return np.where(
            lived < brisk,
            self.begin[who] + lived,
            np.where(
                lived < brisk + slowly,
                self.slow[who] + (lived - brisk) * 3,
                self.back[who] + (lived - brisk - slowly),
            ),
        )


def arrive(rng: np.random.Generator, world: World, customers: int) -> People:
    """So many customers, and the strangers among them."""
    n = customers
    m = n + -(-n // STRANGERS)
    days = float(world.season.days)

    # two favourite categories and something of her own
    share = np.exp(world.mass - world.mass.max())
    first = rng.choice(len(share), m, p=share / share.sum())
    second = rng.choice(len(share), m, p=share / share.sum())
    mixed = rng.uniform(0.15, 0.85, m)[:, None]
    own = 0.45 / np.sqrt(DIMENSIONS) * rng.standard_normal((m, DIMENSIONS))
    taste = unit(
        np.sqrt(mixed) * world.centre[first] + np.sqrt(1 - mixed) * world.centre[second] + own
    )

    rhythm = np.clip(np.exp(np.log(80.0) + 0.55 * rng.standard_normal(m)), 7.0, 240.0)
    regularity = np.where(rng.random(m) < 0.3, 8.0, 1 + rng.gamma(1.0, 0.8, m))
    joined = np.where(rng.random(m) < 0.55, -rng.exponential(400.0, m), rng.uniform(0, days, m))
    joined[n:] = rng.uniform(0, days, m - n)
    begin = np.maximum(joined, 0.0)

    life = rng.exponential(1.0, m) * np.exp(np.log(560.0) + 0.6 * rng.standard_normal(m))
    life[n:] = rng.exponential(10.0, m - n)
    stop = begin + life
    slows = (rng.random(m) < 0.5) * rng.uniform(0.2, 0.6, m)
    slow = stop - np.minimum(slows * life, 120.0)
    returns = rng.random(m) < 0.2
    returns[n:] = False
    back = stop + np.where(returns, rng.uniform(45, 150, m), 0.0)
    until = back + np.where(returns, rng.exponential(200.0, m), 0.0)
    return People(
        n=n,
        taste=taste,
        level=rng.standard_normal(m).astype(np.float32),
        rhythm=rhythm,
        regularity=regularity,
        channel=rng.choice(len(CHANNELS), m, p=SHARES),
        joined=joined,
        begin=begin,
        slow=slow,
        stop=stop,
        back=back,
        until=until,
    )


def stage(people: People, at: float, alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """(n,): index into schemas.STAGES, by what is true and not by what can be seen."""
    begin, slow, stop, back = (
        v[: people.n] for v in (people.begin, people.slow, people.stop, people.back)
    )
    pausing = (stop <= at) & (at < back)
    slowing = (slow <= at) & (at < stop)
    stages = np.select([~alive, pausing, slowing, begin > at - 30], [4, 3, 2, 0], 1)
    return stages.astype(np.int8)
