"""Ailments: what can be wrong with a workspace, found with its mending in, told out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is wrong: a code, what it is, what helps, and whether it was mended.

    code: tracking_database, moved_workspace, orphan_part, damaged_table, leftover, stopped_run,
    bundle_pointer, champion_alias, publication_log or version.
    """

    code: str
    what: str
    remedy: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An ailment before mending."""

    code: str
    what: str
    remedy: str
    mend: Callable[[], object] | None = None
