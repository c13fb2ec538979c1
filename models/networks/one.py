"""One customer's events in, the state after the last of them out: the network of sasrec, compiled.

What `models.networks.attention.last_states` says for many rows in NumPy, whose calls cost more
than the numbers of one row; a visit is answered while she waits. The same to within rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.history import Codes, Scores
from models.networks.attention import EPSILON
from models.networks.packed import GAPS

NONE = np.zeros((0, 0), np.float32)
BOUNDS = np.array(GAPS, np.float32)


def last_state(
    learned: Mapping[str, Scores],
    products: Codes,
    types: npt.NDArray[np.int8],
    channels: npt.NDArray[np.int8],
    days: Scores,
) -> Scores:
    """(f,), of length 1. The last events, at least one and at most `length`, oldest first."""
    given = (products, types, channels, days)
    tables = [learned.get(name, NONE) for name in ("products", "types", "channels", "gaps")]
    names = ("norms", "asks", "answers", "distances", "inner", "outer")
    state: Scores = _state(
        *(_read(a) for a in given), *map(_read, tables), *(_read(learned[n]) for n in names)
    )
    return state


def _read(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Never written: compiled for no other sort."""
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array).view()
        array.flags.writeable = False
    return array


@njit(nogil=True, cache=True, fastmath=True)  # type: ignore[misc, unused-ignore]
def _exp(x, out):  # type: ignore[no-untyped-def]
    """Set out to e^x, to within 3e-7 of it, many at a time: 2^n from bits, the rest by Taylor."""
    powers = np.empty(len(x), np.int32)
    twos = powers.view(np.float32)
    for i in range(len(x)):
        y = min(max(x[i], np.float32(-87)), np.float32(87)) * np.float32(1.442695)
        n = np.rint(y)
        z = (y - n) * np.float32(0.6931472)
        powers[i] = (np.int32(n) + np.int32(127)) << np.int32(23)
        e = np.float32(1 / 120) + z * np.float32(1 / 720)
        e = np.float32(1 / 6) + z * (np.float32(1 / 24) + z * e)
        out[i] = np.float32(1) + z * (np.float32(1) + z * (np.float32(0.5) + z * e))
    for i in range(len(x)):
        out[i] *= twos[i]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[misc, unused-ignore]
def _normed(x, weight, out):  # type: ignore[no-untyped-def]
    f = np.float32(x.shape[1])
    for r in range(len(x)):
        mean, square = np.float32(0), np.float32(0)
        for i in range(x.shape[1]):
            mean += x[r, i]
        mean /= f
        for i in range(x.shape[1]):
            out[r, i] = x[r, i] - mean
            square += out[r, i] * out[r, i]
        scale = np.float32(1) / np.sqrt(square / f + np.float32(EPSILON))
        for i in range(x.shape[1]):
            out[r, i] *= scale * weight[i]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[misc, unused-ignore]
def _dot(x, y):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _gap(days, i):  # type: ignore[no-untyped-def]
    """The code of the time since the event before, 0 unknown."""
    if i == 0:
        return 0
    gap = days[i - 1] - days[i]
    if np.isnan(gap):
        return 0
    return 1 + np.searchsorted(BOUNDS, gap)


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _state(  # type: ignore[no-untyped-def]
    codes, kinds, places, days, products, types, channels, gaps,
    norms, asks, answers, distances, inner, outer,
):  # fmt: skip
    n, f = len(codes), products.shape[1]
    layers, heads = distances.shape[:2]
    wide = f // heads
    x, y = np.empty((n, f), np.float32), np.empty((n, f), np.float32)
    for i in range(n):
        x[i] = products[codes[i]]
        if len(types):
            x[i] += types[kinds[i] + 1]
        if len(channels):
            x[i] += channels[places[i] + 1]
        if len(gaps):
            x[i] += gaps[_gap(days, i)]
    x *= np.float32(np.sqrt(np.float32(f)))
    told = np.empty((n, 3 * f), np.float32)  # asks, keys and values
    mixed, more = np.empty((n, f), np.float32), np.empty((n, f), np.float32)
    hidden = np.empty((n, inner.shape[2]), np.float32)
    weights, e = np.empty(n, np.float32), np.empty(inner.shape[2], np.float32)
    scale = np.float32(1 / np.sqrt(wide))
    for layer in range(layers):
        first = n - 1 if layer == layers - 1 else 0  # who asks
        _normed(x, norms[layer, 0], y)
        np.dot(y, asks[layer], told)
        for i in range(first, n):
            for head in range(heads):
                a, b = head * wide, (head + 1) * wide
                most = np.float32(-np.inf)
                for j in range(i + 1):
                    back = min(i - j, distances.shape[2] - 1)
                    weights[j] = _dot(told[i, a:b], told[j, f + a : f + b]) * scale
                    weights[j] += distances[layer, head, back]
                    most = max(most, weights[j])
                total = np.float32(0)
                mixed[i, a:b] = 0
                for j in range(i + 1):
                    share = np.exp(weights[j] - most)
                    total += share
                    for c in range(wide):
                        mixed[i, a + c] += share * told[j, 2 * f + a + c]
                mixed[i, a:b] /= total
        np.dot(mixed[first:], answers[layer], more[first:])
        x[first:] += more[first:]
        _normed(x[first:], norms[layer, 1], y[first:])
        np.dot(y[first:], inner[layer], hidden[first:])
        for i in range(first, n):
            _exp(hidden[i], e)
            for j in range(len(e)):
                hidden[i, j] *= e[j] / (np.float32(1) + e[j])
        np.dot(hidden[first:], outer[layer], more[first:])
        x[first:] += more[first:]
    last = x[n - 1].copy()
    return last / max(np.sqrt(_dot(last, last)), np.float32(1e-12))
