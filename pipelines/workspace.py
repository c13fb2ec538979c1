"""Workspaces: one folder a shop in, the paths, locks and environment of its tools out.

WorkspaceError
├── Busy         another process works in it
└── OtherShop    it belongs to another shop
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features.tables import Tables


class WorkspaceError(RuntimeError):
    """A workspace that cannot be used for what was asked."""


class Busy(WorkspaceError):
    """Another process works in it."""


class OtherShop(WorkspaceError):
    """It belongs to another shop."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything Regulars writes for one shop lies below `root`, which is absolute."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser().resolve())

    @property
    def tables(self) -> Tables:
        """The snapshots."""
        return Tables(self.root / "tables")

    @property
    def bundles(self) -> Path:
        """Published bundles, the pointer `current` and the log."""
        return self.root / "bundles"

    @property
    def database(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlartifacts"

    @property
    def prefect(self) -> Path:
        """Prefect's home."""
        return self.root / "prefect"

    @property
    def shop_file(self) -> Path:
        """The shop's configuration, when it has its own."""
        return self.root / "shop.toml"

    @property
    def found_file(self) -> Path:
        """Hyperparameters that `train --search N --keep` found."""
        return self.root / "found.toml"

    @contextlib.contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        """Hold a lock file; raises Busy at once with `wait=False`. The lock dies with its process.

        `work` is held shared by every step and alone by `doctor --fix`; `tracking` alone while
        the database is made; `publish` alone while pointer, alias and log move.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f".{name}.lock").open("a") as file:
            how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"another process works in {self.root}: try again when it ends"
                ) from error
            yield

    def environment(self) -> dict[str, str]:
        """What Prefect and MLflow must find in the environment before they are imported."""
        return {
            "DO_NOT_TRACK": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "OPENBLAS_NUM_THREADS": "1",
            "PREFECT_HOME": str(self.prefect),
            "PREFECT_LOGGING_EXTRA_LOGGERS": "regulars",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        }

    def enter(self) -> None:
        """Set that environment where the user has not, in this process and its children.

        For the process of a command only: a library must not change its caller's environment.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for name, value in self.environment().items():
            if name == "PREFECT_HOME":
                os.environ[name] = value
            else:
                os.environ.setdefault(name, value)
