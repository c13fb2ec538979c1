"""Tables of tests: logs and a declaration, or a table and its description, in, a trial out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from pipelines.experiment_logs import read
from pipelines.experiment_trials import Trial, of_log, of_table
from pipelines.experiments import Experiment, External
from pipelines.outcomes import Gathered, gather
from pipelines.settings import SettingsError, Shop


def logged(
    shop: Shop,
    name: str,
    exposures: pa.Table,
    outcomes: pa.Table,
    *,
    now: datetime,
    as_of: datetime | None = None,
) -> tuple[Trial, Gathered]:
    """A test that the shop declares, from its logs; raises SettingsError."""
    experiment = find(shop, name)
    try:
        gathered = gather(name, experiment, exposures, outcomes, now=now, as_of=as_of)
        return of_log(name, experiment, gathered), gathered
    except ValueError as error:
        raise SettingsError(f"experiment {name}: {error}") from error


def find(shop: Shop, name: str) -> Experiment:
    """The test of that name; raises SettingsError where the shop declares none."""
    if name not in shop.experiments:
        known = ", ".join(shop.experiments) or "none"
        raise SettingsError(
            f"experiment must be one that the shop declares ({known}), got {name!r}"
        )
    return shop.experiments[name]


def external(name: str, table: Path, described: Path | None, flags: Mapping[str, Any]) -> Trial:
    """Somebody else's test, described by a TOML of `External`, by flags, or both; flags win."""
    try:
        said = {} if described is None else tomllib.loads(described.read_text("utf-8"))
        values = {**said, **{key: value for key, value in flags.items() if value}}
        return of_table(name, External.model_validate(values), read([str(table)]))
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'])) or 'description'}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise SettingsError(f"test {name}: {'; '.join(lines)}") from error
    except ValueError as error:
        raise SettingsError(f"test {name}: {error}") from error
