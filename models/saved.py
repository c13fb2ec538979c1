"""Saved histories: a history in, plain arrays by name out, and back over memory maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.history import Catalogue, Events, History
from models.traits import TRAITS

Arrays = dict[str, npt.NDArray[Any]]


def history_arrays(history: History) -> Arrays:
    """Every array of a history, by its name in a saved model."""
    arrays: Arrays = {
        "history.weights": history.weights.data,
        "history.indices": history.weights.indices,
        "history.indptr": history.weights.indptr,
    }
    if history.last_days is not None:
        arrays["history.last_days"] = history.last_days
    if history.catalogue is not None:
        arrays["catalogue.categories"] = history.catalogue.categories
        if history.catalogue.prices is not None:
            arrays["catalogue.prices"] = history.catalogue.prices
        if history.catalogue.traits is not None:
            arrays["catalogue.traits.indices"] = history.catalogue.traits.indices
            arrays["catalogue.traits.indptr"] = history.catalogue.traits.indptr
    if history.events is not None:
        for field in fields(Events):
            arrays[f"events.{field.name}"] = getattr(history.events, field.name)
    return arrays


def saved_history(arrays: Mapping[str, npt.NDArray[Any]], shape: tuple[int, int]) -> History:
    """The history again, of (customers, products); raises ValueError where the parts disagree."""
    parts = tuple(arrays[f"history.{part}"] for part in ("weights", "indices", "indptr"))
    weights = sp.csr_matrix(parts, shape)
    weights.has_canonical_format = True  # as written; to look would read all of it
    events = None
    if "events.starts" in arrays:
        events = Events(*(arrays[f"events.{field.name}"] for field in fields(Events)))
    return History(weights, arrays.get("history.last_days"), _catalogue(arrays, shape[1]), events)


def _catalogue(arrays: Mapping[str, npt.NDArray[Any]], products: int) -> Catalogue | None:
    if "catalogue.categories" not in arrays:
        return None
    traits = None
    if "catalogue.traits.indptr" in arrays:
        indices, indptr = (arrays[f"catalogue.traits.{part}"] for part in ("indices", "indptr"))
        traits = sp.csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr), (products, TRAITS)
        )
    return Catalogue(arrays["catalogue.categories"], arrays.get("catalogue.prices"), traits)
