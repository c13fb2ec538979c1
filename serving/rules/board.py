"""The board: the change log's rules in, what they want of a surface on a shelf now out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from types import MappingProxyType

from serving.problems import Refused
from serving.rules.compiled import NONE, Compiled, Touched, compiled, touched
from serving.rules.contradictions import RuleWarning, warnings
from serving.rules.rule import MOST_RULES, MOST_SHARES, Rule, read, written
from serving.shelf import Shelf
from serving.state.store import Change, Store, StoreError

log = logging.getLogger("regulars")

TOPIC = "rules"
POLL = 0.25  # seconds after which another server's change is seen
KEPT = 64  # surfaces on a shelf whose compiled rules are kept
SHELVES = 3  # whose touched products are kept: the one in use, one on trial, the one before


class Board:
    """The shop's rules in memory, as the change log has them.

    version: of the log, as far as it was read. broken: rules of the log that this server cannot
    read, and why; they are skipped. reason: why the log cannot be read now; None where it can.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.version = 0
        self.broken: dict[str, str] = {}
        self.reason: str | None = None
        self._rules: dict[str, Rule] = {}
        self._named: frozenset[str] = frozenset()
        self._compiled: dict[tuple[str, str], tuple[int, Compiled]] = {}
        self._touched: dict[str, dict[Rule, Touched]] = {}

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by id."""
        return MappingProxyType(self._rules)

    @property
    def troubles(self) -> int:
        """How many rules are skipped: they cannot be read, or not on the last shelf."""
        last = next(reversed(self._touched.values()), {})
        skipped = (rule in last and last[rule].skipped is not None for rule in self._rules.values())
        return len(self.broken) + sum(skipped)

    def compiled(self, shelf: Shelf, surface: str, now: float) -> Compiled:
        """What the rules want there now; the same object until that changes. Never raises."""
        if not self._rules:
            return NONE
        key = shelf.bundle.id, surface if surface in self._named else ""
        kept = self._compiled.get(key)
        if kept is not None and kept[0] == self.version and kept[1].since <= now < kept[1].until:
            return kept[1]
        rules = self._rules
        made = compiled(rules, self.found(shelf), key[1], now, products=len(shelf.product_ids))
        self._compiled[key] = self.version, made
        while len(self._compiled) > KEPT:
            del self._compiled[next(iter(self._compiled))]
        return made

    def found(self, shelf: Shelf) -> dict[str, Touched]:
        """What each rule touches on a shelf; meant to be asked for a new one before it is used."""
        rules, id = self._rules, shelf.bundle.id
        known = self._touched.pop(id, {})
        now = {rule: known.get(rule) or touched(shelf, rule) for rule in rules.values()}
        self._touched[id] = now  # the last one
        while len(self._touched) > SHELVES:
            gone = next(iter(self._touched))
            self._touched.pop(gone)
            self._compiled = {k: kept for k, kept in self._compiled.items() if k[0] != gone}
        return {id: now[rule] for id, rule in rules.items()}

    def warnings(self, shelf: Shelf | None, *, now: float) -> dict[str, list[RuleWarning]]:
        """What is to be said of each rule."""
        return warnings(self._rules, self.found(shelf) if shelf else {}, now=now)

    def drafted(self, changes: Mapping[str, Rule | None]) -> Board:
        """A board of its own as this one would be after changes; nothing is stored."""
        board = Board(self.store)
        board.version, board.broken = self.version, dict(self.broken)
        board._touched = dict(self._touched)
        board._take({**self._rules, **changes})
        return board

    async def put(self, id: str, rule: Rule, *, by: str, now: float) -> int:
        """Set a rule; durable and in use when this returns the log's version. Raises Refused."""
        self.refuse({id: rule})
        return await self._change(id, written(rule), by, now)

    async def remove(self, id: str, *, by: str, now: float) -> int:
        """Remove a rule, as durably."""
        return await self._change(id, None, by, now)

    def refuse(self, changes: Mapping[str, Rule | None]) -> None:
        """Raise Refused (422) where there would be more rules than a shop may have."""
        after = {**self._rules, **changes}.values()
        if sum(rule is not None for rule in after) > max(MOST_RULES, len(self._rules)):
            raise Refused(422, f"a shop may have {MOST_RULES} rules; remove one first")
        shares = sum(rule is not None and rule.kind == "share" for rule in after)
        if shares > MOST_SHARES:
            raise Refused(422, f"a shop may have {MOST_SHARES} shares, got {shares}", "kind")

    async def start(self) -> None:
        """Read the log; never raises, see `reason`."""
        with contextlib.suppress(StoreError):
            await self.catch_up()

    async def follow(self) -> None:
        """Read what other servers change, again and again, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            with contextlib.suppress(StoreError):
                await self.catch_up()

    async def catch_up(self) -> None:
        """Take what the log has and this board has not. Raises StoreError."""
        try:
            changes = await self.store.changes(TOPIC, self.version)
        except StoreError as error:
            if self.reason is None:
                log.error("the rules' changes cannot be read: %s", error)
            self.reason = f"the rules' changes cannot be read: {error}"
            raise
        self.reason = None
        new = [change for change in changes if change.version > self.version]
        if new:
            self._apply(new)

    async def _change(self, id: str, value: bytes | None, by: str, now: float) -> int:
        try:
            version = await self.store.change(TOPIC, [(id, value)], by=by, now=now)
        except StoreError as error:
            raise Refused(503, f"the rule was not stored: {error}") from None
        with contextlib.suppress(StoreError):  # it is stored; `follow` will read it
            await self.catch_up()
        return version

    def _apply(self, changes: list[Change]) -> None:
        after: dict[str, Rule | None] = dict(self._rules)
        for change in changes:
            after[change.key] = None
            self.broken.pop(change.key, None)
            if change.value is not None:
                try:
                    after[change.key] = read(change.value)
                except ValueError as error:
                    self.broken[change.key] = str(error)
                    log.error("rule %r is skipped: %s", change.key, error)
        self._take(after)
        self.version = changes[-1].version

    def _take(self, rules: Mapping[str, Rule | None]) -> None:
        self._rules = {id: rule for id, rule in sorted(rules.items()) if rule is not None}
        self._named = frozenset(name for rule in self._rules.values() for name in rule.surfaces)
