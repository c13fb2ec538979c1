"""Columns: NumPy arrays in, Arrow columns out, and back, without Arrow's import of pandas.

Where pandas is installed, `pa.array`, `fill_null` and `to_numpy` import it on first use, for
0.4 s and 60 MB that a server has no use for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def column(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers as an Arrow column without nulls, over the same memory."""
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def numbers(values: pa.Array, *, null: int) -> npt.NDArray[Any]:
    """A column of numbers as a NumPy array of its own, nulls replaced."""
    if values.null_count:
        kind = values.type.to_pandas_dtype()  # a NumPy type, despite its name
        values = pc.coalesce(values, column(np.full(len(values), null, dtype=kind)))
    return np.from_dlpack(values).copy()
