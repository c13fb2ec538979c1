"""Names: numbers in, columns of id strings out, without a Python string a row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers: TypeAlias = npt.NDArray[np.int64]

HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def numbered(prefix: str, numbers: Numbers, width: int) -> pa.Array:
    """`prefix` and each number in `width` digits: `numbered("c", [7], 3)` is `["c007"]`."""
    rest = numbers.astype(np.int64, copy=True)
    text = _paper(prefix, len(rest), width)
    for place in range(text.shape[1] - 1, len(prefix) - 1, -1):
        higher = rest // 10
        text[:, place] = rest - higher * 10 + ord("0")
        rest = higher
    if rest.any():
        raise ValueError(f"numbers must have at most {width} digits, got {int(numbers.max())}")
    return _strings(text)


def scrambled(prefix: str, numbers: Numbers) -> pa.Array:
    """`prefix` and 16 hexadecimal digits: two numbers never share one, neither tells the other."""
    mixed = mix(numbers)
    text = _paper(prefix, len(mixed), 16)
    for place in range(16):
        text[:, len(prefix) + place] = HEX[(mixed >> np.uint64(60 - 4 * place)) & np.uint64(15)]
    return _strings(text)


def mix(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A bijection of 64-bit numbers that looks like chance (splitmix64, Steele et al. 2014)."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def coded(codes: npt.NDArray[Any], words: pa.Array, *, none: bool = False) -> pa.Array:
    """The words that codes stand for, as a dictionary column; with `none`, -1 stands for null."""
    codes = codes.astype(np.int32)
    indices = pa.array(codes, mask=codes < 0) if none else pa.array(codes)
    return pa.DictionaryArray.from_arrays(indices, words)


def _paper(prefix: str, rows: int, width: int) -> npt.NDArray[np.uint8]:
    """(rows, len(prefix) + width) bytes with the prefix written."""
    text = np.empty((rows, len(prefix) + width), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    return text


def _strings(text: npt.NDArray[np.uint8]) -> pa.Array:
    """Rows of bytes, all of one length, as strings."""
    rows, width = text.shape
    ends = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), rows, [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(text))]
    )
