"""Points in, lists of alike ones out: k-means (Lloyd 1982), in two steps where lists are many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.history import Places, Scores

MEMBERS, LEAST = 128, 8  # points of a list, about; and lists of that number at the most
CELLS = 1 << 20  # products of a point and a centre at once
SAMPLE, ROUNDS = 64, 8  # points a list that k-means learns from, and its rounds


def clusters(points: Scores, *, seed: int) -> Places:
    """(points,) the list of each, from 0, none of them empty; the same for a seed.

    In two steps, groups and the lists of each, as one would cost a hundred times as much. A group
    gets its part of the lists by how far its points are from their mean.
    """
    random = np.random.default_rng(seed)
    lists = max(1, len(points) // MEMBERS)
    group = _means_of(points, max(1, round(lists**0.5)), random)
    means, counts = means_of(points, group)
    apart = points - means[group]
    inertia = np.bincount(group, np.einsum("ij,ij->i", apart, apart))
    del apart
    place, begun = np.empty(len(points), np.int64), 0
    for one in range(len(counts)):
        members = np.flatnonzero(group == one)
        part = round(lists * inertia[one] / max(inertia.sum(), 1e-30))
        part = min(max(part, 1), max(1, len(members) * LEAST // MEMBERS))
        place[members] = begun + _means_of(points[members], part, random)
        begun = place[members].max() + 1
    return place


def means_of(points: Scores, place: Places, lists: int = 0) -> tuple[Scores, Places]:
    """(lists, f) means of the points of each list, and how many there are."""
    counts = np.bincount(place, minlength=lists)
    ones = np.ones(len(points), np.float32)
    members = sp.csr_matrix((ones, (place, np.arange(len(points)))), (len(counts), len(points)))
    return (members @ points / np.maximum(counts, 1)[:, None]).astype(np.float32), counts


def _means_of(points: Scores, lists: int, random: np.random.Generator) -> Places:
    lists = min(lists, len(points))
    some = points[random.choice(len(points), min(len(points), SAMPLE * lists), replace=False)]
    centres = some[:lists]
    for _ in range(ROUNDS):
        means, counts = means_of(some, _nearest(some, centres), lists)
        lost = random.choice(len(some), lists)  # a centre that nothing is near begins anew
        centres = np.where(counts[:, None] > 0, means, some[lost])
    return np.unique(_nearest(points, centres), return_inverse=True)[1].astype(np.int64)


def _nearest(points: Scores, centres: Scores) -> npt.NDArray[np.int64]:
    """(points,) the nearest centre: least |x - c|², so greatest x'c - |c|²/2."""
    half = np.square(centres).sum(axis=1) / 2
    step = max(1, CELLS // len(centres))
    parts = [
        np.argmax(points[start : start + step] @ centres.T - half, axis=1)
        for start in range(0, len(points), step)
    ]
    return np.concatenate(parts)
