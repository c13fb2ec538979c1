"""Factors in, an inverted file out: the best products of one row without a look at all of them.

Products are put into lists of alike ones by k-means (Sivic and Zisserman, Video Google, 2003) over
the factors as they are, so that long products, which win more rows, stand in small lists of their
own. Lists are looked at by what their best may reach, their mean's product and a share of their
spread, until so many products were seen as a sample of rows wanted. What is looked at is ranked
exactly. Where the sample does not get its recall there is no index, and ranking stays exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.history import Codes, History, Places, Scores
from models.rank import Ranked, check, prepare, top_k_factors
from models.ranking.clusters import clusters, means_of
from models.ranking.coarse import Coarse, rounded
from models.ranking.dots import LANES, WIDTH
from models.ranking.many import _read
from models.scorer import Factored

PRODUCTS = 300_000  # from so many an index is built: below it exact ranking takes a millisecond
SPREAD = 0.3  # deviations above its mean that count for a list
BEST, RECALL = 100, 0.98  # of so many best the share that must be found
SPARE = 0.005  # recall beyond that, as other rows find other products
REACHES = (
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.25,
)  # of all products, at most a quarter
WORTH = 2  # times as many products that exact ranking must look at
FEWEST = 100  # rows below which a sample says nothing


@dataclass(frozen=True, slots=True)
class Index:
    """Products in lists.

    order: (products,) codes, list after list, in each the longest first. starts: (lists + 1,).
    means: (lists, f). spreads: (lists,). reach: how many products are looked at.
    """

    order: Codes
    starts: Places
    means: Scores
    spreads: Scores
    reach: int

    def likely(self, rows: Scores) -> Scores:
        """(rows, lists): what the best of each list may reach."""
        far = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        likely: Scores = rows @ self.means.T + far * (np.float32(SPREAD) * self.spreads)
        return likely


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said: an index or None, the recall of rows it was not tuned by, and why."""

    index: Index | None
    recall: float | None
    reason: str

    def about(self) -> dict[str, Any]:
        """As a bundle's manifest says it."""
        share = None if self.index is None else self.index.reach / len(self.index.order)
        return {
            "kind": "exact" if self.index is None else "inverted",
            "recall": self.recall,
            "share_looked_at": share,
            "reason": self.reason,
        }


def build(factors: Scores, *, seed: int = 0) -> Index:
    """Lists of (products, f) factors, at least one product; the same for a seed."""
    place = clusters(factors, seed=seed)
    means, counts = means_of(factors, place)
    squares = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
    inner = np.bincount(place, squares) / counts
    spreads = np.sqrt(np.maximum(0, inner - np.square(means, dtype=np.float64).sum(axis=1)))
    order = np.lexsort((np.arange(len(factors)), -squares, place)).astype(np.int32)
    starts = np.concatenate(([0], np.cumsum(counts)))
    return Index(order, starts, means, spreads.astype(np.float32), len(factors))


def gated(index: Index, factors: Scores, rows: Scores, *, seen: sp.csr_matrix | None) -> Verdict:
    """The index with the least reach that finds enough for half of the rows, as the others say.

    rows: (n, f), none of them all zeros. seen: (n, products) what each must not get. Refused where
    it does not find RECALL of the BEST, or exact ranking does not look at WORTH times as many.
    """
    if len(rows) < FEWEST:
        return Verdict(None, None, f"{len(rows)} customers to check by are fewer than {FEWEST}")
    products, k = len(factors), min(BEST, len(factors))
    best = top_k_factors(rows, factors, k, seen=seen)
    before = _looked(index, rows, best.codes)  # (n, k) products looked at before each is found
    tuned, held = before[::2], before[1::2]
    reaches = [max(round(share * products), 4 * k) for share in REACHES]
    reach = next((r for r in reaches if (tuned < r).mean() >= RECALL + SPARE), reaches[-1])
    recall = float((held < reach).mean())
    told = f"{recall:.1%} of the best {k} of {len(held)} customers in {reach / products:.1%}"
    if recall < RECALL:
        return Verdict(None, recall, f"{told} of the products, want {RECALL:.0%}")
    exactly = _exactly(factors, rows, best.scores[:, -1])
    if WORTH * reach > exactly:
        looks = f"exact ranking looks at {exactly / products:.1%}"
        return Verdict(None, recall, f"{told}, {looks}, want {WORTH} times as many")
    return Verdict(replace(index, reach=reach), recall, f"{told} of the products")


class Retrieval:
    """An index over its factors, ready to be asked for one row at a time, from any thread."""

    def __init__(self, index: Index, factors: Scores, coarse: Coarse) -> None:
        """coarse: the factors as `models.rank.prepare` made them."""
        self.index, self.factors = index, _read(factors, np.float32)
        sizes = np.diff(index.starts)
        wide = -sizes % WIDTH + sizes  # each list fills whole tiles
        ends = np.concatenate(([0], np.cumsum(wide)))
        order = np.full(ends[-1], -1, np.int32)
        order[np.arange(len(index.order)) + np.repeat(ends[:-1] - index.starts[:-1], sizes)] = (
            index.order
        )
        self.coarse, self.sizes, self.tiles_of = _laid(coarse, order), sizes, ends // WIDTH

    def rank(
        self,
        scorer: Factored,
        history: History,
        k: int,
        *,
        drop_seen: bool,
        without: Codes | None = None,
    ) -> Ranked | None:
        """The k best products of one customer; None where only looking at all can tell."""
        check(k, (1, history.products), history.products, None, without)
        if not history.weights.nnz:
            return None
        never = history.weights.indices if drop_seen else np.empty(0, np.int32)
        if without is not None:
            never = np.concatenate([never, without])
        return self.best(scorer.customer_factors(history), k, never)

    def best(self, row: Scores, k: int, never: npt.NDArray[np.int32]) -> Ranked | None:
        """The k best for (1, f), but for the codes `never`; None as above."""
        in_bytes, hard = rounded(self.coarse, row)
        if hard[0] or len(never) + 4 * k > self.index.reach:
            return None
        from models.ranking.probe import probe

        codes = np.full((1, k), -1, np.int32)
        scores = np.full((1, k), -np.inf, np.float32)
        route = np.argsort(-self.index.likely(row)[0])
        given = (_read(row, np.float32), self.factors, in_bytes, self.coarse.read())
        lists = (route, self.tiles_of, self.sizes, self.index.reach, _read(never, np.int32))
        told = probe(*given, *lists, codes, scores)
        return Ranked(codes, scores) if told and codes[0, -1] >= 0 else None


def ready(index: Index, factors: Scores) -> Retrieval | None:
    """The index made ready; None where this CPU multiplies no bytes and ranking stays exact."""
    coarse = prepare(factors)
    if coarse is None:
        return None
    retrieval = Retrieval(index, factors, coarse)
    retrieval.best(factors[index.order[:1]], 1, np.empty(0, np.int32))  # compiled before asked
    return retrieval


def _exactly(factors: Scores, rows: Scores, least: Scores) -> float:
    """How many products exact ranking looks at: those long enough to be among the best."""
    lengths = np.sort(np.sqrt(np.einsum("ij,ij->i", factors, factors)))
    wanted = least / np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return float(len(factors) - np.searchsorted(lengths, wanted).mean())


def _looked(index: Index, rows: Scores, codes: Codes) -> Places:
    """(rows, k) how many products are looked at before the list of each code is."""
    sizes = np.diff(index.starts)
    list_of = np.empty(len(index.order), np.int64)
    list_of[index.order] = np.repeat(np.arange(len(sizes)), sizes)
    route = np.argsort(-index.likely(rows), axis=1)
    before = np.cumsum(sizes[route], axis=1) - sizes[route]
    found = np.empty_like(before)
    np.put_along_axis(found, route, before, axis=1)
    return np.take_along_axis(found, list_of[codes], axis=1)


def _laid(coarse: Coarse, order: Codes) -> Coarse:
    """The same products at given places, -1 at empty ones."""
    held = order >= 0
    place = np.empty_like(coarse.place)
    place[order[held]] = np.flatnonzero(held)
    source = coarse.place[np.where(held, order, 0)]
    theirs = coarse.octets.view(np.uint32).reshape(-1, coarse.octets.shape[2], LANES)
    words = np.empty((len(order) // LANES, *theirs.shape[1:]), np.uint32)
    for step in range(theirs.shape[1]):
        words[:, step] = theirs[:, step].ravel()[source].reshape(-1, LANES)
    octets = words.view(np.uint8).reshape(len(order) // WIDTH, *coarse.octets.shape[1:])
    scales, errors, lengths = (a[source] for a in (coarse.scales, coarse.errors, coarse.lengths))
    errors[~held], lengths[~held] = -np.inf, 0
    return replace(
        coarse, order=order, place=place, octets=octets,
        scales=scales, errors=errors, lengths=lengths,
    )  # fmt: skip
