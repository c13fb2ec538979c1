import asyncio
from pathlib import Path

import pyarrow.parquet as pq

from pipelines import ingest
from pipelines.settings import Shop
from pipelines.workspace import Workspace
from serving.state import Embedded, Event

OWN = "event_id,event_time,event_type,channel,customer_id,product_id,quantity,unit_price\n" + (
    "e1,2026-03-01T10:00:00Z,purchase,store,anna,p1,1,9.5\n"
    "e2,2026-03-01T11:00:00Z,view_item,web,anna,p2,,\n"
)
NOW = 1_772_400_000.0  # 2026-03-01T21:20:00Z


def collect(workspace: Workspace, *events: Event) -> None:
    """Let a server take events in and write them where the pipeline finds them."""

    async def run() -> None:
        store = Embedded(workspace.root / "state")
        await store.start()
        await store.add(events, now=NOW)
        await store.export(workspace.root / "collected", now=NOW)
        await store.close()

    asyncio.run(run())


def shop(folder: Path) -> Shop:
    """A shop whose files are in a folder."""
    columns = OWN.split("\n")[0].split(",")
    mapping = {"columns": {name: name for name in columns}}
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own" / "events.csv").write_text(OWN)
    said = {"input": str(folder / "own"), "mapping": mapping}
    return Shop.model_validate({"shop": {"name": "here"}, "ingest": said})


def event(id: str, kind: str = "view_item", **more: object) -> Event:
    return Event(event_id=id, event_type=kind, **{"customer_id": "bert", "product_id": "p3"} | more)


def test_what_the_server_collected_is_among_the_events_once(tmp_path):
    workspace, here = Workspace(tmp_path / "workspace"), shop(tmp_path)
    assert "collected" not in ingest.run(workspace, here)["tables"]
    collect(workspace, event("e9", "purchase", quantity=1.0, unit_price=0.0), event("e2"))
    done = ingest.run(workspace, here)
    assert done["changed"]
    assert done["tables"]["collected"]["rows"] == {
        "input": 2,
        "events": 1,
        "quarantined": 0,
        "duplicates": 1,
    }
    events = workspace.tables.need("events")
    assert events.id == done["snapshot"] == done["tables"]["collected"]["snapshot"]
    rows = {row["event_id"]: row for row in events.read().to_pylist()}
    assert set(rows) == {"e1", "e2", "e9"}
    assert rows["e2"]["customer_id"] == "anna"
    assert rows["e9"]["event_time"].timestamp() == NOW
    assert rows["e9"]["channel"] == "web"
    (file,) = (workspace.root / "collected").iterdir()
    assert rows["e9"]["source"] == f"collected/{file.name}"


def test_taking_in_again_changes_nothing_until_more_was_collected(tmp_path):
    workspace, here = Workspace(tmp_path / "workspace"), shop(tmp_path)
    collect(workspace, event("e8"))
    first = ingest.run(workspace, here)
    again = ingest.run(workspace, here)
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["snapshot"] == first["snapshot"]
    collect(workspace, event("e8"), event("e9"))
    more = ingest.run(workspace, here)
    assert more["changed"]
    assert more["tables"]["collected"]["rows"]["events"] == 2
    files = sorted((workspace.root / "collected").iterdir())
    assert [pq.read_metadata(file).num_rows for file in files] == [1, 1]
