"""Activation: the newest published campaign in, one customer's line or the list to contact out.

The list holds only those to contact: who is held out at random is found by her own id alone, so
that a tool that sends to the whole list cannot spoil the measurement.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qs

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.artifact import pointed
from features.columns import column, numbers
from features.schemas import STAGES
from serving.parameters import checked_id
from serving.place import Place
from serving.problems import MEDIA_TYPE, Refused, shown

MOST, USUAL = 1_000, 100
FURTHEST = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Activation(msgspec.Struct, frozen=True):
    """What a campaign says of a customer.

    `arm`: contact, or holdout, who must not be contacted; null: left out, `left_out` says why.
    `expected_value_without`, `expected_value_with`: what she spends within the campaign's horizon
    left alone, and contacted.
    """

    campaign: str
    customer_id: str
    arm: str | None
    rank: Annotated[int, msgspec.Meta(ge=1)] | None
    stage: str | None
    reason_code: str | None
    reason: str | None
    left_out: str | None
    left_out_reason: str | None
    products: list[str]
    best_channel: str | None
    valid_until: datetime
    expected_value_without: float
    expected_value_with: float
    uplift: float | None
    probability_alive: float | None


class Activations(msgspec.Struct, frozen=True):
    """Customers to contact, best first; `next`: ask again `after` it, null at the end."""

    campaign: str
    contacts: int
    items: list[Activation]
    next: int | None


class Desk(Protocol):
    """What activation needs of a shop's desk."""

    @property
    def place(self) -> Place:
        """Where the shop's tables are."""


async def one(desk: Desk, caller: object, scope: Any, body: bytes) -> bytes:
    """GET /v1/activations/{customer_id}; raises Refused (404) for who never ordered."""
    del caller, body
    id = checked_id("customer_id", scope["path_params"]["customer_id"])
    campaign = await _newest(desk)
    row = campaign.row(id)
    if row < 0:
        detail = f"the campaign of {campaign.day} knows no customer {shown(id)}"
        raise Refused(404, detail, "customer_id")
    return encode(_told(campaign.every.slice(row, 1))[0])


async def many(desk: Desk, caller: object, scope: Any, body: bytes) -> bytes:
    """GET /v1/activations."""
    del caller, body
    stage, limit, after = _asked(scope["query_string"])
    campaign = await _newest(desk)
    rows, ranks = campaign.contacts, campaign.ranks
    if stage is not None:
        rows, ranks = rows[mine := campaign.stages == STAGES.index(stage)], ranks[mine]
    start = int(np.searchsorted(ranks, after, side="right"))
    items = _told(campaign.every.take(column(rows[start : start + limit])))
    following = items[-1].rank if len(rows) > start + limit else None
    return encode(Activations(campaign.day, len(rows), items, following))


class Campaign(msgspec.Struct, frozen=True):
    """A campaign's table by ascending customer; the rows to contact by rank, with their stages."""

    day: str
    every: pa.Table
    contacts: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.int64]
    stages: npt.NDArray[np.int64]

    def row(self, id: str) -> int:
        """Where a customer stands, -1 nowhere."""
        ids = self.every["customer_id"].chunk(0) if self.every.num_rows else ()
        low, high = 0, len(ids)
        while low < high:  # the order of code points is that of UTF-8 bytes
            middle = (low + high) // 2
            if ids[middle].as_py() < id:
                low = middle + 1
            else:
                high = middle
        return low if low < len(ids) and ids[low].as_py() == id else -1


async def _newest(desk: Desk) -> Campaign:
    """The campaign that was published last; opened once, away from other requests."""
    folder = desk.place.home / "tables" / "activation"
    id = pointed(folder / "current")
    if id is None:
        raise Refused(404, "no campaign was made yet: `regulars activate` makes one")
    try:
        return await asyncio.to_thread(_open, folder, id)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise Refused(503, f"the campaign cannot be read: {error}") from error


@lru_cache(maxsize=4)  # shops whose campaigns are asked for; one of a million customers is 300 MB
def _open(folder: Path, id: str) -> Campaign:
    import pyarrow.parquet as pq

    manifest = json.loads((folder / "snapshots" / f"{id}.json").read_text("utf-8"))
    paths = [folder / "parts" / f"{part['name']}.parquet" for part in manifest["parts"]]
    columns = list(Activation.__struct_fields__)
    every = pa.concat_tables(
        [pq.ParquetFile(path).read(columns, use_threads=False) for path in paths]
    )
    every = every.sort_by("customer_id").combine_chunks()
    contacts = np.flatnonzero(_codes(every["arm"], ("contact",)) == 0)
    ranks = numbers(_plain(every["rank"]), null=0).astype(np.int64)[contacts]
    order = np.argsort(ranks)
    contacts = contacts[order]
    stages = _codes(every["stage"], STAGES)[contacts]
    return Campaign(manifest["about"]["campaign"], every, contacts, ranks[order], stages)


def _codes(words: pa.ChunkedArray, known: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The place of each word in `known`, -1 for another and for null."""
    coded = _plain(words).dictionary_encode()
    here = coded.dictionary.to_pylist()
    places = np.array([known.index(one) if one in known else -1 for one in (*here, None)], np.int64)
    found: npt.NDArray[np.int64] = places[numbers(coded.indices, null=len(here))]
    return found


def _plain(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _told(rows: pa.Table) -> list[Activation]:
    """Rows as answers; times by hand, since Arrow would import pandas for them."""
    micros = rows["valid_until"].cast(pa.int64()).to_pylist()
    rows = rows.drop_columns(["valid_until"])
    return [
        Activation(**row, valid_until=EPOCH + timedelta(microseconds=at))
        for row, at in zip(rows.to_pylist(), micros, strict=True)
    ]


def _asked(query: bytes) -> tuple[str | None, int, int]:
    """Stage, limit and after; raises Refused (400) that names the parameter."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    for name, values in given.items():
        if name not in ("stage", "limit", "after"):
            raise Refused(400, f"there is no parameter {shown(name)} here", name[:40])
        if len(values) > 1:
            raise Refused(400, f"{name} must stand once, got it {len(values)} times", name)
    stage = given.get("stage", [None])[0]
    if stage is not None and stage not in STAGES:
        raise Refused(400, f"stage must be one of {', '.join(STAGES)}, got {shown(stage)}", "stage")
    limit = _whole("limit", given.get("limit", [str(USUAL)])[0], 1, MOST)
    return stage, limit, _whole("after", given.get("after", ["0"])[0], 0, FURTHEST)


def _whole(name: str, text: str, low: int, high: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
    if not low <= value <= high:
        want = f"must be a whole number from {low} to {high}"
        raise Refused(400, f"{name} {want}, got {shown(text)}", name)
    return value


TYPES = (Activation, Activations)
encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def paths() -> dict[str, Any]:
    """What the OpenAPI document says of it; its schemas are those of TYPES."""
    id = {"type": "string", "minLength": 1, "maxLength": 256}
    number = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}
    after = {"type": "integer", "minimum": 0, "maximum": FURTHEST, "default": 0}
    return {
        "/v1/activations": {
            "get": {
                "operationId": "activations",
                "summary": "Customers to contact",
                "description": "Of the newest campaign, best first, without those held out.",
                "tags": ["activation"],
                "parameters": [
                    _query("stage", {"type": "string", "enum": list(STAGES)}, "only this stage"),
                    _query("limit", number, "how many"),
                    _query("after", after, "the `next` of the answer before"),
                ],
                "responses": _answers("Activations", 400, 404, 503),
            }
        },
        "/v1/activations/{customer_id}": {
            "get": {
                "operationId": "activation",
                "summary": "What the newest campaign says of one customer",
                "tags": ["activation"],
                "parameters": [
                    {"name": "customer_id", "in": "path", "required": True, "schema": id}
                ],
                "responses": _answers("Activation", 400, 404, 503),
            }
        },
    }


def _query(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": about}


def _answers(schema: str, *statuses: int) -> dict[str, Any]:
    said = {
        400: "a parameter cannot be meant; `parameter` names it",
        404: "no campaign was made yet, or it does not know the customer",
        503: "the campaign cannot be read now",
    }
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    made = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "200": {"description": "yes", "content": made},
        **{str(s): {"description": said[s], "content": problem} for s in statuses},
    }
