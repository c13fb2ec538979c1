"""A number of customers in, orders drawn from BG/NBD's own assumptions out."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from features.orders import DAY_MICROS, micros
from features.schemas import TIME

TRUTH = {"r": 0.7, "alpha": 9.0, "a": 0.3, "b": 2.5}
DAYS = 730


def draw(customers: int, *, end: datetime, seed: int) -> pa.Table:
    """Orders of two years: customer_id, order_time; each first order falls on any of its days."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], customers)
    leaves = rng.beta(TRUTH["a"], TRUTH["b"], customers)
    who, day = np.arange(customers), rng.uniform(0, DAYS, customers)
    owners, days = [who], [day]
    while len(who):  # nobody leaves after the first order, and anybody after a later one
        if len(owners) > 1:
            stay = rng.random(len(who)) >= leaves[who]
            who, day = who[stay], day[stay]
        day = day + 7 * rng.standard_exponential(len(who)) / pace[who]
        inside = day < DAYS
        who, day = who[inside], day[inside]
        owners.append(who)
        days.append(day)
    owner, time = np.concatenate(owners), np.concatenate(days)
    ids = pa.array(np.char.add("c", np.char.zfill(np.arange(customers).astype(str), 8)))
    moment = micros(end) - DAYS * DAY_MICROS + (time * DAY_MICROS).astype(np.int64)
    return pa.table(
        {"customer_id": ids.take(pa.array(owner)), "order_time": pa.array(moment).cast(TIME)}
    )
