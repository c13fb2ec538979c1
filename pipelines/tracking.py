"""Tracking: what was trained and judged in, MLflow runs and registered versions out.

One experiment a shop and task, one run a model trained on one state of the data, found again by
the hash of what made it. TrackingError is raised where MLflow cannot do what was asked.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from features.artifact import canonical
from pipelines.registry import Registry
from pipelines.workspace import Workspace

logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

KEY = "regulars.key"
JUDGED = "regulars.judged"
PROCESS = "regulars.process"
GATE = "regulars.gate"
REASONS = "regulars.reasons"
OVERRIDE = "regulars.override"


class TrackingError(RuntimeError):
    """MLflow cannot do what was asked, or does not know what was asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as far as Regulars reads it."""

    id: str
    name: str
    status: str
    started: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    artifact_uri: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """The runs of one shop. `workspace` holds the artifacts when there is no server."""

    client: Any
    workspace: Workspace
    shop: str
    server: str | None = None

    @property
    def registry(self) -> Registry:
        """The shop's registered versions."""
        return Registry(self.client, self.workspace, self.shop)

    def experiment(self, task: str) -> str:
        """The id of the shop's experiment for a task, made at the first call."""
        name = f"{self.shop}/{task}"
        found = self.client.get_experiment_by_name(name)
        if found is None:
            with self.workspace.lock("tracking"):
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    place = None
                    if self.server is None:
                        place = (self.workspace.artifacts / self.shop / task).as_uri()
                    return str(self.client.create_experiment(name, artifact_location=place))
        return str(found.experiment_id)

    def runs(self, task: str = "recommendations", where: str = "", most: int = 1_000) -> list[Run]:
        """Runs of a task, newest first."""
        pages = self.client.search_runs(
            [self.experiment(task)],
            where,
            max_results=most,
            order_by=["attributes.start_time DESC"],
        )
        return [_run(found) for found in pages]

    def find(self, key: str, task: str = "recommendations") -> Run | None:
        """The newest finished run that this key made."""
        where = f"tags.`{KEY}` = '{key}' and attributes.status = 'FINISHED'"
        return next(iter(self.runs(task, where, 1)), None)

    def get(self, run_id: str) -> Run:
        """A run by its id; raises TrackingError."""
        try:
            return _run(self.client.get_run(run_id))
        except MlflowException as error:
            raise TrackingError(f"no run {run_id} is tracked: {error.message}") from error

    @contextlib.contextmanager
    def run(
        self,
        name: str,
        *,
        task: str = "recommendations",
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        inputs: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> Iterator[str]:
        """A new run: FINISHED when the block ends, FAILED when it raises, RUNNING if it is killed.

        inputs: table name -> snapshot id, logged as MLflow's dataset inputs.
        """
        labels = {**tags, PROCESS: process(), **({"mlflow.parentRunId": parent} if parent else {})}
        made = self.client.create_run(self.experiment(task), tags=labels, run_name=name)
        run_id = str(made.info.run_id)
        try:
            self.log(run_id, params=params)
            sets = [_dataset(table, id) for table, id in (inputs or {}).items()]
            if sets:
                self.client.log_inputs(run_id, sets)
            yield run_id
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def close(self, run_id: str, status: str) -> None:
        """End a run that nobody else will end."""
        self.client.set_terminated(run_id, status)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        at: int = 0,
    ) -> None:
        """Add to a run, all metrics in one call. at: milliseconds; a repeat replaces its like."""
        measured = [Metric(name, float(value), at, 0) for name, value in (metrics or {}).items()]
        named = [Param(name, _text(value)) for name, value in (params or {}).items()]
        labels = [RunTag(name, value[:5_000]) for name, value in (tags or {}).items()]
        for start in range(0, max(len(measured), 1), 1_000):
            self.client.log_batch(
                run_id,
                metrics=measured[start : start + 1_000],
                params=named if start == 0 else [],
                tags=labels if start == 0 else [],
            )

    def add(self, run_id: str, path: Path, folder: str = "") -> None:
        """Add a file, or a folder's files, to a folder of a run's artifacts."""
        here = _local(self.get(run_id))
        if here is None:
            add = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            add(run_id, str(path), folder or None)
        elif path.is_dir():
            shutil.copytree(path, here / folder, dirs_exist_ok=True)
        else:
            (here / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, here / folder / path.name)

    def fetch(self, run: Run, place: str) -> Path:
        """An artifact as a local path: itself where it is local, else a fresh copy of it."""
        here = _local(run)
        if here is None:
            here = self.workspace.root / "fetched" / run.id
            path = here / place
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                got = Path(self.client.download_artifacts(run.id, place, str(path.parent)))
            except MlflowException as error:
                raise TrackingError(f"cannot fetch {place} of run {run.id}: {error}") from error
            if got != path:
                got.replace(path)
        if not (here / place).exists():
            raise TrackingError(f"run {run.id} ({run.name}) has no artifact {place}")
        return here / place


def connect(workspace: Workspace, shop: str, *, uri: str | None = None) -> Tracking:
    """The shop's tracking: a server by its URL, else SQLite in the workspace, made once."""
    if uri is not None:
        return Tracking(MlflowClient(uri, uri), workspace, shop, uri)
    prepare(workspace)
    address = f"sqlite:///{workspace.database}"
    return Tracking(MlflowClient(address, address), workspace, shop)


def prepare(workspace: Workspace) -> None:
    """Make the tracking database once: beside, under a lock, then renamed, so never half of it."""
    if workspace.database.exists():
        return
    with workspace.lock("tracking"):
        if workspace.database.exists():
            return
        folder = workspace.root / f".mlflow.{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            address = f"sqlite:///{folder / 'mlflow.db'}"
            client = MlflowClient(address, address)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
            _close(client)
            (folder / "mlflow.db").replace(workspace.database)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def process() -> str:
    """Name the present process, so that it can be told later whether it lives: host, pid, start."""
    return f"{os.uname().nodename}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def alive(text: str) -> bool | None:
    """Whether the process of a `regulars.process` tag lives; None for another host's."""
    host, pid, start = text.rsplit(":", 2)
    if host != os.uname().nodename:
        return None
    try:
        return bool(abs(psutil.Process(int(pid)).create_time() - float(start)) < 2)
    except psutil.NoSuchProcess:
        return False


def _close(client: Any) -> None:
    """Let go of the SQLite file before it is renamed."""
    for store in (client._tracking_client.store, client._get_registry_client().store):
        store._dispose_engine() if hasattr(store, "_dispose_engine") else store.engine.dispose()


def _local(run: Run) -> Path | None:
    """Where a run's artifacts are on this machine; None where a server holds them."""
    if not run.artifact_uri.startswith("file://"):
        return None
    return Path(unquote(run.artifact_uri.removeprefix("file://")))


def _dataset(table: str, id: str) -> Any:
    source = canonical({"table": table, "snapshot": id})
    dataset = Dataset(name=table, digest=id, source_type="regulars", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def _run(found: Any) -> Run:
    return Run(
        id=found.info.run_id,
        name=found.info.run_name,
        status=found.info.status,
        started=found.info.start_time,
        params=dict(found.data.params),
        tags=dict(found.data.tags),
        metrics=dict(found.data.metrics),
        artifact_uri=found.info.artifact_uri,
    )
