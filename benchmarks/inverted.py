"""Factors in, an inverted file out: the best products of one row without a look at all of them.

Products are put into lists of alike ones by k-means (Lloyd 1982; Sivic and Zisserman, Video
Google, 2003) over the factors as they are, so that long products, which win more rows, stand in
small lists of their own. Lists are looked at by what their best may reach, their mean's product
and a share of their spread, until so many products were seen as a sample of rows wanted. What is
looked at is ranked exactly. Where the sample does not get its recall, there is no index: exact.

Measured by `benchmarks/retrieval.py`; the server ranks exactly and does not use it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from probe import probe  # type: ignore[import-not-found]

from models.history import Codes, Places, Scores
from models.rank import Ranked, top_k_factors
from models.ranking.coarse import RHO, Coarse, _pack, rounded
from models.ranking.dots import LANES, WIDTH
from models.ranking.many import _read

MEMBERS, LEAST = 128, 8  # products of a list, about; and lists of that number at the most
CELLS = 1 << 20  # products of a point and a centre at once
SAMPLE, ROUNDS = 64, 8  # products a list that k-means learns from, and its rounds
SPREAD = 0.3  # deviations above its mean that count for a list
BEST, RECALL = 100, 0.98  # of so many best the share that must be found
SPARE = 0.005  # recall beyond that, as another sample finds other products
REACHES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)  # of all products
WORTH = 4  # times as many products that exact ranking must look at


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


def build(factors: Scores, *, seed: int = 0) -> Index:
    """Lists of (products, f) factors; the same for a seed.

    In two steps, groups and the lists of each, as one would cost a hundred times as much. A group
    gets its part of the lists by how far its products are from their mean.
    """
    products, random = len(factors), np.random.default_rng(seed)
    lists = max(1, products // MEMBERS)
    group = _means_of(factors, max(1, round(lists**0.5)), random)
    means, counts = _means(factors, group, group.max() + 1)
    apart = factors - means[group]
    inertia = np.bincount(group, np.einsum("ij,ij->i", apart, apart))
    del apart
    place, begun = np.empty(products, np.int64), 0
    for one in range(len(counts)):
        members = np.flatnonzero(group == one)
        part = round(lists * inertia[one] / max(inertia.sum(), 1e-30))
        part = min(max(part, 1), max(1, len(members) * LEAST // MEMBERS))
        place[members] = begun + _means_of(factors[members], part, random)
        begun = place[members].max() + 1
    means, counts = _means(factors, place, begun)
    squares = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
    inner = np.bincount(place, squares) / counts
    spreads = np.sqrt(np.maximum(0, inner - np.square(means, dtype=np.float64).sum(axis=1)))
    order = np.lexsort((np.arange(products), -squares, place)).astype(np.int32)
    starts = np.concatenate(([0], np.cumsum(counts)))
    return Index(order, starts, means, spreads.astype(np.float32), products)


def gated(index: Index, factors: Scores, rows: Scores) -> tuple[Index | None, float]:
    """The index with the least reach that finds enough, and the recall of rows not tuned by.

    rows: (n, f), at least two, none of them all zeros. None where it does not find RECALL of the
    BEST, or where exact ranking does not look at WORTH times as many products.
    """
    k = min(BEST, len(factors))
    best = top_k_factors(rows, factors, k)
    before = _looked(index, rows, best.codes)  # (n, k) products looked at before each is found
    tuned, held = before[::2], before[1::2]
    for share in REACHES:
        reach = max(round(share * len(factors)), 4 * k)
        if (tuned < reach).mean() >= RECALL + SPARE:
            recall = float((held < reach).mean())
            work = WORTH * (reach + 4 * len(index.spreads))  # a mean's numbers are of four bytes
            worth = recall >= RECALL and work <= _exactly(factors, rows, best.scores[:, -1])
            return (replace(index, reach=reach) if worth else None), recall
    return None, float((held < REACHES[-1] * len(factors)).mean())


class Retrieval:
    """An index over its factors, ready to be asked for one row at a time, from any thread."""

    def __init__(self, index: Index, factors: Scores) -> None:
        self.index, self.factors = index, _read(factors, np.float32)
        sizes = np.diff(index.starts)
        wide = -sizes % WIDTH + sizes  # each list fills whole tiles
        ends = np.concatenate(([0], np.cumsum(wide)))
        order = np.full(ends[-1], -1, np.int32)
        order[np.arange(len(index.order)) + np.repeat(ends[:-1] - index.starts[:-1], sizes)] = (
            index.order
        )
        coarse = _laid(factors, order)
        self.coarse, self.sizes, self.tiles_of = coarse, sizes, ends // WIDTH

    def best(self, row: Scores, k: int, never: npt.NDArray[np.int32]) -> Ranked | None:
        """The k best for (1, f), but for `never`; None where only looking at all can tell."""
        in_bytes, hard = rounded(self.coarse, row)
        if hard[0] or len(never) + 4 * k > self.index.reach:
            return None
        codes = np.full((1, k), -1, np.int32)
        scores = np.full((1, k), -np.inf, np.float32)
        route = np.argsort(-self.index.likely(row)[0])
        given = (_read(row, np.float32), self.factors, in_bytes, self.coarse.read())
        lists = (route, self.tiles_of, self.sizes, self.index.reach, _read(never, np.int32))
        told = probe(*given, *lists, codes, scores)
        return Ranked(codes, scores) if told and codes[0, -1] >= 0 else None


def _means_of(points: Scores, lists: int, random: np.random.Generator) -> Places:
    """(points,) the list of each, by k-means; from 0, none of them empty."""
    lists = min(lists, len(points))
    some = points[random.choice(len(points), min(len(points), SAMPLE * lists), replace=False)]
    centres = some[:lists]
    for _ in range(ROUNDS):
        means, counts = _means(some, _nearest(some, centres), lists)
        lost = random.choice(len(some), lists)  # a centre that nothing is near begins anew
        centres = np.where(counts[:, None] > 0, means, some[lost])
    return np.unique(_nearest(points, centres), return_inverse=True)[1].astype(np.int64)


def _nearest(points: Scores, centres: Scores) -> Places:
    """(points,) the nearest centre: least |x - c|², so greatest x'c - |c|²/2."""
    half = np.square(centres).sum(axis=1) / 2
    step = max(1, CELLS // len(centres))
    parts = [
        np.argmax(points[start : start + step] @ centres.T - half, axis=1)
        for start in range(0, len(points), step)
    ]
    return np.concatenate(parts)


def _means(
    points: Scores, place: npt.NDArray[np.int64], lists: int
) -> tuple[Scores, npt.NDArray[np.int64]]:
    """(lists, f) means of the points of each list, and how many there are."""
    ones = np.ones(len(points), np.float32)
    members = sp.csr_matrix((ones, (place, np.arange(len(points)))), (lists, len(points)))
    counts = np.bincount(place, minlength=lists)
    return (members @ points / np.maximum(counts, 1)[:, None]).astype(np.float32), counts


def _exactly(factors: Scores, rows: Scores, least: Scores) -> float:
    """How many products exact ranking looks at: those long enough to be among the best."""
    lengths = np.sort(np.sqrt(np.einsum("ij,ij->i", factors, factors)))
    wanted = least / np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return float(len(factors) - np.searchsorted(lengths, wanted).mean())


def _looked(index: Index, rows: Scores, codes: Codes) -> npt.NDArray[np.int64]:
    """(rows, k) how many products are looked at before the list of each code is."""
    sizes = np.diff(index.starts)
    list_of = np.empty(len(index.order), np.int64)
    list_of[index.order] = np.repeat(np.arange(len(sizes)), sizes)
    route = np.argsort(-index.likely(rows), axis=1)
    before = np.cumsum(sizes[route], axis=1) - sizes[route]
    found = np.empty_like(before)
    np.put_along_axis(found, route, before, axis=1)
    return np.take_along_axis(found, list_of[codes], axis=1)


def _laid(factors: Scores, order: Codes) -> Coarse:
    """As `models.ranking.coarse.prepare`, with products at given places, -1 at empty ones."""
    long = -factors.shape[1] % 4 + factors.shape[1]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((long, long)))[0]
    turn = turn[: factors.shape[1]].astype(np.float32)
    held, whole = np.flatnonzero(order >= 0), len(order)
    place = np.empty(len(factors), np.int32)
    place[order[held]] = held
    turned = np.zeros((whole, long), np.float32)
    turned[held] = factors[order[held]] @ turn
    octets = np.zeros((whole // WIDTH, WIDTH // LANES, long // 4, LANES, 4), np.uint8)
    scales, errors, lengths = (np.zeros(whole, np.float32) for _ in range(3))
    lengths[held] = np.linalg.norm(factors[order[held]], axis=1)
    _pack(turned, octets.reshape(-1, long // 4, LANES, 4), scales, errors)
    slack = np.float32((factors.shape[1] + 64) * 2.0**-22)
    errors += np.float32(RHO) * (lengths + errors) + slack * (lengths + lengths.max() / 64)
    errors[order < 0] = -np.inf
    return Coarse(turn, order, place, octets, scales, errors, lengths)
