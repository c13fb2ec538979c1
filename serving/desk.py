"""Desks: one shop's parts and a question in, the whole answer out, logged and counted.

A desk takes the shelf, the surface and the terms once a request, numbers the answer, and says to
the exposure log what was shown.
"""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from features.assignment import Assigned
from models.ranking.arrange import PLAIN
from models.surfaces import Surface
from serving.answers import Answer, ForCustomer, Note
from serving.asked import Asked
from serving.at_once import Ranked
from serving.interleaved import drafted
from serving.metrics import Metrics
from serving.moment import Moment
from serving.place import Place
from serving.problems import Refused, shown
from serving.questions import Question
from serving.ranker import rank
from serving.rules.board import Board
from serving.shelf import Shelf
from serving.shopfile import ShopFile
from serving.sources import Found
from serving.state.person import EMPTY, Person
from serving.state.store import Store
from serving.stock import Stock
from serving.terms import Counter
from serving.trials.exposures import Exposures
from serving.trials.plans import Plans, Serve, served
from serving.trials.shown import Shown
from serving.visit import codes_of, visit
from serving.watch import Watch

SIMILAR = Surface((("alike", 1.0),), bought="keep", fallback=())


@dataclass(slots=True)
class Desk:
    """The parts of one shop. `log` is None where nothing is to be logged (the operator's pages)."""

    place: Place
    watch: Watch
    shopfile: ShopFile
    store: Store
    stock: Stock
    board: Board
    log: Exposures | None
    metrics: Metrics
    rng: random.Random
    counter: Counter = field(init=False)
    shown: Shown = field(default_factory=Shown)
    plans: Plans = field(default_factory=Plans)
    moment: Moment = field(default_factory=Moment)
    prefix: str = field(default_factory=lambda: secrets.token_hex(5))
    _refreshed: object = None
    _next: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.counter = Counter(self.stock, self.board)

    def refresh(self) -> None:
        """Take in what the shop's file declares, as far as the arms' bundles are there."""
        self.counter.keep([*self.watch.others.values(), *filter(None, [self.watch.shelf])])
        state = self.shopfile.version, frozenset(self.watch.others)
        if state == self._refreshed:
            return
        self._refreshed = state
        declared = self.shopfile.plans
        missing = declared.bundles - state[1]
        self.plans = declared.without(missing) if missing else declared
        self.metrics.configured(self.shopfile.surfaces)

    def request_id(self) -> str:
        """A name for one answer, unique over processes and restarts."""
        return f"{self.prefix}-{next(self._next):x}"

    async def person(self, customer_id: str) -> Person:
        """What the customer did since, as the state knows it."""
        found = self.store.peek(customer_id)
        return await self.store.person(customer_id) if found is None else found

    def ask(
        self,
        customer_id: str,
        question: Question,
        person: Person,
        *,
        at: float,
        shelf: Shelf | None = None,
    ) -> Asked:
        """Everything that a customer's answer is made from.

        shelf: what an answer for many took: another bundle may come into use between two of them.
        """
        shelf = shelf or self.watch.take()
        surface, notes = self._surface(question.surface)
        row = shelf.row(customer_id)
        assigned = self.plans.assigned(customer_id, question.surface, at)
        if not assigned:
            return self._asked(customer_id, question, surface, shelf, row, person, at, notes)
        teams = next((one.teams for one in assigned if one.teams), None)
        serves = [served(assigned)] if teams is None else [serve for _, serve in teams]
        ready = []
        for serve in serves:
            own, where = self._served(serve, shelf, surface)
            hers = row if own is shelf else own.row(customer_id)
            ready.append(self._asked(customer_id, question, where, own, hers, person, at, notes))
        one = ready[0]._replace(assigned=assigned)
        return one if teams is None else one._replace(other=ready[1])

    def ask_session(self, products: Sequence[str], question: Question, *, at: float) -> Asked:
        """The same for a visit of which only the products are known."""
        shelf = self.watch.take()
        surface, notes = self._surface(question.surface)
        missing = [id for id in dict.fromkeys(products) if shelf.code(id) < 0]
        if missing:
            some = ", ".join(shown(id) for id in missing[:5]) + (" …" if len(missing) > 5 else "")
            notes = (*notes, Note("unknown_products", f"left out of the session: {some}"))
        codes = codes_of(shelf, products).tolist()
        her = visit(shelf, -1, EMPTY, at=at, product=question.product, cart=question.cart)
        her = replace(her, since=codes, types=["view_item"] * len(codes))
        terms = self.counter.terms(shelf, question, surface, at=at)
        return Asked(None, question, surface, her, terms, (), notes)

    def ask_similar(self, product_id: str, question: Question, *, at: float) -> Asked:
        """The same for products alike; raises Refused (404) for an unknown product."""
        shelf = self.watch.take()
        if shelf.code(product_id) < 0:
            detail = f"the model does not know the product {shown(product_id)}"
            raise Refused(404, detail, "product_id")
        her = visit(shelf, -1, EMPTY, at=at, product=product_id)
        terms = self.counter.terms(shelf, question, SIMILAR, at=at)
        if terms.pinned:  # what is pinned is not alike
            terms = replace(terms, by=PLAIN, pinned=False)
        return Asked(None, question, SIMILAR, her, terms)

    def ranked(self, asked: Asked, scored: Found | None = None) -> Ranked:
        """The products; of an interleaved test both arms' are ranked, and `finish` drafts."""
        visit, question, surface, terms = asked.visit, asked.question, asked.surface, asked.terms
        return rank(visit, question, surface, terms, rng=self.rng, scored=scored)

    def answer(self, asked: Asked, ranked: Ranked, *, seconds: float = 0.0) -> Answer:
        """The whole answer around what was ranked, logged and counted."""
        id = self.request_id()
        tests, ranked = self._finish(asked, ranked, id)
        self.metrics.surface(asked.question.surface, seconds)
        return Answer(
            id,
            asked.visit.shelf.model,
            asked.question.surface,
            tests,
            ranked.items,
            ranked.fallback,
            ranked.warnings,
        )

    def preview(self, asked: Asked) -> Answer:
        """An answer that nobody is shown, for the operator's pages: neither logged nor counted."""
        ranked = self.ranked(asked)
        return Answer(
            self.request_id(),
            asked.visit.shelf.model,
            asked.question.surface,
            tuple(Assigned(one.experiment, one.arm) for one in asked.assigned),
            ranked.items,
            ranked.fallback,
            [*asked.notes, *ranked.warnings],
        )

    def part(self, id: str, asked: Asked, ranked: Ranked) -> ForCustomer:
        """One customer's part of an answer for many, logged under `id` and her place in it."""
        tests, ranked = self._finish(asked, ranked, id)
        hers = asked.customer_id or ""
        return ForCustomer(hers, tests, ranked.items, ranked.fallback, ranked.warnings)

    def _asked(
        self,
        customer_id: str,
        question: Question,
        surface: Surface,
        shelf: Shelf,
        row: int,
        person: Person,
        at: float,
        notes: tuple[Note, ...],
    ) -> Asked:
        her = visit(shelf, row, person, at=at, product=question.product, cart=question.cart)
        terms = self.counter.terms(shelf, question, surface, at=at)
        if not her.known:
            detail = f"the model does not know {shown(customer_id)}"
            notes = (*notes, Note("unknown_customer", detail))
        if question.product is not None and her.shown < 0:
            detail = f"the model does not know the product {shown(question.product)}"
            notes = (*notes, Note("unknown_products", detail))
        elif question.product is None and question.surface == "product":
            notes = (*notes, Note("no_context", "the surface product wants product=ID"))
        if self.store.degraded is not None:
            detail = "what customers did since the publication is not known just now"
            notes = (*notes, Note("state_unavailable", detail))
        if surface.rotate:
            stale = self.shown.stale(customer_id, question.surface, surface.rotate)
            if stale:
                codes = codes_of(shelf, stale)
                times = dict.fromkeys(codes.tolist(), surface.rotate)
                terms = replace(terms, stale=codes, times=times, simple=False)
        return Asked(customer_id, question, surface, her, terms, (), notes)

    def _surface(self, name: str) -> tuple[Surface, tuple[Note, ...]]:
        surfaces = self.shopfile.surfaces
        found = surfaces.get(name)
        if found is not None:
            return found, ()
        detail = f"the shop has no surface {name}: answered as home"
        return surfaces["home"], (Note("unknown_surface", detail),)

    def _served(self, serve: Serve, shelf: Shelf, surface: Surface) -> tuple[Shelf, Surface]:
        """What an arm is answered from."""
        other = self.watch.others.get(serve.bundle, shelf) if serve.bundle else shelf
        where = self.shopfile.surfaces.get(serve.surface, surface) if serve.surface else surface
        return other, where

    def _finish(self, asked: Asked, ranked: Ranked, id: str) -> tuple[tuple[Assigned, ...], Ranked]:
        """Draft where two arms share a list; put the notes first; log what is shown."""
        teams: list[str] | None = None
        models: str | list[str] = name(asked.visit.shelf)
        if asked.other is not None:
            other = asked.other.visit.shelf
            ranked, teams, models = drafted(
                (ranked, name(asked.visit.shelf)),
                (self.ranked(asked.other), name(other)),
                arms=next(one.teams for one in asked.assigned if one.teams),
                n=asked.question.n or asked.surface.slots,
                request_id=id,
            )
        if asked.notes:
            ranked = ranked._replace(warnings=[*asked.notes, *ranked.warnings])
        self.metrics.answers[ranked.fallback] += 1
        ids = [item.product_id for item in ranked.items]
        if self.log is not None:
            self.log.add(
                id,
                asked.visit.at,
                asked.customer_id,
                None,
                asked.question.surface,
                asked.question.channel,
                asked.assigned,
                ids,
                ranked.propensities,
                ranked.given_above,
                models,
                teams,
            )
        if asked.surface.rotate and asked.customer_id is not None:
            self.shown.note(asked.customer_id, asked.question.surface, ids)
        tests = tuple(Assigned(one.experiment, one.arm) for one in asked.assigned)
        return tests, ranked


def name(shelf: Shelf) -> str:
    """What the log calls what ranked."""
    return f"{shelf.model.name} {shelf.model.version}"
