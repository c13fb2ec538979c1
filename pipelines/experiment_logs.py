"""Logs of tests: files, or a workspace in their place, in; what was shown and what happened out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.identity import resolve
from features.schemas import EXPOSURES, OUTCOMES
from pipelines.experiments import Experiment
from pipelines.settings import SettingsError
from pipelines.workspace import Workspace


def logs(
    workspace: Workspace,
    exposures: Sequence[str] | None,
    outcomes: Sequence[str] | None,
    *,
    as_of: datetime,
) -> tuple[pa.Table, pa.Table]:
    """Both logs: from files where they are given, else what the server logged and was ingested.

    Ingested events are their customers' by the links known at `as_of`, and exposures then too.
    """
    shown = read(exposures or [str(_folder(workspace))], EXPOSURES)
    if outcomes:
        return shown, read(outcomes, OUTCOMES)
    events = workspace.tables.current("events")
    if events is None:
        raise SettingsError(
            f"no table events in {workspace.root}: regulars ingest, or give --outcomes"
        )
    happened = ds.dataset(events.paths, format="parquet").to_table(columns=OUTCOMES.names)
    links = workspace.tables.current("identities")
    if links is None:
        return shown, happened
    names = resolve(links.read(), as_of=as_of)
    unit = pc.coalesce(shown["unit"], shown["customer_id"])
    shown = _with(shown, "unit", unit)
    return tuple(
        _with(table, "customer_id", _customer(table["customer_id"], names))
        for table in (shown, happened)
    )


def declared(
    workspace: Workspace, experiments: Mapping[str, Experiment], *, now: datetime
) -> list[dict[str, Any]]:
    """Each declared test: whether it runs, and how many units were shown it so far.

    Counted from the server's parquet files, so without its last minutes.
    """
    import duckdb

    counts: dict[str, dict[str, int]] = {}
    folder = workspace.root / "exposures"
    if any(folder.glob("*.parquet")):
        db = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        db.register("exposures", ds.dataset(folder, format="parquet", schema=EXPOSURES))
        for name, arm, units in db.execute(
            "SELECT experiment, arm, count(DISTINCT coalesce(unit, customer_id)) FROM exposures "
            "WHERE experiment IS NOT NULL GROUP BY GROUPING SETS ((1), (1, 2))"
        ).fetchall():
            counts.setdefault(name, {})[arm] = units
    rows = []
    for name, test in experiments.items():
        state = "running" if test.start <= now else "planned"
        if test.end is not None and test.end <= now:
            state = "ended"
        found = counts.get(name, {})
        rows.append(
            {
                "experiment": name, "state": state, "start": test.start, "end": test.end,
                "surfaces": list(test.surfaces), "interleaved": test.interleave,
                "units": found.get(None, 0),  # type: ignore[call-overload]
                "arms": {arm: found.get(arm, 0) for arm in test.arms},
            }
        )  # fmt: skip
    return rows


def read(patterns: Sequence[str], schema: pa.Schema | None = None) -> pa.Table:
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


def _folder(workspace: Workspace) -> Path:
    folder = workspace.root / "exposures"
    if not any(folder.glob("*.parquet")):
        raise SettingsError(
            f"no exposures in {folder}: the server writes them every few minutes; or give "
            "--exposures"
        )
    return folder


def _customer(ids: pa.ChunkedArray, names: pa.Table) -> pa.ChunkedArray:
    """Each id's customer, itself where no link says otherwise."""
    place = pc.index_in(ids, names["identity"].combine_chunks())
    return pc.coalesce(names["resolved_id"].take(place), ids)


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
