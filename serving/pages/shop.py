"""The page at `/inspect`: a shelf and what was clicked in, customers and one of them out."""

from __future__ import annotations

from serving.desk import Desk
from serving.pages.customer import customer
from serving.pages.html import Markup, header, page, tag
from serving.pages.look import Look
from serving.pages.parts import badge
from serving.pages.people import Found, Person, find
from serving.shelf import Shelf

VISITOR = "somebody new"  # an id that no shop gives: shows what an unknown visitor gets


def shop(desk: Desk, shelf: Shelf, look: Look) -> Markup:
    """The whole page."""
    found = find(shelf, look.q, look.stage or None)
    if not look.customer and found.people:
        first = max(found.people, key=lambda p: (min(p.products, 12), p.customer_id))
        look = look._replace(customer=first.customer_id)
    return page(
        f"{look.customer} · Regulars" if look.customer else "Regulars",
        tag("a", "Skip to the products", href="#main", class_="skip"),
        header(*_facts(shelf), current="/inspect"),
        tag(
            "div",
            _people(found, look),
            tag("main", customer(desk, shelf, look), id="main", tabindex=-1),
            class_="shop",
        ),
    )


def nothing(reason: str) -> Markup:
    """The page while there is no bundle."""
    return page(
        "Regulars",
        header(current="/inspect"),
        tag(
            "main",
            tag("h1", "Nothing is published yet"),
            tag("p", f"The server runs, but {reason}."),
            tag("p", "Publish a model, and this page shows it by itself:"),
            tag("pre", tag("code", "regulars demo"), class_="json"),
            class_="empty",
        ),
        refresh=2,
    )


def _facts(shelf: Shelf) -> list[Markup]:
    facts = {
        "model": f"{shelf.model.name} {shelf.model.version}",
        "bundle": shelf.bundle.id[:8],
        "as of": (shelf.as_of or "")[:10],
        "customers": f"{len(shelf.row_of):,}",
        "products": f"{len(shelf.product_ids):,}",
    }
    shown = [(name, value) for name, value in facts.items() if value]
    return [tag("span", tag("b", name), tag("span", value), class_="fact") for name, value in shown]


def _people(found: Found, look: Look) -> Markup:
    """The column of customers: search, stages, list."""
    stages = [
        tag(
            "a",
            name.replace("_", " ") or "all",
            tag("i", f"{count:,}"),
            href=look.href(stage=name),
            aria_current="true" if look.stage == name else None,
            data_swap=True,
            class_="chip",
        )
        for name, count in found.stages.items()
    ]
    hidden = [
        tag("input", type="hidden", name=name, value=str(value))
        for name, value in (("customer", look.customer), ("stage", look.stage))
        if value
    ]
    search = tag(
        "form",
        tag("label", "Find a customer", for_="q"),
        tag(
            "input",
            id="q",
            name="q",
            type="search",
            value=look.q,
            placeholder="an id, or part of one",
            autocomplete="off",
            maxlength=64,
        ),
        hidden,
        action="/inspect",
        role="search",
        data_live=True,
    )
    if found.people:
        body = tag("ul", [_row(one, look) for one in found.people], class_="people")
    else:
        body = tag("p", "Nobody has such an id.", class_="quiet none")
    stranger = look.q if look.q and not found.people else VISITOR
    return tag(
        "aside",
        search,
        tag("div", stages if len(found.stages) > 1 else None, class_="chips"),
        tag(
            "p",
            f"{len(found.people):,} of {found.total:,} customers",
            class_="quiet count",
            role="status",
        ),
        body,
        tag(
            "a",
            "What does an unknown visitor get?",
            href=look.href(customer=stranger, product=""),
            data_swap=True,
            class_="stranger",
        ),
        class_="side",
        aria_label="Customers",
    )


def _row(one: Person, look: Look) -> Markup:
    return tag(
        "li",
        tag(
            "a",
            tag("span", one.customer_id, class_="id"),
            badge(one.stage) if one.stage else None,
            tag("span", one.products, class_="number", title="products in the history"),
            href=look.href(customer=one.customer_id, product=""),
            aria_current="true" if one.customer_id == look.customer else None,
            data_swap=True,
        ),
    )
