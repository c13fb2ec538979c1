"""One customer in, her k best products out, of products made ready: what a visit asks for."""

from __future__ import annotations

import numpy as np

from models.history import Codes, History, Scores
from models.ranking import sieve
from models.ranking.coarse import Coarse
from models.ranking.many import SPARSE, _read
from models.scorer import Factored

_BEGIN = np.zeros(1, np.int64)
_BEGIN.flags.writeable = False


def best_of_one(
    ready: Coarse,
    scorer: Factored,
    history: History,
    k: int,
    drop_seen: bool,
    without: Codes | None,
) -> tuple[Codes, Scores] | None:
    """Codes and scores, (1, k); None where `models.ranking.many` must rank.

    ready: the scorer's product factors. history: of one row. without: codes never to rank.
    """
    right = scorer.product_factors
    if len(right) < SPARSE * k:
        return None
    never = history.weights.indices if drop_seen else np.empty(0, np.int32)
    if without is not None:
        never = np.concatenate([never, without])
    row = _read(scorer.customer_factors(history), np.float32)
    codes = np.full((1, k), -1, np.int32)
    scores = np.full((1, k), -np.inf, np.float32)
    ends = np.array([len(never)])
    given = row, _read(right, np.float32), _BEGIN, ends, _read(never, np.int32)
    hard = sieve.best(ready, *given, codes, scores)
    return None if hard[0] else (codes, scores)
