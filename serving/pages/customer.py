"""One customer: who she is in, her history beside her ranked products and the raw answer out."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode

import anyio.from_thread
import msgspec
import numpy as np

from serving.answers import Answer, Filters, Seen
from serving.desk import Desk
from serving.pages.html import Markup, tag, together
from serving.pages.look import SIZES, Look
from serving.pages.parts import badge, bar, card, json, link, product, ranked
from serving.pages.people import person
from serving.questions import Question
from serving.shelf import Shelf

HISTORY = 30  # products of a history that are shown


def customer(desk: Desk, shelf: Shelf, look: Look) -> Markup:
    """History beside ranked products, what is similar to one of them, and the raw answer."""
    if not look.customer:
        return tag("p", "This bundle knows no customers.", class_="quiet none")
    seen: Seen | None = "drop" if look.seen == "drop" else "keep" if look.seen == "keep" else None
    filters = Filters(category=(look.category,)) if look.category else Filters()
    question = Question(n=look.n, seen=seen, filters=filters)
    since = desk.store.peek(look.customer)
    if since is None:  # a store that other servers share: asked on the event loop
        since = anyio.from_thread.run(desk.person, look.customer)
    answer = desk.preview(desk.ask(look.customer, question, since, at=time.time()))
    place = shelf.row(look.customer)
    row = None if place < 0 else place
    known = None if row is None else person(shelf, row)
    counted = "unknown to the model" if known is None else _products(known.products)
    notes = [tag("p", note.detail, class_="note") for note in answer.warnings]
    href = look.to_products()
    return together(
        tag(
            "div",
            tag(
                "div",
                tag("h1", look.customer),
                tag("p", badge(known.stage if known else None), tag("span", counted)),
                class_="who",
            ),
            _controls(shelf, look),
            class_="head",
        ),
        _similar(desk, shelf, look) if look.product else None,
        tag(
            "div",
            tag(
                "section",
                tag("h2", "Her history", tag("small", _order(shelf)) if known else None),
                _history(shelf, row, href),
                class_="pane",
            ),
            tag(
                "section",
                tag("h2", "Popular, for want of better" if answer.fallback else "Ranked for her"),
                notes,
                ranked(shelf, answer.items, href),
                class_="pane",
            ),
            _raw(answer, look),
            class_="panes",
        ),
    )


def _order(shelf: Shelf) -> str:
    timed = shelf.bundle.recommender.history.last_days is not None
    return "newest first, bar: weight" if timed else "bar: weight"


def _products(count: int) -> str:
    return "1 product so far" if count == 1 else f"{count:,} products so far"


def _controls(shelf: Shelf, look: Look) -> Markup:
    _, values = shelf.catalogue.columns["category"]
    categories = [("", "every category"), *((name, name) for name in sorted(values))]
    choices: list[tuple[str, str, str, list[tuple[str, str]]]] = [
        ("n", "Show", str(look.n), [(str(n), f"{n} products") for n in SIZES]),
        (
            "seen",
            "Seen before",
            look.seen,
            [("", f"as published ({shelf.bundle.seen})"), ("drop", "drop"), ("keep", "keep")],
        ),
        ("category", "Category", look.category, categories),
    ]
    selects = [
        tag(
            "label",
            tag("span", label),
            tag(
                "select",
                [tag("option", text, value=v, selected=v == chosen) for v, text in options],
                name=name,
            ),
        )
        for name, label, chosen, options in choices
        if len(options) > 1
    ]
    kept = (("customer", look.customer), ("q", look.q), ("stage", look.stage))
    hidden = [tag("input", type="hidden", name=k, value=v) for k, v in kept if v]
    return tag(
        "form",
        hidden,
        selects,
        tag("noscript", tag("button", "Show", type="submit")),
        action="/inspect",
        class_="controls",
        data_live=True,
    )


def _history(shelf: Shelf, row: int | None, href: str) -> Markup:
    """What she took, newest first where times are known, else heaviest first."""
    if row is None:
        return tag("p", "Nothing is known of her.", class_="quiet none")
    history = shelf.bundle.recommender.history
    part = slice(history.weights.indptr[row], history.weights.indptr[row + 1])
    codes, weights = history.weights.indices[part], history.weights.data[part]
    days = None if history.last_days is None else history.last_days[part]
    order = np.argsort(-weights if days is None else days, kind="stable")[:HISTORY]
    heaviest = float(weights.max()) if len(weights) else 1.0
    cards = []
    for i in order.tolist():
        of = product(shelf, int(codes[i]))
        age = None if days is None else _ago(float(days[i]))
        weight = tag("span", bar(float(weights[i]) / heaviest), age, class_="score")
        cards.append(card(of, link(href, of.product_id), weight))
    more = len(codes) - len(cards)
    return together(
        tag("ul", cards, class_="cards"),
        tag("p", f"and {more} more", class_="quiet none") if more else None,
    )


def _ago(days: float) -> Markup:
    whole = round(days)
    text = "last day" if whole < 1 else "1 day" if whole == 1 else f"{whole:,} days"
    return tag("span", text, class_="number", title="before the newest event")


def _similar(desk: Desk, shelf: Shelf, look: Look) -> Markup | None:
    """Products like the one that was clicked."""
    code = shelf.code(look.product)
    if code < 0:
        return None
    asked = desk.ask_similar(look.product, Question(n=8, surface="product"), at=time.time())
    answer = desk.preview(asked)
    href = look.to_products()
    notes = None if answer.items else tag("p", "The model finds none alike.", class_="quiet none")
    return tag(
        "section",
        tag("h2", "Similar to ", tag("em", shelf.titles[code])),
        tag("a", "Close", href=look.href(product=""), class_="close", data_swap=True),
        notes,
        ranked(shelf, answer.items, href),
        class_="pane similar",
        id="similar",
        tabindex=-1,
    )


def _raw(answer: Answer, look: Look) -> Markup:
    """The second pane: the answer as JSON, and how to ask for it."""
    given = {"n": look.n, "seen": look.seen, "category": look.category}
    query = urlencode({k: v for k, v in given.items() if v and (k, v) != ("n", 10)})
    path = f"/v1/customers/{quote(look.customer, safe='')}/recommendations"
    path += f"?{query}" if query else ""
    size = len(msgspec.json.encode(answer))
    return tag(
        "section",
        tag("h2", "The answer"),
        tag(
            "p",
            tag("a", tag("code", f"GET {path}"), href=path, title=path),
            tag("button", "Copy", type="button", data_copy=path, hidden=True),
            class_="ask",
        ),
        json(answer),
        tag("p", f"{size:,} bytes of JSON", class_="quiet none"),
        class_="pane raw",
    )
