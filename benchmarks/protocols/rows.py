"""A configuration in, its model out; and what all protocols' rows have in common."""

from __future__ import annotations

import os
import resource
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from models.scorer import make

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("REGULARS_DATA", ROOT.parent / "shared" / "data"))

Row: TypeAlias = dict[str, Any]


class Absent(ValueError):
    """A data set or a configuration that is not there."""


class Printed(NamedTuple):
    """A figure to hold, None where nobody printed one, and by whom."""

    value: float | None
    source: str


def read(name: str) -> pa.Table:
    """A file of the data folder."""
    if not (DATA / name).exists():
        raise Absent(f"REGULARS_DATA must be a folder that holds {name}, got {DATA}")
    return pq.read_table(DATA / name)


def model(config: Path) -> Any:
    """The scorer that a file of one `[models.NAME]` section says."""
    if not config.exists():
        raise Absent(f"config must be a file, got {config}")
    ((name, values),) = tomllib.loads(config.read_text(encoding="utf-8"))["models"].items()
    return make(values.pop("kind", name), values)


def name_of(config: Path, data: str) -> str:
    """`ease` of configs/gowalla-ease.toml: what a row calls its model."""
    return config.stem.removeprefix(f"{data}-")


def rows(
    data: str,
    name: str,
    figures: Mapping[str, float],
    printed: Mapping[str, Printed],
    *,
    seconds: float,
    fit_seconds: float,
) -> list[Row]:
    """One row for each metric of a model, with the peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    none = Printed(None, "")
    return [
        {
            "data": data,
            "model": name,
            "metric": metric,
            "value": float(value),
            "published": printed.get(metric, none).value,
            "source": printed.get(metric, none).source,
            "seconds": round(seconds, 1),
            "fit_seconds": round(fit_seconds, 1),
            "peak_rss_mb": peak,
        }
        for metric, value in figures.items()
    ]
