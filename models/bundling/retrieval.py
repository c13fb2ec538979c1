"""The index of a bundle: a fitted recommender in, its files and what the manifest says out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.bundling.files import open_array, save_array
from models.recommender import Recommender
from models.retrieval import Index, Verdict, build, gated
from models.scorer import Factored

CHECKED = 1000  # customers that an index is tuned and checked by, half and half
_ARRAYS = ("order", "starts", "means", "spreads")


def save_retrieval(directory: Path, recommender: Recommender, *, least: int) -> dict[str, Any]:
    """Write an index where it is worth one; least: products from which it may be."""
    verdict = _verdict(recommender, least)
    if verdict.index is not None:
        for name in _ARRAYS:
            save_array(directory / f"retrieval_{name}.npy", asdict(verdict.index)[name])
    return verdict.about()


def open_retrieval(directory: Path, said: dict[str, Any] | None) -> Index | None:
    """The index that `save_retrieval` wrote; raises ValueError where its parts disagree."""
    if said is None or said["kind"] == "exact":
        return None
    order, starts, means, spreads = (
        open_array(directory / f"retrieval_{name}.npy") for name in _ARRAYS
    )
    lists = len(starts) - 1
    whole = np.bincount(order, minlength=len(order)) if len(order) and order.min() >= 0 else order
    if order.dtype != np.int32 or len(whole) != len(order) or not (whole == 1).all():
        raise ValueError("retrieval_order must name every product once")
    if starts[0] != 0 or starts[-1] != len(order) or (np.diff(starts) < 1).any():
        raise ValueError(f"retrieval_starts must be of lists of {len(order)} products, in order")
    if len(means) != lists or spreads.shape != (lists,):
        raise ValueError(f"retrieval_means and retrieval_spreads must be of {lists} lists")
    return Index(order, starts, means, spreads, round(said["share_looked_at"] * len(order)))


def _verdict(recommender: Recommender, least: int) -> Verdict:
    scorer, history = recommender.scorer, recommender.history
    if not isinstance(scorer, Factored):
        return Verdict(None, None, f"{scorer.kind} has no factors to look in")
    factors = scorer.product_factors
    if len(factors) < least:
        return Verdict(None, None, f"{len(factors)} products are fewer than {least}")
    known = np.flatnonzero(np.diff(history.weights.indptr))
    chosen = np.random.default_rng(0).permutation(known)[:CHECKED]
    asked = history.take(chosen).narrow(len(factors))
    rows = scorer.customer_factors(asked)
    told = np.flatnonzero(np.isfinite(rows).all(axis=1) & rows.any(axis=1))
    seen = asked.weights[told]
    return gated(build(factors), factors, rows[told], seen=seen)
