"""Routes: requests about rules in, their JSON answers out."""

from __future__ import annotations

import contextlib
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Scope

from serving.problems import Refused, shown
from serving.questions import decoded
from serving.rules.board import TOPIC, Board
from serving.rules.contradictions import RuleWarning
from serving.rules.rule import Rule, checked, checked_id
from serving.shelf import Shelf
from serving.state.store import StoreError

if TYPE_CHECKING:
    from serving.desk import Desk
    from serving.guard import Caller

MOST_ENTRIES = 1000  # of the log in one answer

encode = msgspec.json.Encoder().encode


class ListedRule(msgspec.Struct, frozen=True):
    """A rule, how many of the shop's products it is about, and what is to be said of it.

    active: whether it holds now, on some surface. touches: null where no bundle is loaded.
    """

    id: str
    rule: Rule
    active: bool
    touches: int | None
    warnings: list[RuleWarning]


class SkippedRule(msgspec.Struct, frozen=True):
    """A stored rule that this server cannot read; it counts for nothing."""

    id: str
    reason: str


class RuleSet(msgspec.Struct, frozen=True):
    """All rules, in the order in which they count; version: of the log."""

    version: int
    rules: list[ListedRule]
    skipped: list[SkippedRule]


class StoredRule(msgspec.Struct, frozen=True):
    """A rule as it is stored now; null where it was removed."""

    version: int
    rule: ListedRule | None


class RuleChange(msgspec.Struct, frozen=True):
    """One change: by which key, when, and the rule before and after it; null where none was."""

    version: int
    rule_id: str
    by: str
    at: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class RuleLog(msgspec.Struct, frozen=True):
    """Changes after a version, oldest first; `more` where this is not all of them."""

    changes: list[RuleChange]
    more: bool


async def rules(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """GET /v1/rules."""
    board = desk.board
    listed = list(described(board, desk.watch.shelf, now=time.time()).values())
    skipped = [SkippedRule(id, reason) for id, reason in sorted(board.broken.items())]
    return encode(RuleSet(board.version, listed, skipped))


async def put(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """PUT /v1/rules/{rule_id}."""
    id = checked_id(scope["path_params"]["rule_id"])
    rule, now = checked(decoded(_RULE, body)), time.time()
    version = await desk.board.put(id, rule, by=caller.key_id, now=now)
    stored = described(desk.board, desk.watch.shelf, now=now).get(id)
    return encode(StoredRule(version, stored))


async def remove(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """DELETE /v1/rules/{rule_id}."""
    id = checked_id(scope["path_params"]["rule_id"])
    if id not in desk.board.rules and id not in desk.board.broken:
        raise Refused(404, f"there is no rule {shown(id)}", "rule_id")
    version = await desk.board.remove(id, by=caller.key_id, now=time.time())
    return encode(StoredRule(version, None))


async def changes(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """GET /v1/rules/log."""
    after = _after(scope["query_string"])
    try:
        every = await desk.store.changes(TOPIC, 0)
    except StoreError as error:
        raise Refused(503, f"the log cannot be read: {error}") from None
    current: dict[str, Any] = {}
    entries: list[RuleChange] = []
    for change in every:
        before = current.get(change.key)
        value = None if change.value is None else _json(change.value)
        current[change.key] = value
        if change.version > after and len(entries) <= MOST_ENTRIES:
            at = datetime.fromtimestamp(change.at, UTC).isoformat()
            entries.append(RuleChange(change.version, change.key, change.by, at, before, value))
    return encode(RuleLog(entries[:MOST_ENTRIES], len(entries) > MOST_ENTRIES))


def described(board: Board, shelf: Shelf | None, *, now: float) -> dict[str, ListedRule]:
    """Every rule of a board with what it touches and what is to be said of it."""
    found = {} if shelf is None else board.found(shelf)
    warned = board.warnings(shelf, now=now)
    return {
        id: ListedRule(
            id,
            rule,
            rule.since <= now < rule.until,
            found[id].products if id in found else None,
            warned[id],
        )
        for id, rule in board.rules.items()
    }


_RULE = msgspec.json.Decoder(Rule)


def _json(value: bytes) -> dict[str, Any]:
    """A logged rule, also one of which only the text is left."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(value, type=dict[str, Any])
    return {"unreadable": value.decode("utf-8", "replace")}


def _after(query: bytes) -> int:
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    for name, value in given:
        if name != "after":
            raise Refused(400, f"no parameter {shown(name)}; there is after", name[:80])
        if not re.fullmatch("[0-9]{1,15}", value):
            want = "a whole number, 0 or more"
            raise Refused(400, f"after must be {want}, got {shown(value)}", "after")
    return int(given[-1][1]) if given else 0
