"""Files of a bundle: arrays and tables in, `.npy` and Arrow files out, and back as memory maps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib.format import open_memmap

from models.history import Codes, Scores


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one `.npy` file."""
    np.save(path, array, allow_pickle=False)


def open_array(path: Path) -> npt.NDArray[Any]:
    """A plain array over the mapped file: slicing np.memmap itself is several times slower."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def save_table(path: Path, table: pa.Table) -> None:
    """Write one Arrow file of one batch."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def open_table(path: Path) -> pa.Table:
    """The table over the mapped file."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


@contextlib.contextmanager
def filled(directory: Path, name: str, shape: tuple[int, int]) -> Iterator[tuple[Codes, Scores]]:
    """Two mapped files `NAME_products.npy` and `NAME_scores.npy` to fill."""
    if 0 in shape:  # an empty file cannot be mapped
        codes, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
        yield codes, scores
        save_array(directory / f"{name}_products.npy", codes)
        save_array(directory / f"{name}_scores.npy", scores)
        return
    codes = open_memmap(directory / f"{name}_products.npy", "w+", np.int32, shape)
    scores = open_memmap(directory / f"{name}_scores.npy", "w+", np.float32, shape)
    yield codes, scores
    codes.flush()
    scores.flush()
