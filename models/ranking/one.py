"""Visits in, the k best products of each out, of products made ready: what somebody waits for.

One visit is bound by the memory that the products' bytes come from; visits of the same moment go
through them together, each for a fraction of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.history import Codes, History, Scores
from models.ranking import sieve
from models.ranking.coarse import Coarse
from models.ranking.many import SPARSE, _read
from models.scorer import Factored


class Best(NamedTuple):
    """A row a visit, best first; hard: rows that `models.ranking.many` must rank instead."""

    codes: Codes  # (rows, k)
    scores: Scores  # (rows, k)
    hard: npt.NDArray[np.bool_]  # (rows,)


def best_of_each(
    ready: Coarse,
    scorer: Factored,
    histories: Sequence[History],
    k: int,
    drop_seen: bool,
    without: Codes | None = None,
) -> Best | None:
    """The k best of each; None where the products are too few for so many.

    ready: the scorer's product factors. histories: of one row each, none of them empty. without:
    codes never to rank.
    """
    right = scorer.product_factors
    if len(right) < SPARSE * k:
        return None
    never = [_never(history, drop_seen, without) for history in histories]
    rows = [scorer.customer_factors(history) for history in histories]
    ends = np.cumsum([len(codes) for codes in never])
    codes = np.full((len(rows), k), -1, np.int32)
    scores = np.full((len(rows), k), -np.inf, np.float32)
    hard = sieve.best(
        ready,
        _read(np.concatenate(rows), np.float32),
        _read(right, np.float32),
        _read(np.concatenate(([0], ends[:-1])), np.int64),
        _read(ends, np.int64),
        _read(np.concatenate(never), np.int32),
        codes,
        scores,
    )
    return Best(codes, scores, hard)


def _never(history: History, drop_seen: bool, without: Codes | None) -> Codes:
    seen: Codes = history.weights.indices if drop_seen else np.empty(0, np.int32)
    return seen if without is None else np.concatenate([seen, without])
