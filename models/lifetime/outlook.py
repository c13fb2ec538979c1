"""Outlook: all orders and a moment in, what to expect of each customer from then on out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from features.orders import DAY_MICROS, Orders, micros
from models.lifetime import calibration, returning, rhythm
from models.lifetime.calibration import Calibration, Foretold
from models.lifetime.histories import Doubles, Histories, histories
from models.lifetime.rhythm import WEEK, Rhythm

RETURN_DAYS = 90
HORIZONS = (28, 90, 365)
YEAR = timedelta(days=364)  # whole weeks: a weekday meets its like
ENOUGH = timedelta(days=180)  # of history before a look back is worth something
RETURNED = 100  # customers, likewise


class NobodyOrdered(ValueError):
    """A moment at which there is no customer to speak of."""


@dataclass(frozen=True, slots=True)
class Known:
    """Customers who had ordered by a moment: their places in the orders, and their histories."""

    who: npt.NDArray[np.intp]
    histories: Histories


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to expect of the m customers who had ordered by a moment.

    who: (m,) places in the orders' customers. expected_orders: by horizon in days, (m,).
    return_probability: (m,) of an order within RETURN_DAYS. days_to_next_order: (m,), see
    `returning`. calibration and factors: what a year ago taught; neutral where it taught nothing.
    tried: log likelihood of each model at the moment; loss: mean log loss of what each foretold
    for the last RETURN_DAYS, empty where the shop is too young to ask.
    """

    who: npt.NDArray[np.intp]
    known: Histories
    rhythm: Rhythm
    tried: dict[str, float]
    loss: dict[str, float]
    calibration: Calibration
    factors: dict[int, float]
    probability_alive: Doubles
    return_probability: Doubles
    expected_orders: dict[int, Doubles]
    days_to_next_order: Doubles


def known_at(orders: Orders, at: datetime) -> Known:
    """Who had ordered by a moment; raises NobodyOrdered."""
    seen = orders.seen(at)
    who = np.flatnonzero(seen.count)
    if not len(who):
        raise NobodyOrdered(f"nobody had ordered by {at.isoformat()}: nothing can be foretold")
    lengths, counts = orders.gaps(at)
    first = seen.first_day[who]
    return Known(
        who,
        histories(
            seen.days[who] - 1,
            seen.last_day[who] - first,
            micros(at) // DAY_MICROS - first,
            log_gaps=float(np.log(lengths / WEEK) @ counts),
        ),
    )


def came(orders: Orders, who: npt.NDArray[np.intp], *, after: datetime, until: datetime) -> Doubles:
    """Days with an order in (after, until], of the customers at places `who`."""
    return np.asarray((orders.seen(until).days - orders.seen(after).days)[who], np.float64)


def outlook(orders: Orders, at: datetime, *, prior: float = 1.0, look_back: bool = True) -> Outlook:
    """What to expect at a moment, from orders until then.

    The rhythm is the one that foretold the last RETURN_DAYS best; in a young shop, the likeliest.
    look_back: put right by what was foretold a year ago; False: as the rhythm says.
    """
    known = known_at(orders, at)
    likeliest, tried = rhythm.choose(known.histories, prior=prior)
    regular = max(tried[1:], key=lambda one: one.log_likelihood)
    recent = at - timedelta(days=RETURN_DAYS)
    looks, loss, best = {}, {}, likeliest
    if look_back and _tells(orders, recent, at):
        for one in (tried[0], regular):
            looks[one.name] = _foretold(orders, recent, *_again(orders, recent, one, prior))
            loss[one.name] = _log_loss(looks[one.name])
        best = min((tried[0], regular), key=lambda one: loss[one.name])
    right, factors = Calibration(), dict.fromkeys(HORIZONS, 1.0)
    if loss and _tells(orders, at - YEAR, at - YEAR + timedelta(days=RETURN_DAYS)):
        year = at - YEAR
        then = _again(orders, year, best, prior)
        right = calibration.fit(_foretold(orders, year, *then), looks[best.name])
        factors = _factors(orders, year, *then)
    row = known.histories.row
    chance = returning.return_probability(best, known.histories, days=RETURN_DAYS)
    return Outlook(
        who=known.who,
        known=known.histories,
        rhythm=best,
        tried={one.name: one.log_likelihood for one in tried},
        loss=loss,
        calibration=right,
        factors=factors,
        probability_alive=returning.probability_alive(best, known.histories)[row],
        return_probability=right(chance)[row],
        expected_orders={
            days: returning.expected_orders(best, known.histories, days=days)[row] * factors[days]
            for days in HORIZONS
        },
        days_to_next_order=returning.days_to_next_order(best, known.histories)[row],
    )


def _tells(orders: Orders, at: datetime, until: datetime) -> bool:
    """Whether looking back to a moment teaches: history enough before it, customers who came."""
    if not len(orders.time) or micros(at - ENOUGH) < int(orders.time.min()):
        return False
    who = np.flatnonzero(orders.seen(at).count)
    back = int((came(orders, who, after=at, until=until) > 0).sum())
    return min(back, len(who) - back) >= RETURNED


def _again(orders: Orders, at: datetime, like: Rhythm, prior: float) -> tuple[Known, Rhythm]:
    """A model of the same kind, fitted on what was known then."""
    known = known_at(orders, at)
    return known, rhythm.fit(
        known.histories, k=like.k, leaves_at_once=like.leaves_at_once, prior=prior
    )


def _foretold(orders: Orders, at: datetime, known: Known, then: Rhythm) -> Foretold:
    chance = returning.return_probability(then, known.histories, days=RETURN_DAYS)
    until = at + timedelta(days=RETURN_DAYS)
    back = came(orders, known.who, after=at, until=until) > 0
    return Foretold(chance[known.histories.row], back)


def _factors(orders: Orders, at: datetime, known: Known, then: Rhythm) -> dict[int, float]:
    """By horizon, orders that came from a moment a year ago on over those that were expected."""
    found = {}
    for days in HORIZONS:
        span = min(days, YEAR.days)
        wanted = returning.expected_orders(then, known.histories, days=span)
        actual = came(orders, known.who, after=at, until=at + timedelta(days=span)).sum()
        found[days] = float(actual / (wanted @ known.histories.customers))
    return found


def _log_loss(one: Foretold) -> float:
    """Mean log loss after its own calibration: a season weighs on all models alike."""
    right = calibration.fit(one)(one.chance)
    return float(-np.mean(np.log(np.where(one.came, right, 1 - right))))
