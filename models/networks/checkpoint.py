"""Checkpoints: a training run's arrays after an epoch in, the same arrays after a kill out.

A folder holds the newest epoch of one run; a run is named by a digest of its data and
hyperparameters, so that another run's arrays are never taken for its own.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features.artifact import ArtifactError, canonical, staged, verify
from models.history import History

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


def run_of(history: History, parameters: Mapping[str, Any], *start: npt.NDArray[Any]) -> str:
    """The name of a run: the same for the same history, hyperparameters and starting arrays."""
    hashed = hashlib.sha256(canonical(dict(parameters)).encode())
    events, catalogue = history.sequence(), history.catalogue
    arrays = [history.weights.indptr, history.weights.indices, history.weights.data]
    arrays += [getattr(events, name) for name in events.__dataclass_fields__]
    if catalogue is not None:
        arrays += [catalogue.categories]
        arrays += [] if catalogue.prices is None else [catalogue.prices]
        traits = catalogue.traits
        arrays += [] if traits is None else [traits.indptr, traits.indices]
    for array in (*arrays, *start):
        hashed.update(f"{array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).view(np.uint8).data)
    return hashed.hexdigest()[:16]


class Checkpoint:
    """The newest epoch of one run in a directory; of no directory it holds nothing."""

    def __init__(self, directory: str | None, run: str) -> None:
        self.directory = None if directory is None else Path(directory)
        self.run = run

    def save(self, epoch: int, arrays: Arrays) -> None:
        """Keep these in place of an earlier epoch's; a kill leaves the one or the other."""
        if self.directory is None:
            return
        earlier = self._epochs()
        with staged(self.directory / f"{self.run}-{epoch:06}", {"epoch": epoch}) as beside:
            for name, array in arrays.items():
                np.save(beside / f"{name}.npy", array, allow_pickle=False)
        for path in earlier:
            shutil.rmtree(path, ignore_errors=True)

    def load(self) -> tuple[int, dict[str, npt.NDArray[Any]]] | None:
        """The newest whole epoch's number and arrays; None where there is none."""
        for path in reversed(self._epochs()):
            try:
                epoch: int = verify(path)["epoch"]
            except ArtifactError:
                continue  # half removed
            return epoch, {
                file.stem: np.load(file, allow_pickle=False) for file in sorted(path.glob("*.npy"))
            }
        return None

    def clear(self) -> None:
        """Remove what is there of this run: it has ended."""
        for path in self._epochs():
            shutil.rmtree(path, ignore_errors=True)

    def _epochs(self) -> list[Path]:
        return [] if self.directory is None else sorted(self.directory.glob(f"{self.run}-*"))
