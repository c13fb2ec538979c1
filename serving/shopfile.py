"""Shop files: the shop's TOML in, its surfaces and live tests out, read again when it changes."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path

from models import surfaces
from models.surfaces import Surface
from serving.trials import plans
from serving.trials.plans import Plans

log = logging.getLogger("regulars")


class ShopFile:
    """What the shop declares for serving. A file that cannot be meant changes nothing.

    reason: why the newest file is not in use; None where it is, and where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.surfaces: Mapping[str, Surface] = surfaces.READY
        self.plans: Plans = plans.read({})
        self.version = 0
        self.reason: str | None = None
        self._changed: tuple[int, int] | None = None
        self._seen: tuple[int, int] | None = None

    def look(self) -> None:
        """Read the file where it changed; never raises."""
        try:
            found = self.path.stat()
            changed = found.st_mtime_ns, found.st_size
        except FileNotFoundError:
            return
        except OSError as error:
            self.reason = f"{self.path} cannot be read: {error}"
            return
        written, self._seen = changed != self._seen, changed
        if changed == self._changed or (written and self._changed is not None):
            return  # a file that changed is read when it has stayed as it is from look to look
        self._changed = changed
        try:
            given = tomllib.loads(self.path.read_text("utf-8"))
            places = surfaces.read(_section(given, "surfaces"))
            declared = plans.read(given)
        except (OSError, ValueError) as error:
            self.reason = f"{self.path} was not taken: {error}"
            log.error("%s", self.reason)
            return
        self.surfaces, self.plans, self.reason = places, declared, None
        self.version += 1


def _section(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = given.get(name, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a section, got {value!r}")
    return value
