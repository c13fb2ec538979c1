"""Tables of tests: files and a declaration or description in, a trial that can be read out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from pydantic import ValidationError

from features.schemas import EXPOSURES, OUTCOMES
from pipelines.experiment import Trial, of_log, of_table
from pipelines.experiments import External
from pipelines.outcomes import Gathered, gather
from pipelines.settings import SettingsError, Shop


def logged(
    shop: Shop,
    name: str,
    exposures: Sequence[str],
    outcomes: Sequence[str],
    *,
    now: datetime,
    as_of: datetime | None = None,
) -> tuple[Trial, Gathered]:
    """A test that the shop declares, from the files of its logs; raises SettingsError."""
    if name not in shop.experiments:
        known = ", ".join(shop.experiments) or "none"
        raise SettingsError(
            f"experiment must be one that the shop declares ({known}), got {name!r}"
        )
    experiment = shop.experiments[name]
    try:
        gathered = gather(
            name, experiment, _read(exposures, EXPOSURES), _read(outcomes, OUTCOMES),
            now=now, as_of=as_of,
        )  # fmt: skip
        return of_log(name, experiment, gathered), gathered
    except ValueError as error:
        raise SettingsError(f"experiment {name}: {error}") from error


def external(name: str, table: Path, described: Path | None, flags: Mapping[str, Any]) -> Trial:
    """Somebody else's test, described by a TOML of `External`, by flags, or both; flags win."""
    try:
        said = {} if described is None else tomllib.loads(described.read_text("utf-8"))
        values = {**said, **{key: value for key, value in flags.items() if value}}
        return of_table(name, External.model_validate(values), _read([str(table)]))
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'])) or 'description'}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise SettingsError(f"test {name}: {'; '.join(lines)}") from error
    except ValueError as error:
        raise SettingsError(f"test {name}: {error}") from error


def files(patterns: Sequence[str]) -> list[Path]:
    """Files that paths, folders and globs name, in order; raises SettingsError."""
    found: list[Path] = []
    for pattern in patterns:
        place = Path(pattern)
        if place.is_dir():
            some = sorted(place.rglob("*.parquet")) or sorted(place.rglob("*.csv"))
        elif place.exists():
            some = [place]
        else:
            root = Path(place.anchor)
            some = sorted(root.glob(pattern.removeprefix(place.anchor)))
        if not some:
            raise SettingsError(f"no file is named by {pattern}")
        found += some
    return found


def _read(patterns: Sequence[str], schema: pa.Schema | None = None) -> pa.Table:
    """All rows of parquet and CSV files, columns by their names."""
    options = csv.ConvertOptions(
        strings_can_be_null=True,  # an empty cell is no id
        column_types={} if schema is None else {
            field.name: field.type for field in schema if not pa.types.is_timestamp(field.type)
        },  # 007 is no number
    )  # fmt: skip
    tables = [
        csv.read_csv(path, convert_options=options)
        if path.suffix == ".csv"
        else pq.read_table(path)
        for path in files(patterns)
    ]
    return pa.concat_tables(tables, promote_options="permissive")
