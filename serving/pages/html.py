"""HTML: names, attributes and children in, escaped markup out.

Every text is escaped unless it is Markup, and Markup is only made here: a hostile title cannot
become a tag, whoever forgets what.
"""

from __future__ import annotations

from html import escape
from typing import TypeAlias

VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | int | list[Markup] | None"


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` is class, `_` in a name is `-`; None and False leave one out."""
    head = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        head += f" {key}" if value is True else f' {key}="{escape(str(value), quote=True)}"'
    if name in VOID:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{together(*children)}</{name}>")


def together(*children: Child) -> Markup:
    """Children beside each other."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, list):
            parts += child
        elif child is not None:
            parts.append(child if isinstance(child, Markup) else escape(str(child), quote=True))
    return Markup("".join(parts))


def page(title: str, *body: Child, refresh: int | None = None) -> Markup:
    """A whole document with our one style and one script."""
    head = together(
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="refresh", content=refresh) if refresh else None,
        tag("title", title),
        tag("link", rel="icon", href="/pages/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/pages/regulars.css"),
        tag("script", src="/pages/inspect.js", defer=True),
    )
    return Markup("<!doctype html>" + tag("html", tag("head", head), tag("body", *body), lang="en"))


def header(*facts: Child, current: str) -> Markup:
    """The bar above every page."""
    links = [
        tag("a", text, href=href, aria_current="page" if href == current else None)
        for href, text in (("/inspect", "Inspect"), ("/docs", "API"), ("/metrics", "Metrics"))
    ]
    mark = tag(
        "svg",
        tag("circle", cx=12, cy=12, r=9.25, class_="ring"),
        tag("circle", cx=12, cy=12, r=4, class_="dot"),
        viewBox="0 0 24 24",
        class_="mark",
        aria_hidden="true",
    )
    return tag(
        "header",
        tag("a", mark, tag("span", "Regulars"), href="/", class_="brand"),
        tag("div", *facts, class_="facts"),
        tag("nav", links, aria_label="Pages"),
        class_="bar",
    )
