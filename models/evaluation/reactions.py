"""Reactions: customers, what they truly want and the lists they are shown in, what they do out.

Every assumption of the simulated shop, so that nobody has to look for one elsewhere:

- She comes on her own, `visits` times as often as she orders, a day like the other. What she is
  shown changes what she does and whether she stays, not when she comes.
- Position-based clicks (Richardson, Dominowska and Ragno, WWW 2007; the model that Craswell,
  Zoeter, Taylor and Ramsey, WSDM 2008, compare with others): she looks at position k with chance
  k ** -fall, whatever stands there and above, and clicks what she looks at with its attraction.
- Attraction is the logistic function of what she truly wants, in nats, less `bar`, less what she
  is tired of: her tenth best product (`wanted`) draws her half of the time.
- She buys what she clicked with chance `buys` times its attraction, one piece, at list price.
- What she looked at and left she tires of: `tires` nats each time, half of it forgotten in
  `forgets` days.
- What she bought she has: `sated` nats less, half recovered in half the days it lasts, and never
  where it is not used up. What she has before the first day is not counted.
- A visit in so many (`visits`) has an order of her own, found without the list, by the softmax of
  what she wants and does not have yet; it makes money and history, and neither pleases nor annoys.
- A visit pleases by 1 if she bought from the list, by `click` if she only clicked, else by 0;
  satisfaction moves towards that by `learns`, from `start`.
- She leaves for good with a daily hazard of exp(-care (satisfaction - start)) / life (Cox, JRSS B
  1972): at the start she would stay `life` days, the median of the synthetic shop's people. Nobody
  joins, returns, or hears of the shop from another.

The constants are plausible, not measured: differences between policies hang on them, most of all on
`care`. Their order under other constants is the caller's to try.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from models.evaluation.codes import Codes, Floats, Places

Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Nature:
    """The constants, as the module explains them."""

    visits: float = 3.0
    fall: float = 0.7
    wanted: int = 10
    buys: float = 0.4
    tires: float = 0.7
    forgets: float = 21.0
    sated: float = 4.0
    click: float = 0.5
    learns: float = 0.3
    start: float = 0.5
    care: float = 3.0
    life: float = 560.0

    def __post_init__(self) -> None:
        if self.wanted < 1:
            raise ValueError(f"wanted must be at least 1, got {self.wanted}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("visits", "forgets", "life") and not value > 0:
                raise ValueError(f"{field.name} must be above 0, got {value}")
            if not value >= 0:
                raise ValueError(f"{field.name} must be at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class Crowd:
    """n customers and P products.

    interest: (n, P) float32 nats, -inf for what is not on sale. rhythm: (n,) days between orders.
    price: (P,). lasts: (P,) days until used up, 0 where never. supplier: (P,) codes from 0.
    """

    interest: npt.NDArray[np.float32]
    rhythm: Floats
    price: Floats
    lasts: Floats
    supplier: Places

    def __post_init__(self) -> None:
        n, products = self.interest.shape
        for name, wanted in (
            ("rhythm", n),
            ("price", products),
            ("lasts", products),
            ("supplier", products),
        ):
            if getattr(self, name).shape != (wanted,):
                got = getattr(self, name).shape
                raise ValueError(f"{name} must have {wanted} rows, got {got}")
        if not (self.rhythm > 0).all():
            raise ValueError(f"rhythm must be above 0, got {self.rhythm.min()}")


class Chance(NamedTuple):
    """What chance holds ready for a run, by day and customer: the same whatever she is shown.

    day, who: (v,) visits, by day. looks, clicks, buys: (v, k) uniform. own, choice: (v,) uniform,
    whether she orders on her own and what. endurance: (n,) exponential, the hazard that she bears.
    """

    day: Places
    who: Places
    looks: Floats
    clicks: Floats
    buys: Floats
    own: Floats
    choice: Floats
    endurance: Floats

    @classmethod
    def draw(cls, crowd: Crowd, nature: Nature, *, days: int, k: int, seed: int) -> Self:
        """All of it, from one seed."""
        rng = np.random.default_rng(seed)
        rate = np.minimum(nature.visits / crowd.rhythm, 1.0)
        day, who = np.nonzero(rng.random((days, len(rate))) < rate)
        looks, clicks, buys = (rng.random((len(day), k)) for _ in range(3))
        return cls(
            day.astype(np.int64),
            who.astype(np.int64),
            looks,
            clicks,
            buys,
            rng.random(len(day)),
            rng.random(len(day)),
            rng.exponential(1.0, len(rate)),
        )

    def of(self, visits: Places) -> Self:
        """That of some visits."""
        return self._replace(
            day=self.day[visits],
            who=self.who[visits],
            looks=self.looks[visits],
            clicks=self.clicks[visits],
            buys=self.buys[visits],
            own=self.own[visits],
            choice=self.choice[visits],
        )


class Reaction(NamedTuple):
    """What v visitors did. looked, clicked, bought: (v, k). own: (v,) product or -1."""

    looked: Bools
    clicked: Bools
    bought: Bools
    own: Places


class Minds:
    """What customers are tired of, have, feel, and whether they are still there."""

    def __init__(self, crowd: Crowd, nature: Nature) -> None:
        self.crowd, self.nature = crowd, nature
        n, products = crowd.interest.shape
        most = min(nature.wanted, products)
        self.bar = -np.partition(-crowd.interest, most - 1, axis=1)[:, most - 1 : most]  # (n, 1)
        self.bar = np.where(np.isfinite(self.bar), self.bar, 0.0)
        self.tired = np.zeros((n, products), np.float32)
        self.has = np.zeros((n, products), np.float32)
        self.met = np.zeros(n)  # the day on which the two above were true
        self.satisfaction = np.full(n, nature.start)
        self.hazard = np.zeros(n)  # borne so far
        self.fades = np.divide(
            2.0, crowd.lasts, out=np.zeros_like(crowd.lasts), where=crowd.lasts > 0
        )

    def react(self, day: int, rows: Places, lists: Codes, chance: Chance) -> Reaction:
        """Visitors `rows`, each once, see (v, k) lists of codes, -1 nothing; `chance` is theirs."""
        nature, here = self.nature, rows[:, None]
        gap = (day - self.met[rows])[:, None]
        self.tired[rows] *= (0.5 ** (gap / nature.forgets)).astype(np.float32)
        self.has[rows] *= np.exp2(-gap * self.fades).astype(np.float32)
        self.met[rows] = day
        shown, width = lists >= 0, lists.shape[1]
        want = self.crowd.interest[here, lists] - self.bar[rows]
        attraction = expit(want - self.tired[here, lists] - self.has[here, lists])
        seen = np.arange(1, width + 1) ** -nature.fall
        looked = shown & (chance.looks < seen)
        clicked = looked & (chance.clicks < attraction)
        bought = clicked & (chance.buys < nature.buys * attraction)
        own = np.full(len(rows), -1, np.int64)
        alone = np.flatnonzero(chance.own < 1 / nature.visits)
        own[alone] = self._chosen(rows[alone], chance.choice[alone])
        alone = np.flatnonzero(own >= 0)

        pleased = np.where(bought.any(axis=1), 1.0, nature.click * clicked.any(axis=1))
        self.satisfaction[rows] += nature.learns * (pleased - self.satisfaction[rows])
        which, place = np.nonzero(looked & ~clicked)
        np.add.at(self.tired, (rows[which], lists[which, place]), nature.tires)
        which, place = np.nonzero(bought)
        np.add.at(self.has, (rows[which], lists[which, place]), nature.sated)
        np.add.at(self.has, (rows[alone], own[alone]), nature.sated)
        return Reaction(looked, clicked, bought, own)

    def night(self) -> None:
        """A day's hazard for everybody."""
        nature = self.nature
        self.hazard += np.exp(-nature.care * (self.satisfaction - nature.start)) / nature.life

    def _chosen(self, rows: Places, chance: Floats) -> Places:
        """(v,) what each chooses by herself, -1 where nothing is on sale."""
        want = (self.crowd.interest[rows] - self.has[rows]).astype(np.float64)
        upto = np.cumsum(np.exp(want - want.max(axis=1, initial=-1e30, keepdims=True)), axis=1)
        place = (upto < chance[:, None] * upto[:, -1:]).sum(axis=1)
        place = np.minimum(place, self.crowd.interest.shape[1] - 1)
        return np.where(upto[:, -1] > 0, place, -1).astype(np.int64)
