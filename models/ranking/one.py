"""One row of factors in, its k best products out, of products made ready: what a visit asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.history import Codes, Scores
from models.ranking import sieve
from models.ranking.coarse import Coarse
from models.ranking.many import SPARSE, _read

_BEGIN = np.zeros(1, np.int64)
_BEGIN.flags.writeable = False


def best_of_one(
    ready: Coarse, row: Scores, right: Scores, k: int, never: npt.NDArray[np.int32]
) -> tuple[Codes, Scores] | None:
    """Codes and scores, (1, k); None where `models.ranking.many` must rank.

    row: (1, f). right: the factors that were made ready. never: codes, in any order.
    """
    if len(right) < SPARSE * k:
        return None
    codes = np.full((1, k), -1, np.int32)
    scores = np.full((1, k), -np.inf, np.float32)
    ends = np.array([len(never)])
    given = _read(row, np.float32), _read(right, np.float32), _BEGIN, ends, _read(never, np.int32)
    hard = sieve.best(ready, *given, codes, scores)
    return None if hard[0] else (codes, scores)
