"""Splits: a last moment or an ordered history in, what is known and what is to be foretold out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from models.evaluation.codes import column, encode, ids


@dataclass(frozen=True, slots=True)
class Fold:
    """One cut in time: all up to and with `cut` is known, purchases in (cut, until] are the truth.

    Both are tz-aware UTC.
    """

    cut: datetime
    until: datetime


def folds(
    last: datetime, *, horizon_days: int, n: int, first: datetime | None = None
) -> list[Fold]:
    """A sliding backtest: n folds of one horizon each, oldest first; the newest ends at `last`.

    The windows of truth touch and never overlap; the known part grows from fold to fold, as it
    would have for a shop that trains anew each horizon. `first`, the first event's time, makes a
    cut with nothing before it an error instead of an empty training table.
    """
    last = _utc("last", last)
    if horizon_days < 1:
        raise ValueError(f"horizon_days must be at least 1, got {horizon_days}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    horizon = timedelta(days=horizon_days)
    made = [Fold(last - (i + 1) * horizon, last - i * horizon) for i in reversed(range(n))]
    if first is not None and made[0].cut < _utc("first", first):
        raise ValueError(
            f"{n} folds of {horizon_days} days back from {last} cut at {made[0].cut}, before the "
            f"first event at {first}: take fewer folds or a shorter horizon"
        )
    return made


def validation_fold(
    last: datetime, *, horizon_days: int, n: int, first: datetime | None = None
) -> Fold:
    """The fold before the oldest of `folds(last, ...)`: where hyperparameters are searched.

    It ends where the first test fold is cut, so that a search never sees a test's truth.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return folds(last, horizon_days=horizon_days, n=n + 1, first=first)[0]


def leave_last_out(events: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(train, validation, test): each customer's last event tests, the one before it validates.

    The order within a customer is her `position` column where there is one, else `event_time`
    (ties as the rows stand), else the rows' own order. Who has fewer than three events stays in
    train altogether. This is the protocol of SASRec (Kang and McAuley, ICDM 2018) and S3-Rec
    (CIKM 2020), for published figures only: it foretells from other customers' future, so judge a
    shop by `folds`. Rows keep their order and columns.
    """
    (codes,), words = encode(ids(events, "customer_id", of="events"))
    time = next((name for name in ("position", "event_time") if name in events.column_names), None)
    if time is None:
        order = np.argsort(codes, kind="stable")
    else:
        moments = column(events, time, of="events").to_numpy()
        order = np.lexsort((moments, codes))
        if time == "position":
            same = (np.diff(codes[order]) == 0) & (np.diff(moments[order]) == 0)
            if same.any():
                row = order[np.flatnonzero(same)[0]]
                raise ValueError(
                    f"position must be unique within a customer, got {moments[row]} twice for "
                    f"{words[int(codes[row])]}"
                )
    sizes = np.bincount(codes, minlength=len(words))
    ends = np.cumsum(sizes)[sizes >= 3]
    part = np.zeros(events.num_rows, np.int8)
    part[order[ends - 1]] = 2
    part[order[ends - 2]] = 1
    train, validation, test = (events.filter(pa.array(part == i)) for i in range(3))
    return train, validation, test


def _utc(name: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{name} must have a time zone, got {moment}")
    return moment.astimezone(UTC)
