"""Parts: products and answers in, the pieces of a page out."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from serving.answers import Item
from serving.pages.html import Markup, tag, together
from serving.shelf import Shelf

HUES = 12  # colours of tiles, see regulars.css
TOKEN = re.compile(r'("(?:\\.|[^"\\])*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)|[^"\da-z-]+|.')


class Product(NamedTuple):
    """What a page shows of a product."""

    product_id: str
    title: str
    category: str | None
    brand: str | None
    price: float | None
    hue: int
    currency: str = ""

    @property
    def price_text(self) -> str | None:
        """The price as a person reads it."""
        return None if self.price is None else f"{self.price:,.2f} {self.currency}".strip()


def product(shelf: Shelf, code: int) -> Product:
    """One product by code."""
    category, brand, price = (
        shelf.bundle.products[name][code].as_py() for name in ("category", "brand", "price")
    )
    places, _ = shelf.catalogue.columns["category"]
    hue = int(places[code]) % HUES if category else _spread(shelf.titles[code])
    currency = str(shelf.bundle.manifest.get("currency") or "")
    title = shelf.titles[code]
    return Product(shelf.product_ids[code], title, category, brand, price, hue, currency)


def _spread(title: str) -> int:
    """A hue for a product without a category: alike for titles that begin alike."""
    first = title.split(maxsplit=1)[0] if title.split() else title
    return hashlib.blake2b(first.encode(), digest_size=1).digest()[0] % HUES


def tile(of: Product) -> Markup:
    """A picture for a product that has none: initials, coloured by category, always the same."""
    seed = hashlib.blake2b(of.product_id.encode(), digest_size=4).digest()
    words = re.findall(r"[^\W_]+", of.title) or ["?"]
    initials = (words[0][0] + (words[1][0] if len(words) > 1 else words[0][1:2])).upper()
    shapes = [
        tag("circle", cx=6 + seed[0] % 36, cy=4 + seed[1] % 12, r=10 + seed[2] % 9, class_="a"),
        tag("circle", cx=6 + seed[1] % 36, cy=34 + seed[3] % 12, r=8 + seed[0] % 12, class_="b"),
    ]
    return tag(
        "svg",
        tag("rect", width=48, height=48, class_="ground"),
        shapes,
        tag("text", initials, x=24, y=30, text_anchor="middle"),
        viewBox="0 0 48 48",
        class_=f"tile hue-{of.hue}",
        aria_hidden="true",
    )


def bar(share: float) -> Markup:
    """A bar, `share` of the whole from 0 to 1."""
    width = f"{100 * min(1.0, max(0.02, share)):.1f}%"
    return tag(
        "svg",
        tag("rect", width="100%", height=6, rx=3, class_="rail"),
        tag("rect", width=width, height=6, rx=3, class_="fill"),
        class_="meter",
        aria_hidden="true",
    )


def card(of: Product, href: str, *beside: Markup | None, rank: int | None = None) -> Markup:
    """A product in a list; its title leads to what is similar."""
    facts = [of.category, of.brand, of.price_text]
    shown = " · ".join(fact for fact in facts if fact) or of.product_id
    return tag(
        "li",
        None if rank is None else tag("span", rank, class_="rank"),
        tile(of),
        tag(
            "div",
            tag("a", of.title, href=href, class_="title", data_swap=True, title=of.product_id),
            tag("span", shown, class_="quiet"),
            *beside,
            class_="about",
        ),
        class_="card",
    )


def ranked(shelf: Shelf, items: list[Item], href: str) -> Markup:
    """Ranked products with scores and reasons; `href` ends where the product's id belongs."""
    best = max((item.score for item in items if item.score is not None), default=0.0)
    cards = []
    for item in items:
        of = product(shelf, shelf.code(item.product_id))
        if item.score is None:
            scored = None
        else:
            share = item.score / best if best > 0 else 0.0
            scored = tag(
                "span",
                bar(share),
                tag("span", _number(item.score), class_="number"),
                class_="score",
            )
        reason = tag("span", item.reason, class_="reason popular" if scored is None else "reason")
        cards.append(card(of, link(href, item.product_id), scored, reason, rank=item.rank))
    return tag("ol", cards, class_="cards")


def _number(score: float) -> str:
    if abs(score) >= 100:
        return f"{score:,.0f}"
    return f"{score:.3f}" if abs(score) >= 0.001 else f"{score:.1e}"


def link(href: str, product_id: str) -> str:
    """A link with a product's id at its end."""
    return href + quote(product_id, safe="")


def badge(stage: str | None) -> Markup:
    """A lifecycle stage."""
    name = stage or "unknown"
    return tag("span", name.replace("_", " "), class_=f"badge {name}")


def json(answer: object) -> Markup:
    """An answer as it goes over the wire, laid out and coloured."""
    text = msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
    parts = []
    for found in TOKEN.finditer(text):
        string, colon, value = found.groups()
        if string is not None:
            parts.append(tag("span", string, class_="key" if colon else "string"))
            parts.append(together(colon or ""))
        elif value is not None:
            parts.append(tag("span", value, class_="value"))
        else:
            parts.append(together(found.group()))
    return tag("pre", tag("code", parts), class_="json", tabindex=0, aria_label="The JSON answer")
