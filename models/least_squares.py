"""Ridge regressions of many rows at once: what each row took and fixed factors in, its factors out.

With y the fixed factors, c the weights of what a row took and w that of everything, its x solves

    (w Y'Y + r I + sum c y y') x = sum (c + w) y        sums over what it took

Y is turned beforehand so that Y'Y is diagonal, see `turned`. Then the product with all of Y, which
costs f^2 for each row and step, is gone, and that diagonal is a preconditioner for what is left.
"""

from __future__ import annotations

import threading

import numpy as np
import scipy.sparse as sp
from numba import get_num_threads, njit, parallel_chunksize, prange

from models.scorer import Scores

ONE = threading.Lock()  # one of numba's threading layers must not be entered twice
ENOUGH = 1e-10  # of the first residual, squared: float32 knows no more
TINY = 1e-30
STRIPES = 32  # pieces of work for each thread, so that none waits for the other


def turned(factors: Scores, other: Scores) -> tuple[Scores, Scores, Scores]:
    """Both (_, f) turned alike so that the factors' Gram matrix is diagonal; and that, (f,)."""
    exact = factors.astype(np.float64)
    spread, turn = np.linalg.eigh(exact.T @ exact)
    turn = turn.astype(np.float32)
    return factors @ turn, other @ turn, np.maximum(spread, 0).astype(np.float32)


def improve(
    start: Scores,
    taken: sp.csr_matrix,
    fixed: Scores,
    spread: Scores,
    *,
    all: float,
    ridge: Scores,
    steps: int,
) -> None:
    """Some steps of conjugate gradients from `start` towards each row's x, in place.

    start: (rows, f). taken: (rows, others) weights. fixed, spread: (others, f) and (f,), as
    `turned` gave them. all: w above. ridge: (rows,). The same for any number of threads.
    """
    w = np.float32(all)
    with ONE, parallel_chunksize(1):
        _improve(
            start,
            taken.indptr,
            taken.indices,
            taken.data,
            fixed,
            w * spread,
            w,
            ridge,
            steps,
            STRIPES * get_num_threads(),
        )


@njit(parallel=True, fastmath=True, cache=True)  # type: ignore[misc, unused-ignore]
def _improve(start, indptr, indices, data, fixed, spread, w, ridge, steps, stripes):  # type: ignore[no-untyped-def]
    rows, f = start.shape
    for stripe in prange(stripes):
        r = np.empty(f, np.float32)  # residual
        m = np.empty(f, np.float32)  # diagonal of the whole matrix
        p = np.empty(f, np.float32)  # direction
        q = np.empty(f, np.float32)  # matrix times direction
        d = np.empty(f, np.float32)  # diagonal part of the matrix
        for row in range(stripe, rows, stripes):
            first, last = indptr[row], indptr[row + 1]
            x = start[row]
            if first == last:
                x[:] = 0
                continue
            for i in range(f):
                d[i] = spread[i] + ridge[row]
                m[i] = d[i]
                r[i] = -d[i] * x[i]
            for place in range(first, last):
                y, c = fixed[indices[place]], data[place]
                along = np.float32(0)
                for i in range(f):
                    along += y[i] * x[i]
                missing = c + w - c * along
                for i in range(f):
                    r[i] += missing * y[i]
                    m[i] += c * y[i] * y[i]
            size = np.float32(0)
            for i in range(f):
                p[i] = r[i] / m[i]
                size += r[i] * p[i]
            enough = np.float32(ENOUGH) * size + np.float32(TINY)
            for _ in range(steps):
                if size <= enough:
                    break
                for i in range(f):
                    q[i] = d[i] * p[i]
                for place in range(first, last):
                    y = fixed[indices[place]]
                    along = np.float32(0)
                    for i in range(f):
                        along += y[i] * p[i]
                    along *= data[place]
                    for i in range(f):
                        q[i] += along * y[i]
                bend = np.float32(0)
                for i in range(f):
                    bend += p[i] * q[i]
                far = size / bend
                before, size = size, np.float32(0)
                for i in range(f):
                    x[i] += far * p[i]
                    r[i] -= far * q[i]
                    size += r[i] * r[i] / m[i]
                turn = size / before
                for i in range(f):
                    p[i] = r[i] / m[i] + turn * p[i]
