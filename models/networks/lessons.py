"""Lessons: events, what products bear and starting weights in, the towers' learned weights out.

All that is random in an epoch follows from the seed and the epoch's number, so that a run that was
killed goes on from its last checkpoint as if it had not been.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from features.schemas import EVENT_TYPES
from models.history import Events, Scores
from models.networks.checkpoint import Checkpoint
from models.networks.targets import Targets, held_out, row_of, shuffled, targets_of
from models.networks.towers import BUCKETS, Bearing, Before, Plan, Tensor, Towers, Weights

HELD = 2000  # customers to stop by, at most
BLOCK = 512  # of them, scored at once
DECAYS = (0.9, 0.999)  # of Adam's moments


def start(products: int, traits: int, *, factors: int, hidden: int, seed: int) -> Weights:
    """Random tables, and towers that at first hand on what they are given."""
    random = np.random.default_rng(seed)

    def normal(rows: int, columns: int, scale: float) -> Scores:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return values * np.float32(scale)

    small, kinds = 1 / np.sqrt(factors), len(EVENT_TYPES) + 1
    weights = {
        "ids": normal(products, factors, small),
        "traits": normal(traits, factors, small),
        "prices": normal(2, factors, 0.1 * small),
        "types": np.zeros((kinds, 1), np.float32),
        "places": np.zeros((BUCKETS, 1), np.float32),
        "gaps": np.zeros((BUCKETS, 1), np.float32),
    }
    for tower, width in (("product", factors), ("customer", 2 * factors + 3)):
        weights[f"{tower}_in"] = normal(width, hidden, np.sqrt(2 / width))
        weights[f"{tower}_in_bias"] = np.zeros((1, hidden), np.float32)
        weights[f"{tower}_out"] = np.zeros((hidden, factors), np.float32)
        weights[f"{tower}_out_bias"] = normal(1, factors, 0.1 * small)
    return weights


def train(
    weights: Weights,
    events: Events,
    bearing: Bearing,
    plan: Plan,
    kept: Checkpoint,
    *,
    ordered: bool,
) -> Weights:
    """Weights after the epoch that foretold best what customers held out took last.

    Without enough customers to hold out: after the last. ordered: whether events stand in time;
    else they are shuffled each epoch.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    learned = {name: torch.tensor(array, device=device) for name, array in weights.items()}
    moments = {
        f"{moment}.{name}": torch.zeros_like(tensor)
        for moment in ("mean", "square")
        for name, tensor in learned.items()
    }
    state = learned | moments
    best = {f"best.{name}": array for name, array in weights.items()}
    progress = np.array([0.0, 0.0, -1.0])  # Adam's steps, epochs since the best, its value
    done = 0
    if (found := kept.load()) is not None:
        done, arrays = found
        for name, tensor in state.items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        best, progress = {name: arrays[name] for name in best}, arrays["progress"]
    if not ordered:
        events = shuffled(events, np.random.default_rng(plan.seed))
    training, held = held_out(
        events, part=plan.validation, most=HELD, recent=plan.recent, seed=plan.seed
    )
    sold = np.zeros(len(bearing.prices), dtype=bool)
    sold[training.products] = True
    for epoch in range(done, plan.epochs):
        if progress[1] > plan.patience:
            break
        random = np.random.default_rng([plan.seed, epoch])
        shown = training if ordered else shuffled(training, random)
        _epoch(Towers(learned, shown, bearing, sold), plan, moments, random, progress)
        value = _value(Towers(learned, events, bearing, sold), held)
        progress[1] += 1
        if value > progress[2] or not len(held.place):
            progress[1:] = 0, value
            best = {f"best.{name}": _numpy(tensor).copy() for name, tensor in learned.items()}
        now = {name: _numpy(tensor) for name, tensor in state.items()}
        kept.save(epoch + 1, now | best | {"progress": progress})
    kept.clear()
    final = {name.removeprefix("best."): array for name, array in best.items()}
    borne = np.bincount(bearing.traits.indices, minlength=len(final["traits"])) > 0
    for name, met in (("ids", sold), ("traits", borne)):
        final[name] = final[name] * met[:, None]  # of the others nothing was learned
    return final


def _epoch(
    towers: Towers,
    plan: Plan,
    moments: dict[str, Tensor],
    random: np.random.Generator,
    progress: npt.NDArray[np.float64],
) -> None:
    """One pass over all targets by Adam (Kingma and Ba, 2015), a table's other rows at rest."""
    targets = targets_of(towers.events, plan.recent)
    order = random.permutation(len(targets.place))
    chance = towers.chances(targets, plan)
    for begin in range(0, len(order), plan.batch):
        batch = targets.take(order[begin : begin + plan.batch])
        moved, loss = towers.loss(batch, chance, random, plan)
        loss.backward()
        progress[0] += 1
        rate = plan.learning_rate * np.sqrt(1 - DECAYS[1] ** progress[0])
        rate /= 1 - DECAYS[0] ** progress[0]
        with towers.torch.no_grad():
            for name, (rows, tensor) in moved.items():
                if (slope := tensor.grad) is None:
                    continue
                mean, square = (moments[f"{moment}.{name}"] for moment in ("mean", "square"))
                m = mean[rows] * DECAYS[0] + slope * (1 - DECAYS[0])
                s = square[rows] * DECAYS[1] + slope * slope * (1 - DECAYS[1])
                mean[rows], square[rows] = m, s
                towers.learned[name][rows] -= float(rate) * m / (s.sqrt() + 1e-8)


def _value(towers: Towers, held: Targets) -> float:
    """Mean of 1 / log2(1 + rank) of what was held out, among products new to her."""
    if not len(held.place):
        return 0.0
    gains, torch = [], towers.torch
    with torch.no_grad():
        parts = [
            towers.vectors(of, towers.sold[of])
            for of in np.array_split(np.arange(len(towers.sold)), 1 + len(towers.sold) // 65536)
        ]
        vectors = tuple(torch.cat(arrays) for arrays in zip(*(p[1] for p in parts), strict=True))
        row = row_of(towers.events)[held.place]
        for begin in range(0, len(row), BLOCK):
            batch = held.take(np.arange(begin, min(begin + BLOCK, len(row))))
            before = Before.of(batch)
            own = towers.events.products[before.place].astype(np.int64)
            x = towers.customers(parts[0][0], vectors, own, before)
            scores = x @ vectors[0].T
            wanted = towers.tensor(towers.events.products[batch.place].astype(np.int64))[:, None]
            line = scores.gather(1, wanted)
            first = towers.events.starts[row[begin : begin + BLOCK]]
            count = batch.place - first
            seen = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
            at = (np.repeat(np.arange(len(count)), count), towers.events.products[seen])
            scores[towers.tensor(at[0]), towers.tensor(at[1].astype(np.int64))] = -2
            rank = 1 + (scores > line).sum(dim=1)
            gains.append(_numpy(1 / torch.log2(1 + rank)))
    return float(np.concatenate(gains).mean())


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.cpu().numpy()
    return array
