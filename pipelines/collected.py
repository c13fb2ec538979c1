"""Collected events: the files that the server wrote in, the shop's events with them out."""

from __future__ import annotations

from features.schemas import EVENTS
from features.sources import Ingested, Mapping, ingest
from features.sources.mapping import Limits
from pipelines.progress import step
from pipelines.workspace import Workspace

MAPPING = Mapping(
    name="collected",
    source_folders=1,  # so that no file of the shop's has its name
    columns={name: name for name in EVENTS.names if name not in ("source", "source_row")},
    limits=Limits(zero_price=True),  # the server took it
)


def take(workspace: Workspace) -> Ingested | None:
    """Take in what the server collected since; None where it never did.

    An event that stands in the shop's own files too, by its event_id, counts once.
    """
    folder = workspace.root / "collected"
    if not any(folder.glob("*.parquet")):
        return None
    with step("ingest collected"):
        return ingest(workspace.tables, str(folder), MAPPING)
