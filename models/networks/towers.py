"""Towers: events and the weights of two networks in, vectors of customers and products out.

In PyTorch, for what it takes to learn them; what the learned weights mean is said in NumPy by
`models.two_tower`, with which this module must agree. A batch is of targets, products that were
new to a customer, each with her events before. They are scored among the batch's targets and some
products drawn evenly, less the log of each one's chance to be there, so that what sells often
isn't held back for often being there: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large
Corpus Item Recommendations, 2019; Yang et al., Mixed Negative Sampling for Learning Two-tower
Neural Networks in Recommendations, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.history import Events, Scores
from models.networks.targets import Targets

Weights: TypeAlias = dict[str, Scores]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Tensor: TypeAlias = Any
Moved: TypeAlias = dict[str, tuple[Any, Tensor]]  # of each weight some rows, and those as a leaf

BUCKETS = 16  # of places and of gaps in hours, each twice as wide as the one before
NEVER = 1e-9  # least chance


@dataclass(frozen=True, slots=True)
class Bearing:
    """What products bear besides their ids: traits, CSR of (products, traits), and prices.

    prices: (products, 2) float32, log price in standard deviations from the mean, and 1 where it
    is unknown and the first is 0.
    """

    traits: sp.csr_matrix
    prices: Scores


@dataclass(frozen=True, slots=True)
class Plan:
    """How to learn: as in `models.two_tower.TwoTower`."""

    epochs: int
    batch: int
    negatives: int
    learning_rate: float
    temperature: float
    id_dropout: float
    correction: float
    viewed: float
    recent: int
    patience: int
    validation: float
    seed: int


@dataclass(frozen=True, slots=True)
class Before:
    """Places of the events before some targets, each one's target, and (targets,) how many."""

    place: Integers
    row: Integers
    length: Integers

    @classmethod
    def of(cls, targets: Targets) -> Before:
        """All of them, one target's after another's, oldest first."""
        length = targets.hi - targets.lo
        row = np.repeat(np.arange(len(length)), length)
        first = targets.lo - (np.cumsum(length) - length)
        return cls(np.arange(len(row)) + first[row], row, length)


class Towers:
    """The two networks over some events; sold: (products,) whether a product's id is known."""

    def __init__(
        self,
        learned: dict[str, Tensor],
        events: Events,
        bearing: Bearing,
        sold: npt.NDArray[np.bool_],
    ) -> None:
        import torch

        self.torch, self.learned = torch, learned
        self.events, self.bearing, self.sold = events, bearing, sold
        self.bears = np.diff(bearing.traits.indptr) > 0

    def tensor(self, array: npt.NDArray[Any]) -> Tensor:
        """The same on the device."""
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.learned["ids"].device)

    def chances(self, targets: Targets, plan: Plan) -> Scores:
        """(products,) log of the chance that a batch has it among those scored."""
        products = len(self.sold)
        batch = min(plan.batch, len(targets.place))
        sold = np.bincount(self.events.products[targets.place], minlength=products)
        missed = batch * np.log1p(-np.minimum(sold / max(1, sold.sum()), 1 - NEVER))
        missed += plan.negatives * np.log1p(-min(1 / products, 1 - NEVER))
        chance: Scores = np.log(np.maximum(-np.expm1(missed), NEVER)).astype(np.float32)
        return chance

    def loss(
        self, batch: Targets, chance: Scores, random: np.random.Generator, plan: Plan
    ) -> tuple[Moved, Tensor]:
        """Cross-entropy of a batch, and the weights that it may move."""
        torch = self.torch
        wanted = self.events.products[batch.place]
        drawn = random.integers(len(self.sold), size=plan.negatives)
        drawn = drawn.astype(wanted.dtype)
        both = np.append(wanted, drawn)
        candidates, label = np.unique(both, return_inverse=True)
        before = Before.of(batch)
        had = self.events.products[before.place]
        products = np.unique(np.append(had, candidates))
        named = self.sold[products]
        dropped = (random.random(len(products)) < plan.id_dropout) & self.bears[products]
        moved, vectors = self.vectors(products, named & ~dropped)
        x = self.customers(moved, vectors, np.searchsorted(products, had), before)
        scored: Integers = np.asarray(np.searchsorted(products, candidates))
        y = vectors[0][self.tensor(scored)]
        logits = x @ y.T / plan.temperature - plan.correction * self.tensor(chance[candidates])
        at = np.minimum(np.searchsorted(candidates, had), len(candidates) - 1)
        hers = candidates[at] == had  # what she has is no rival of what she wants
        rival = torch.ones(logits.shape, dtype=torch.bool, device=logits.device)
        rival[self.tensor(before.row[hers]), self.tensor(at[hers])] = False
        logits = logits.masked_fill(~rival, -1e9)
        label = label[: len(wanted)]
        losses = torch.nn.functional.cross_entropy(logits, self.tensor(label), reduction="none")
        weight = self.tensor(np.where(batch.wanted, 1, plan.viewed).astype(np.float32))
        return moved, (losses * weight).sum() / weight.sum().clamp(min=1e-6)

    def vectors(
        self, products: Integers, named: npt.NDArray[np.bool_]
    ) -> tuple[Moved, tuple[Tensor, Tensor, Tensor]]:
        """Of some products their vectors (n, f), their traits' (n, f) and prices (n, 2)."""
        torch, of = self.torch, self.bearing.traits[products]
        traits, place = np.unique(of.indices, return_inverse=True)
        rows = {
            "ids": self.tensor(products.astype(np.int64)),
            "traits": self.tensor(traits.astype(np.int64)),
        }
        moved = {
            name: (rows.get(name, slice(None)), tensor[rows.get(name, slice(None))].detach())
            for name, tensor in self.learned.items()
        }
        w = {name: tensor.requires_grad_() for name, (_, tensor) in moved.items()}
        if len(traits):
            share = 1 / np.sqrt(np.maximum(np.diff(of.indptr), 1))
            bags = torch.nn.functional.embedding_bag(
                self.tensor(place.astype(np.int64)),
                w["traits"],
                self.tensor(of.indptr[:-1].astype(np.int64)),
                mode="sum",
            ) * self.tensor(share.astype(np.float32)[:, None])
        else:
            bags = torch.zeros_like(w["ids"])
        prices = self.tensor(self.bearing.prices[products])
        z = w["ids"] * self.tensor(named.astype(np.float32)[:, None]) + bags + prices @ w["prices"]
        return moved, (self.through("product", w, z, z), bags, prices)

    def customers(
        self,
        moved: Moved,
        vectors: tuple[Tensor, Tensor, Tensor],
        own: Integers,
        before: Before,
    ) -> Tensor:
        """(batch, f) from the events before; own: the place of each one's product in `vectors`."""
        torch, w = self.torch, {name: tensor for name, (_, tensor) in moved.items()}
        types, days = self.events.types[before.place], self.events.days[before.place]
        last = np.maximum(np.cumsum(before.length) - 1, 0)
        newest = days[last[before.row]]
        share = w["types"][self.tensor(types.astype(np.int64) + 1)]
        share = share + w["places"][self.tensor(bucket(last[before.row] - np.arange(len(days))))]
        share = (share + w["gaps"][self.tensor(bucket(24 * (days - newest)))])[:, 0].exp()
        row = self.tensor(before.row)
        share = (
            share / torch.zeros(len(before.length), device=row.device).index_add(0, row, share)[row]
        )
        starts = self.tensor(np.cumsum(before.length) - before.length)
        own = self.tensor(own)
        pooled = [
            torch.nn.functional.embedding_bag(
                own, took, starts, mode="sum", per_sample_weights=share
            )
            for took in (vectors[0], torch.cat(vectors[1:], dim=1))
        ]
        count = self.tensor(np.log1p(before.length).astype(np.float32)[:, None])
        return self.through("customer", w, pooled[0], torch.cat((*pooled, count), dim=1))

    def through(self, tower: str, w: dict[str, Tensor], straight: Tensor, given: Tensor) -> Tensor:
        """A tower's vectors of length 1: what goes straight and what the network adds."""
        inner = (given @ w[f"{tower}_in"] + w[f"{tower}_in_bias"]).relu()
        out = straight + inner @ w[f"{tower}_out"] + w[f"{tower}_out_bias"]
        return self.torch.nn.functional.normalize(out, dim=1)


def bucket(distance: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Which of BUCKETS: 0 for 0 and unknown, each next twice as wide; the last has no end."""
    known = np.fmax(distance, 0)  # 0 for NaN
    which: npt.NDArray[np.int64] = np.minimum(np.log2(1 + known), BUCKETS - 1).astype(np.int64)
    return which
