"""Orders and cut-offs in; what was foretold at each, what came, and simpler ways beside it out."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.orders import Orders
from models.lifetime.calibration import calibration_error
from models.lifetime.histories import Doubles
from models.lifetime.outlook import RETURN_DAYS, Outlook, came, known_at, outlook

EARLIER = (91, 119, 147, 175, 203, 231, 259, 287, 315, 343, 364)  # days before a cut-off
LEAST = timedelta(days=90)  # of history before a cut-off that trees learn from
BINS = 10


def backtest(every: Orders, cut: datetime, *, first: datetime, seed: int = 0) -> dict[str, Any]:
    """One cut-off: errors of the outlook, of the rhythm alone, of silence and of boosted trees."""
    began = time.perf_counter()
    found = outlook(every, cut)
    seconds = time.perf_counter() - began
    plain = outlook(every, cut, look_back=False)
    orders = came(every, found.who, after=cut, until=cut + timedelta(days=RETURN_DAYS))
    back = orders > 0
    row = found.known.row
    silent = (found.known.days_known - found.known.days_to_last_order)[row]
    grown = trees(every, cut, first=first, seed=seed)
    chances = {"outlook": found.return_probability, plain.rhythm.name: plain.return_probability}
    if grown is not None:
        chances["LightGBM"] = grown
    ranks = {**chances, "days silent": -silent, "orders so far": found.known.repeat_orders[row]}
    return {
        "cut": cut.date().isoformat(),
        "customers": len(back),
        "returned": float(back.mean()),
        "rhythm": found.rhythm.name,
        "likeliest": max(found.tried, key=lambda name: found.tried[name]),
        "seconds": seconds,
        "calibrated": found.calibration != type(found.calibration)(),
        "ece": {name: calibration_error(chance, back) for name, chance in chances.items()},
        "auc": {name: auc(np.asarray(score, np.float64), back) for name, score in ranks.items()},
        "orders": float(orders.sum()),
        "expected": {
            "outlook": float(found.expected_orders[90].sum()),
            plain.rhythm.name: float(plain.expected_orders[90].sum()),
        },
        "error": errors(found, orders),
        "deciles": deciles(found.expected_orders[90], orders),
        "bins": bins(found.return_probability, back),
    }


def errors(found: Outlook, orders: Doubles) -> dict[str, tuple[float, float]]:
    """Root mean square and mean absolute error of a customer's orders: ours, and simple rules'."""
    row, known = found.known.row, found.known
    age = np.maximum(known.days_known[row], 1.0)
    days = known.repeat_orders[row] + 1.0
    pace = days / np.maximum(age, RETURN_DAYS) * RETURN_DAYS
    silent = age - known.days_to_last_order[row]
    ways = {
        "outlook": found.expected_orders[90],
        "her own pace": pace,
        "pace if <90 days silent": np.where(silent <= RETURN_DAYS, pace, 0.0),
    }
    return {
        name: (float(np.mean((e - orders) ** 2) ** 0.5), float(np.abs(e - orders).mean()))
        for name, e in ways.items()
    }


def trees(every: Orders, cut: datetime, *, first: datetime, seed: int) -> Doubles | None:
    """Chances of boosted trees on the same numbers, learned at earlier cut-offs; None: too early.

    An earlier cut-off's 90 days are over before this one.
    """
    import lightgbm

    earlier = [cut - timedelta(days=days) for days in EARLIER]
    earlier = [one for one in earlier if one >= first + LEAST]
    if not earlier:
        return None
    x, y = [], []
    for one in earlier:
        known = known_at(every, one)
        until = one + timedelta(days=RETURN_DAYS)
        x.append(numbers(every, one))
        y.append(came(every, known.who, after=one, until=until) > 0)
    model = lightgbm.LGBMClassifier(
        n_estimators=150,
        num_leaves=15,
        learning_rate=0.05,
        min_child_samples=50,
        random_state=seed,
        n_jobs=2,
        verbose=-1,
    )
    model.fit(np.concatenate(x), np.concatenate(y))
    booster = model.booster_
    return np.asarray(booster.predict(numbers(every, cut)), np.float64)


def numbers(every: Orders, at: datetime) -> Doubles:
    """(m, 5): all that the rhythm knows of a customer, and what trees cannot divide themselves."""
    known = known_at(every, at).histories
    x, t, age = known.repeat_orders, known.days_to_last_order, known.days_known
    table = np.column_stack([x, t, age, age - t, t / np.maximum(x, 1)])
    return np.asarray(table[known.row], np.float64)


def auc(score: npt.NDArray[np.float64], good: npt.NDArray[np.bool_]) -> float:
    """The chance that one who came is ranked above one who did not."""
    from scipy.stats import rankdata

    n = int(good.sum())
    return float((rankdata(score)[good].sum() - n * (n + 1) / 2) / (n * (len(good) - n)))


def deciles(expected: Doubles, orders: Doubles) -> list[tuple[float, float]]:
    """Mean expected and actual orders of each tenth of the customers, the least expected first."""
    parts = np.array_split(np.argsort(expected, kind="stable"), 10)
    return [(float(expected[part].mean()), float(orders[part].mean())) for part in parts]


def bins(chance: Doubles, came: npt.NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Mean chance, share that came, customers, of each bin of chance that has any."""
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    return [
        (float(chance[place == i].mean()), float(came[place == i].mean()), int((place == i).sum()))
        for i in range(BINS)
        if (place == i).any()
    ]


def peer(python: Path, columns: Sequence[npt.NDArray[Any]], days: float) -> dict[str, Any]:
    """The same fit and expected orders by `lifetimes`, in its own environment.

    columns: repeat orders, days to the last one, days known, of each customer. Gives `parameters,
    log_likelihood, fit_seconds, seconds, alive, expected`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, told = Path(folder) / "given.npz", Path(folder) / "told.npz"
        np.savez(given, x=columns[0], t=columns[1], age=columns[2])
        command = [str(python), str(Path(__file__).with_name("lifetime_peer.py"))]
        out = subprocess.run(
            [*command, str(given), str(told), str(days)], check=True, capture_output=True, text=True
        )
        with np.load(told) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    return {**json.loads(out.stdout.splitlines()[-1]), **found}
