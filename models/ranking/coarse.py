"""Factors in bytes: (n, f) float32 in, the same rounded to 8 bits with what rounding took out.

Factors are turned at random first, which changes no product of two rows and spreads the length of
each evenly over its numbers. The product of two rounded rows is then off by at most
|x||y - y'| + |x - x'||y'|, which is known of every pair without looking at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from models.ranking.dots import LANES, TALL, WIDTH
from models.scorer import Codes, Scores

RHO = 0.0075  # relative error of a row that is rounded, about; a worse row counts for more


@dataclass(frozen=True, slots=True)
class Coarse:
    """Products ready to be ranked; the longest first, `products` of them and some that fill up.

    turn: (f, g) orthonormal rows. order, place: product <-> its place. octets: (tiles, ...) as
    `ranking.dots` reads them. scales, errors, lengths: (tiles * WIDTH,) float32: what a byte is
    worth, the greatest error for a row of length 1, and the length itself.
    """

    turn: Scores
    order: Codes
    place: Codes
    octets: npt.NDArray[np.uint8]
    scales: Scores
    errors: Scores
    lengths: Scores

    def read(self) -> tuple[npt.NDArray[np.generic], ...]:
        """As the kernels take it."""
        return self.order, self.place, self.octets, self.scales, self.errors, self.lengths

    def without(self, hidden: Codes) -> Coarse:
        """The same where some products are never among the best."""
        errors = self.errors.copy()
        errors[self.place[hidden]] = -np.inf
        return replace(self, errors=errors)


def prepare(factors: Scores) -> Coarse | None:
    """(products, f) made ready; None where the CPU can't or the factors aren't finite."""
    products, f = factors.shape
    lengths = np.sqrt(np.einsum("ij,ij->i", factors, factors, dtype=np.float64))
    if not LANES or not f or not products or not 0 < lengths.max() < 1e15:
        return None
    long = -f % 4 + f  # bytes are taken by four
    gaussian = np.random.default_rng(0).standard_normal((long, long))
    turn = np.linalg.qr(gaussian)[0][:f].astype(np.float32)
    order = np.argsort(-lengths, kind="stable").astype(np.int32)
    place = np.empty_like(order)
    place[order] = np.arange(products, dtype=np.int32)
    turned = factors[order] @ turn  # (products, long)
    whole = -products % WIDTH + products
    octets = np.zeros((whole // WIDTH, WIDTH // LANES, long // 4, LANES, 4), np.uint8)
    scales, errors, length = (np.zeros(whole, np.float32) for _ in range(3))
    length[:products] = lengths[order]
    _pack(turned, octets.reshape(-1, long // 4, LANES, 4), scales, errors)
    # What float32 itself may be off, in turning and in scoring; also where a row is all zeros.
    slack = np.float32((f + 64) * 2.0**-22)
    errors += np.float32(RHO) * (length + errors) + slack * (length + length[0] / 64)
    errors[products:] = -np.inf
    return Coarse(turn, order, place, octets, scales, errors, length)


def rounded(
    coarse: Coarse, left: Scores
) -> tuple[tuple[npt.NDArray[np.generic], ...], npt.NDArray[np.bool_]]:
    """Rows, (rows, f), in bytes too; and which cannot be, as they are all zeros or not finite.

    octets (n, 4 steps) int8, n full tiles of rows; starts (n,) int32 as `ranking.dots` wants them;
    steps (n,) float32, what a byte is worth; lengths (n,) float32 in steps.
    """
    rows = len(left)
    n = -rows % TALL + rows
    octets, starts = np.empty((n, coarse.turn.shape[1]), np.int8), np.empty(n, np.int32)
    steps, lengths = np.empty(n, np.float32), np.empty(n, np.float32)
    hard = np.zeros(rows, np.bool_)
    _rounded(left @ coarse.turn, octets, starts, steps, lengths, hard)
    return (octets, starts, steps, lengths), hard


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _pack(turned, octets, scales, errors):  # type: ignore[no-untyped-def]
    """Round products to bytes above 0; errors: the length of what rounding took away."""
    products, long = turned.shape
    lanes = octets.shape[2]
    octets[:] = 128
    for p in range(products):
        greatest = np.float32(0)
        for i in range(long):
            greatest = max(greatest, abs(turned[p, i]))
        scale = greatest / np.float32(127)
        scale = scale if scale > 1e-30 else np.float32(0)
        inverse = np.float32(1) / scale if scale > 0 else np.float32(0)
        lost = np.float64(0)
        for i in range(long):
            byte = np.rint(turned[p, i] * inverse)
            lost += np.float64(turned[p, i] - scale * byte) ** 2
            octets[p // lanes, i // 4, p % lanes, i % 4] = np.uint8(128 + int(byte))
        scales[p], errors[p] = scale, np.sqrt(lost)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _rounded(turned, octets, starts, steps, lengths, hard):  # type: ignore[no-untyped-def]
    """Round rows to bytes around 0. lengths: in steps, more where rounding took more than RHO."""
    octets[len(turned) :] = 0
    starts[len(turned) :] = 0
    lengths[len(turned) :] = 0
    for r in range(len(turned)):
        greatest, length, total = np.float32(0), np.float64(0), 0
        fine = True
        for i in range(turned.shape[1]):
            fine &= abs(turned[r, i]) < 1e15
            greatest = max(greatest, abs(turned[r, i]))
            length += np.float64(turned[r, i]) ** 2
        starts[r], lengths[r], steps[r] = 0, 0, 0
        if not fine or greatest < 1e-15:
            hard[r] = True
            continue
        step, lost = greatest / np.float32(127), np.float64(0)
        for i in range(turned.shape[1]):
            byte = int(np.rint(turned[r, i] / step))
            lost += np.float64(turned[r, i] - step * np.float32(byte)) ** 2
            octets[r, i] = byte
            total += byte
        starts[r], steps[r] = -128 * total, step
        lengths[r] = np.sqrt(length) / step * max(1, np.sqrt(lost / length) / RHO)
