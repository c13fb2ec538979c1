"""Columns: NumPy arrays in, Arrow columns out, and back, without Arrow's import of pandas.

Where pandas is installed, `pa.array`, `fill_null` and `to_numpy` import it on first use, for
0.4 s and 60 MB that a server has no use for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def column(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers as an Arrow column without nulls, over the same memory."""
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def numbers(values: pa.Array, *, null: int) -> npt.NDArray[Any]:
    """A column of numbers as a NumPy array of its own, nulls replaced."""
    buffers = [None, values.buffers()[1]]
    bare = pa.Array.from_buffers(values.type, len(values), buffers, offset=values.offset)
    found = np.from_dlpack(bare).copy()
    if values.null_count:
        found[np.from_dlpack(values.is_null().cast(pa.uint8())).astype(np.bool_)] = null
    return found
