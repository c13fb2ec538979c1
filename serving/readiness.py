"""Readiness: what is known of a shop's parts in, whether it should be asked and why not out."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known. Times as ISO, or unix seconds where they are our own; None where unknown.

    reason: why the pointer's bundle is not in use. tables: how far each input reaches.
    degraded, exposures, keys, rules, shop, stock: what is wrong with customer state, the log of
    what was shown, the file of keys, the rules, the shop's file, the stock; None where nothing is.
    """

    bundle: str | None = None
    reason: str | None = None
    as_of: str | None = None
    tables: dict[str, str] = {}
    stock_as_of: float | None = None
    degraded: str | None = None
    exposures: str | None = None
    keys: str | None = None
    rules: str | None = None
    shop: str | None = None
    stock: str | None = None
    leaving: bool = False


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the shop's answers can be used, and what is wrong with them.

    reason: why not ready; where ready, why a newer bundle is not in use. bundle_hours: the age of
    the newest thing that the bundle knows. stock_seconds: since the stock last changed. troubles:
    what is wrong while answers are given all the same.
    """

    ready: bool
    reason: str | None
    bundle: str | None
    as_of: str | None
    bundle_hours: float | None
    tables: dict[str, str]
    stock_seconds: float | None
    troubles: list[str]


def readiness(parts: Parts, *, now: float, most_hours: float | None = None) -> Readiness:
    """Ready: a bundle is there, not too old, and the process is not on its way out.

    now: unix time. Troubles do not make a server unready: every replica has them alike, and an
    answer from the bundle alone is better than none.
    """
    since = seconds(parts.as_of)
    hours = None if since is None else max(now - since, 0.0) / 3600
    reason, ready = parts.reason, False
    if parts.leaving:
        reason = "the server is shutting down"
    elif parts.bundle is None:
        reason = reason or "no bundle is loaded"
    elif most_hours is not None and hours is None:
        reason = f"the bundle does not say how old it is, want at most {most_hours:g} h"
    elif most_hours is not None and hours is not None and hours > most_hours:
        reason = f"the bundle is {hours:.0f} h old, want at most {most_hours:g}"
    else:
        ready = True
    said = (
        parts.degraded,
        parts.exposures,
        parts.keys,
        parts.rules,
        parts.shop,
        parts.stock,
    )
    return Readiness(
        ready=ready,
        reason=reason,
        bundle=parts.bundle,
        as_of=parts.as_of,
        bundle_hours=None if hours is None else round(hours, 2),
        tables=parts.tables,
        stock_seconds=None if parts.stock_as_of is None else round(now - parts.stock_as_of, 1),
        troubles=[trouble for trouble in said if trouble is not None],
    )


def seconds(moment: str | None) -> float | None:
    """An ISO time as unix seconds, UTC where it names no zone; None for what is no time."""
    if moment is None:
        return None
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
