"""Off-policy estimates: worlds whose truth is known in, their bias and coverage out.

    .venv/bin/python benchmarks/statistics_replay.py --worlds 200 --json replay.json

Each world is a synthetic shop of its own. Visitors are drawn from its customers; each asks once or
more. The log draws each of three places of a list on its own, by a softened and blurred view of
`true_interest` over the 20 most appealing products, a tenth of it at random; the target is sharper
and blurred otherwise. Ways in which visitors click, each with a truth in closed form:

- by place: each product on its own, the deeper the less. Every estimator should be right. Rare:
  the same with one click in a hundred products looked at.
- first click ends: she looks from the top and clicks once. `independent` and `additive` assume
  what is not so; how wrong they then are is shown with a star.

Targets: `near` the log, `far` from it, and `opposite`: what the log hardly ever shows.

bias: mean of estimate - truth, in % of the truth, and the standard error of that. coverage: share
of answered worlds whose 95% interval holds the truth. percentile: the same of the percentile
bootstrap over visitors (`intervals.mean_interval` on the same contributions). refused: worlds
without an answer. With REGULARS_DATA, the Open Bandit sample too (`benchmarks/open_bandit.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

from benchmarks.open_bandit import open_bandit  # noqa: E402
from features.synthetic import generate, true_interest  # noqa: E402
from models.evaluation import replay, slates  # noqa: E402
from models.evaluation.intervals import Interval, mean_interval  # noqa: E402
from models.evaluation.overlap import Replay  # noqa: E402

Floats = npt.NDArray[np.float64]
HEAD = (
    "clicks             target    estimator           truth    bias %       coverage  percentile"
    "  refused"
)
PLACES, SHELF, VISITORS = 3, 20, 1500
RARE = 0.06
SEEN = np.array([1.0, 0.7, 0.5])  # how often each place is looked at, clicks by place
TARGETS = {"near": 0.5, "far": 0.8, "opposite": -1.5}  # how sharply interest is followed


class World(NamedTuple):
    """c customers and their chances over the shelf; log, click: (c, products)."""

    interest: Floats
    log: Floats
    click: Floats


class Logs(NamedTuple):
    """One log of a world, and the target's rows."""

    exposures: pa.Table
    target: pa.Table
    shown: pa.Table
    weights: Floats  # (requests, places)
    visitor: npt.NDArray[np.int64]  # (requests,)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows, bandit = show(given.worlds, seed=given.seed), open_bandit()
    for row in bandit:
        print(" ".join(f"{key} {value}" for key, value in row.items()))
    if given.json:
        given.json.write_text(json.dumps({"worlds": rows, "open_bandit": bandit}, indent=1))


def show(worlds: int, *, seed: int) -> list[dict[str, Any]]:
    """Print the table of `run`, and give it."""
    rows = run(worlds, seed=seed)
    print(f"{worlds} worlds\n{HEAD}")
    for row in rows:
        bias = "" if np.isnan(row["bias"]) else f"{row['bias']:>8.1f} ±{row['error']:<5.1f}"
        print(
            f"{row['clicks']:<18} {row['target']:<9} {row['estimator']:<18} {row['truth']:>7.4f}"
            f"{bias:<15}{_percent(row['coverage'])} {_percent(row['percentile'])} "
            f"{row['refused']:>8}",
            flush=True,
        )
    print("* its assumption does not hold there")
    return rows


def run(worlds: int, *, seed: int) -> list[dict[str, Any]]:
    """One row for each way to click, target and estimator."""
    found: dict[tuple[str, str, str], list[tuple[float, Interval | None, Interval | None]]] = {}
    for number in range(worlds):
        for key, truth, interval, percentile in outcomes(seed * 100_000 + number):
            found.setdefault(key, []).append((truth, interval, percentile))
    rows = []
    for (clicks, target, estimator), tries in found.items():
        said = [(truth, got, other) for truth, got, other in tries if got is not None]
        truths = np.array([truth for truth, _, _ in said])
        off = np.array([got.mean for _, got, _ in said]) - truths
        off *= 100 / truths.mean() if said else 1
        rows.append(
            {
                "clicks": clicks,
                "target": target,
                "estimator": estimator,
                "truth": float(np.mean([truth for truth, _, _ in tries])),
                "bias": float(off.mean()) if said else np.nan,
                "error": float(off.std() / np.sqrt(len(off))) if said else np.nan,
                "coverage": _covered([(truth, got) for truth, got, _ in said]),
                "percentile": _covered([(truth, got) for truth, _, got in said if got]),
                "refused": len(tries) - len(said),
                "worlds": len(tries),
            }
        )
    return rows


Outcome = tuple[tuple[str, str, str], float, Interval | None, Interval | None]


def outcomes(seed: int) -> Iterator[Outcome]:
    """What each estimator says of one world, the truth, and the percentile interval beside."""
    rng = np.random.default_rng(seed)
    world = make(seed, rng)
    for name, sharp in TARGETS.items():
        chance = soft(sharp * (world.interest + rng.normal(0, 1, world.interest.shape)))
        logs = draw(world, chance, rng)
        who = logs.exposures["customer"].to_numpy().reshape(-1, PLACES)
        what = logs.exposures["product"].to_numpy().reshape(-1, PLACES)
        would = world.click[who, what]  # (requests, places), the chance that she likes it
        mean = (chance * world.click).sum(axis=1)  # (c,) that she likes what the target shows
        each = (rng.random(would.shape) < would * SEEN).astype(np.float64)
        truth = float(mean.mean() * SEEN.sum())
        yield from judged("by place", name, logs, each, truth)
        rare = (rng.random(would.shape) < RARE * would * SEEN).astype(np.float64)
        yield from judged("rare", name, logs, rare, RARE * truth)
        liked = rng.random(would.shape) < would
        first = (liked & (liked.cumsum(axis=1) == 1)).astype(np.float64)
        truth = float((1 - (1 - mean) ** PLACES).mean())
        yield from judged("first click ends", name, logs, first, truth)


def judged(clicks: str, name: str, logs: Logs, reward: Floats, truth: float) -> Iterator[Outcome]:
    """Every estimator on one log."""
    exposures = logs.exposures.append_column("reward", pa.array(reward.ravel()))
    weighted = {
        "independent": logs.weights * reward,
        "cascade": np.cumprod(logs.weights, axis=1) * reward,
        "list": logs.weights.prod(axis=1)[:, None] * reward,
        "additive": (1 + (logs.weights - 1).sum(axis=1))[:, None] * reward,
    }

    def say(label: str, got: Replay, scale: float, way: str) -> Iterator[Outcome]:
        always = ("snips",) if way in ("cascade", "list") else ("ips", "snips")
        for key in ("ips", "snips", "clipped", "dr"):
            if key in got.values or (got.refused and key in always):
                beside = None
                if key == "ips" and not got.refused:
                    beside = _percentile(weighted[way].sum(axis=1) * scale, logs.visitor)
                yield (
                    (clicks, name, f"{label} {key}".strip()),
                    truth * scale,
                    got.values.get(key),
                    beside,
                )

    if clicks != "first click ends":
        got = replay.value(exposures, logs.target, seed=1, by="customer_id")
        yield from say("", got, 1 / PLACES, "independent")
    if clicks == "rare" or name == "opposite":
        return  # for single exposures only, to spare time
    for way in get_args(slates.Way):
        whole = way in ("independent", "additive")
        got = slates.value(
            exposures, logs.target if whole else logs.shown, way=way, by="customer_id"
        )
        broken = "*" if clicks == "first click ends" and whole else ""
        yield from say(way + broken, got, 1.0, way)


def make(seed: int, rng: np.random.Generator) -> World:
    """A shop and its customers' interest in the products on the shelf."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder) / "shop"
        generate(shop, customers=300, seed=seed, days=30)
        customers = pq.read_table(shop / "truth" / "customers.parquet")["customer_id"]
        appeal = pq.read_table(shop / "truth" / "products.parquet")["appeal"].to_numpy()
        every = true_interest(shop, customers.combine_chunks())
    interest = every[:, np.argsort(-appeal)[:SHELF]].astype(np.float64)
    interest -= interest.mean(axis=1, keepdims=True)
    blurred = interest + rng.normal(0, 2, interest.shape)
    log = 0.9 * soft(0.4 * blurred) + 0.1 / SHELF
    return World(interest, log, 0.3 / (1 + np.exp(1 - interest)))


def draw(world: World, chance: Floats, rng: np.random.Generator) -> Logs:
    """Lists shown to visitors, each place drawn on its own."""
    drawn = rng.integers(0, len(world.log), VISITORS)
    visitor = np.repeat(np.arange(VISITORS), 1 + rng.poisson(1.0, VISITORS))
    n = len(visitor)
    who = drawn[visitor]  # (n,)
    below = world.log[who].cumsum(axis=1)[:, None, :] < rng.random((n, PLACES))[:, :, None]
    what = np.minimum(below.sum(axis=2), SHELF - 1)  # (n, places)
    requests = pa.array([f"r{row}" for row in range(n)])
    products = pa.array([f"p{row}" for row in range(SHELF)])
    rows = np.repeat(np.arange(n), PLACES)
    place = np.tile(np.arange(1, PLACES + 1), n)
    named = {"request_id": named_by(rows, requests), "position": place}
    propensity = world.log[who[:, None], what]
    wanted = chance[who[:, None], what]
    exposures = pa.table(
        named
        | {
            "product_id": named_by(what.ravel(), products),
            "propensity": propensity.ravel(),
            "customer_id": pa.array([f"v{row}" for row in visitor[rows]]),
            "customer": who[rows],
            "product": what.ravel(),
        }
    )
    shown = pa.table(
        named | {"product_id": named_by(what.ravel(), products), "probability": wanted.ravel()}
    )
    target = pa.table(
        {
            "request_id": named_by(np.repeat(rows, SHELF), requests),
            "position": np.repeat(place, SHELF),
            "product_id": named_by(np.tile(np.arange(SHELF), n * PLACES), products),
            "probability": chance[who[rows]].ravel(),
        }
    )
    return Logs(exposures, target, shown, wanted / propensity, visitor)


def soft(values: Floats) -> Floats:
    """Softmax of each row."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def named_by(codes: npt.NDArray[Any], words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)


def _percentile(of_request: Floats, visitor: npt.NDArray[np.int64]) -> Interval:
    """The percentile bootstrap of a mean over requests, drawn by visitor."""
    mean = of_request.mean()
    change = np.bincount(visitor, of_request - mean) * VISITORS / len(visitor)
    return mean_interval(mean + change, seed=1, resamples=500)


def _covered(pairs: list[tuple[float, Interval]]) -> float:
    held = [got.low <= truth <= got.high for truth, got in pairs]
    return float(np.mean(held)) if held else np.nan


def _percent(share: float) -> str:
    return f"{share:>10.1%}" if share == share else " " * 10


if __name__ == "__main__":
    main()
