"""Season: the shop's window of days in, when in the year and in the day its customers come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.float64]
Micros = npt.NDArray[np.int64]

DAY = 86_400_000_000
HOUR = 3_600_000_000
LONGEST = 90 * 60_000_000  # no session takes longer
WEEK = (0.97, 0.92, 0.93, 0.98, 1.08, 1.14, 0.98)  # Monday first
# visits by hour of the day, 0 to 21, so that every session ends on the day it began
ONLINE = (2, 1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 8, 9, 8, 7, 7, 8, 9, 11, 13, 14, 11)
OPEN = (0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 7, 8, 8, 7, 7, 7, 9, 10, 8, 4, 0, 0)
BROADCAST_HOUR = 19
BROADCAST_EVERY = 3  # days


@dataclass(frozen=True, slots=True)
class Season:
    """A window of `days` whole days, of which the last may be cut short by `end`.

    Two clocks run in it: an even one, by which customers' rhythms tick, and the calendar, on which
    busy weeks hold more of the even clock's time. Both run from 0 to `days`.
    """

    start: int
    end: int
    days: int
    even: Days

    @classmethod
    def before(cls, end: datetime, days: int) -> Season:
        """The `days` days before `end`, counted in UTC."""
        until = (end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        start = (-(-until // DAY) - days) * DAY
        day = np.arange(days)
        weight = 1 + 0.2 * np.cos(2 * np.pi * (day_of_year(start, day) - 345) / 365.25)
        weight = weight * np.asarray(WEEK)[(start // DAY + day + 3) % 7]  # 1970 began on Thursday
        passed = np.concatenate([[0.0], np.cumsum(weight)])
        return cls(start, until, days, passed * (days / passed[-1]))

    def calendar(self, times: Days) -> Days:
        """Calendar days at which the even clock shows `times`; the same beyond the window."""
        inside = np.interp(times, self.even, np.arange(self.days + 1.0))
        return np.where((times > 0) & (times < self.days), inside, times)

    def micros(self, days: npt.NDArray[np.int64]) -> Micros:
        """Midnights at which days of the window begin, in microseconds since 1970."""
        return self.start + days * DAY


def day_of_year(start: int, day: npt.NDArray[np.int64]) -> Days:
    """About which day of the year each day of a window is; within one day of the calendar."""
    return np.asarray((start / DAY + day) % 365.2425, dtype=np.float64)


def time_of_day(rng: np.random.Generator, hours: tuple[int, ...], n: int) -> Micros:
    """Microseconds after midnight, n of them, by the weights of the hours."""
    whole = np.cumsum(hours) / np.sum(hours)
    hour = np.searchsorted(whole, rng.random(n), side="right")
    return np.asarray(hour * HOUR + rng.integers(0, HOUR, n), dtype=np.int64)
