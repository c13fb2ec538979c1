"""Histories: each customer's repeat orders and days in, the distinct ones with their counts out.

Whoever ordered as often, and on the same days counted from her first order, is the same to the
models: a million customers are a few ten thousand histories. Orders of one day count as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histories:
    """n distinct histories of m customers.

    repeat_orders: (n,), days with an order after the first one.
    days_to_last_order, days_known: (n,), from the first order to the last one, and to now.
    customers: (n,), how many have it; row: (m,), the history of each customer.
    log_gaps: the sum over all customers and gaps of ln(gap in weeks); NaN where unknown: then
    nothing can be said about regularity.
    """

    repeat_orders: Ints
    days_to_last_order: Doubles
    days_known: Doubles
    customers: Ints
    row: npt.NDArray[np.intp]
    log_gaps: float

    def __len__(self) -> int:
        return len(self.repeat_orders)

    @property
    def returned(self) -> int:
        """Customers who came back at least once."""
        return int(self.customers[self.repeat_orders > 0].sum())


def histories(
    repeat_orders: npt.ArrayLike,
    days_to_last_order: npt.ArrayLike,
    days_known: npt.ArrayLike,
    *,
    log_gaps: float = float("nan"),
) -> Histories:
    """The distinct histories of some customers; raises ValueError for one that cannot be."""
    repeats = np.asarray(repeat_orders)
    last, known = np.asarray(days_to_last_order, np.float64), np.asarray(days_known, np.float64)
    if not repeats.ndim == last.ndim == known.ndim == 1 or not len(repeats) == len(last) == len(
        known
    ):
        raise ValueError(
            "repeat_orders, days_to_last_order and days_known must be columns of one length, "
            f"got {repeats.shape}, {last.shape}, {known.shape}"
        )
    _each(repeats, (repeats < 0) | (repeats != np.floor(repeats)), "repeat_orders", "0, 1, 2 …")
    _each(last, ~(last >= 0) | np.isinf(last), "days_to_last_order", "0 or more")
    _each(known, ~np.isfinite(known), "days_known", "a number of days")
    late = known < last
    if late.any():
        one = int(np.flatnonzero(late)[0])
        raise ValueError(
            "days_known must reach the last order: as_of lies before it, or a clock is ahead; "
            f"got {known[one]:g} days known and the last order on day {last[one]:g} "
            f"({int(late.sum())} customers)"
        )
    never = (repeats == 0) != (last == 0)
    _each(last, never, "days_to_last_order", "0 for who did not come back, and above it for others")
    whole = repeats.astype(np.int64)
    order = np.lexsort((known, last, whole))
    x, t, age = whole[order], last[order], known[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (x[1:] != x[:-1]) | (t[1:] != t[:-1]) | (age[1:] != age[:-1])
    row = np.empty(len(order), dtype=np.intp)
    row[order] = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    customers = np.diff(np.append(start, len(order))).astype(np.int64)
    return Histories(x[start], t[start], age[start], customers, row, float(log_gaps))


def _each(
    values: npt.NDArray[np.generic], wrong: npt.NDArray[np.bool_], name: str, want: str
) -> None:
    if wrong.any():
        raise ValueError(f"{name} must be {want}, got {values[np.flatnonzero(wrong)[0]]:g}")
