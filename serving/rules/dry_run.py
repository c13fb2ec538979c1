"""Dry runs: changed rules in, the lists before and after out; nothing is stored or logged."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta
from starlette.types import Scope

from serving.answers import N, Surface, Text
from serving.problems import Refused
from serving.questions import Question, decoded
from serving.rules.board import Board
from serving.rules.routes import ListedRule, described, encode
from serving.rules.rule import MOST_RULES, Id, Rule, checked, checked_id

if TYPE_CHECKING:
    from serving.asked import Asked
    from serving.desk import Desk
    from serving.guard import Caller

MOST_TRIED = 10


class TryRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of rules to be tried: by id the rule as it would be, or null to remove it.

    customers: whose lists are wanted; none is one list for a visitor of whom nothing is known.
    """

    rules: Annotated[dict[Id, Rule | None], Meta(min_length=1, max_length=MOST_RULES)]
    surface: Surface = "home"
    customers: Annotated[tuple[Text, ...], Meta(max_length=MOST_TRIED)] = ()
    n: N = 10


class TriedList(msgspec.Struct, frozen=True):
    """Product ids, best first, as the rules are and as they would be."""

    customer_id: str | None
    before: list[str]
    after: list[str]


class TriedRules(msgspec.Struct, frozen=True):
    """What would come of it. rules: all that there would be."""

    lists: list[TriedList]
    rules: list[ListedRule]


async def dry_run(desk: Desk, caller: Caller, scope: Scope, body: bytes) -> bytes:
    """POST /v1/rules:dry-run."""
    asked: TryRules = decoded(_TRY, body)
    shelf, now = desk.watch.take(), time.time()
    for id, rule in asked.rules.items():
        checked_id(id)
        if rule is not None:
            try:
                checked(rule)
            except Refused as error:
                raise Refused(error.status, f"rules.{id}: {error.detail}", "rules") from None
    desk.board.refuse(asked.rules)
    board = desk.board.drafted(asked.rules)
    question = Question(n=asked.n, surface=asked.surface)
    ready: list[tuple[str | None, Asked, Asked]] = [
        (id, *_both(desk, board, desk.ask(id, question, await desk.person(id), at=now)))
        for id in asked.customers
    ]
    if not ready:
        ready.append((None, *_both(desk, board, desk.ask_session((), question, at=now))))
    lists = await asyncio.to_thread(_lists, desk, ready)
    return encode(TriedRules(lists, list(described(board, shelf, now=now).values())))


def _both(desk: Desk, board: Board, asked: Asked) -> tuple[Asked, Asked]:
    """A question under the rules as they are, and as they would be; nothing left to chance."""
    from serving.terms import Counter

    surface = replace(asked.surface, explore=0.0)
    terms = Counter(desk.stock, board).terms(
        asked.visit.shelf, asked.question, surface, at=asked.visit.at
    )
    return asked._replace(surface=surface), asked._replace(surface=surface, terms=terms)


def _lists(desk: Desk, ready: list[tuple[str | None, Asked, Asked]]) -> list[TriedList]:
    return [
        TriedList(
            id,
            [item.product_id for item in desk.ranked(before).items],
            [item.product_id for item in desk.ranked(after).items],
        )
        for id, before, after in ready
    ]


_TRY = msgspec.json.Decoder(TryRules)
