"""Slices: figures a customer and what she is like in, the figures of each kind of customer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from features.schemas import CHANNELS, STAGES
from models.evaluation.codes import Places, ids, place, unique
from models.evaluation.intervals import mean_interval, numbers

SMALL = 30
HISTORY = ("0", "1", "2-3", "4-9", "10+")
SLICES = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("mean", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("small", pa.bool_(), nullable=False),
    ]
)


def by(
    per_customer: pa.Table,
    attributes: pa.Table,
    *,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
    resamples: int = 1000,
) -> pa.Table:
    """Rows (slice, value, metric, mean, low, high, n, small) for every kind of customer there is.

    attributes: customer_id and any of lifecycle_stage, main_channel and frequency (orders), as
    `customer_features` has them at the cut; they become the slices lifecycle_stage, channel and
    history_length. Who is not there, or null, is never_ordered, of unknown channel, with 0 orders.
    n counts the customers for whom the metric is not null; small marks fewer than 30: too few to
    conclude from. Order: slices as named, values as in the shop's words, metrics as in the table.
    """
    names = [name for name in SOURCES if name in attributes.column_names]
    if not names:
        raise ValueError(
            f"attributes must have one of {', '.join(SOURCES)}, "
            f"got {', '.join(attributes.column_names)}"
        )
    who = unique(ids(attributes, "customer_id", of="attributes"), of="attributes")
    rows = place(ids(per_customer, "customer_id", of="per_customer"), who)
    if metrics is None:
        metrics = [name for name in per_customer.column_names if name != "customer_id"]
    values = {name: numbers(per_customer[name]) for name in metrics}
    found = []
    for name in names:
        slice_, label = SOURCES[name]
        codes, words = label(attributes[name], rows)
        for code in np.unique(codes):
            chosen = codes == code
            for metric in metrics:
                got = mean_interval(values[metric][chosen], seed=seed, resamples=resamples)
                mean, low, high = (
                    None if np.isnan(figure) else figure for figure in (got.mean, got.low, got.high)
                )
                found.append((slice_, words[code], metric, mean, low, high, got.n, got.n < SMALL))
    columns = zip(*found, strict=True) if found else [[] for _ in SLICES]
    arrays = [pa.array(list(c), f.type) for c, f in zip(columns, SLICES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SLICES)


def _stage(column: pa.ChunkedArray, rows: Places) -> tuple[Places, list[str]]:
    return _words(column, rows, STAGES, "never_ordered")


def _channel(column: pa.ChunkedArray, rows: Places) -> tuple[Places, list[str]]:
    return _words(column, rows, CHANNELS, "unknown")


def _history(column: pa.ChunkedArray, rows: Places) -> tuple[Places, list[str]]:
    orders = np.nan_to_num(numbers(column))[rows] if len(column) else np.zeros(len(rows))
    orders = np.where(rows < 0, 0.0, orders)
    return np.searchsorted([1, 2, 4, 10], orders, side="right"), list(HISTORY)


def _words(
    column: pa.ChunkedArray, rows: Places, order: Sequence[str], otherwise: str
) -> tuple[Places, list[str]]:
    """A code a row into the words: the known ones in their order, others after, missing last."""
    text = column.cast(pa.string())
    others = sorted(set(text.unique().to_pylist()) - {None, *order})
    words = [*order, *others, otherwise]
    codes = place(text, pa.array(words, pa.string()))
    codes[codes < 0] = len(words) - 1
    missing = np.full(len(rows), len(words) - 1)
    missing[rows >= 0] = codes[rows[rows >= 0]]
    return missing, words


SOURCES: dict[str, tuple[str, Callable[[pa.ChunkedArray, Places], tuple[Places, list[str]]]]] = {
    "lifecycle_stage": ("lifecycle_stage", _stage),
    "main_channel": ("channel", _channel),
    "frequency": ("history_length", _history),
}
