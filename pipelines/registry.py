"""The registry: fitted runs in, numbered versions with aliases out; RegistryError where it cannot.

A version points at a run's artifact. Nothing in it is code, nothing is unpickled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException

from pipelines.workspace import Workspace


class RegistryError(RuntimeError):
    """No such version, or a registry that does not answer."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version: a run's fitted model that may serve."""

    number: str
    run_id: str | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Registry:
    """The versions of one shop, registered under the shop's name."""

    client: Any
    workspace: Workspace
    name: str

    def version_of(self, run_id: str) -> Version | None:
        """The registered version of a run."""
        found = self.client.search_model_versions(f"run_id = '{run_id}'")
        return next((_version(one) for one in found if one.name == self.name), None)

    def register(self, run_id: str, artifact: str, tags: Mapping[str, str]) -> Version:
        """A new version that points at a run's artifact; nothing is unpickled or imported."""
        with contextlib.suppress(MlflowException), self.workspace.lock("tracking"):
            self.client.create_registered_model(self.name)
        made = self.client.create_model_version(
            self.name, f"runs:/{run_id}/{artifact}", run_id, tags=dict(tags)
        )
        return _version(made)

    def version(self, number: str) -> Version:
        """A registered version by its number; raises RegistryError."""
        try:
            return _version(self.client.get_model_version(self.name, number))
        except MlflowException as error:
            raise RegistryError(f"{self.name} has no version {number}") from error

    def versions(self) -> list[Version]:
        """All registered versions, newest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return sorted(map(_version, found), key=lambda version: -int(version.number))

    def alias(self, name: str) -> Version | None:
        """The version that an alias names; None where it names none."""
        try:
            return _version(self.client.get_model_version_by_alias(self.name, name))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise RegistryError(f"cannot ask for the {name}: {error.message}") from error

    def name_version(self, version: Version, alias: str) -> None:
        """Give a version an alias; the one that had it loses it."""
        self.client.set_registered_model_alias(self.name, alias, version.number)

    def forget_name(self, alias: str) -> None:
        """Take an alias away."""
        self.client.delete_registered_model_alias(self.name, alias)

    def tag_version(self, version: Version, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""
        for name, value in tags.items():
            self.client.set_model_version_tag(self.name, version.number, name, value)


def _version(found: Any) -> Version:
    return Version(str(found.version), found.run_id or None, dict(found.tags))
