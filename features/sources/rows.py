"""Rows: a chunk's raw rows and a mapping in, the SQL of events with an id or a reason out."""

from __future__ import annotations

import re

from features.schemas import EVENTS
from features.sources.columns import Columns
from features.sources.mapping import Mapping
from features.sources.values import quoted
from features.sources.words import CHANNEL_WORDS, EVENT_TYPE_WORDS, PLAIN_SQL, plain

CONTENT = tuple(n for n in EVENTS.names if n not in ("event_id", "source", "source_row"))
IDS = ("order_id", "session_id", "store_id", "live_session_id", "request_id")
COUNTED = "('purchase', 'refund', 'add_to_cart', 'remove_from_cart')"  # quantity has a meaning
PAID = "('purchase', 'refund')"

# The first that fits is the row's reason; docs/ingest.md says the same in words.
REASONS = (
    ("malformed", "malformed"),
    ("filtered_out", "NOT kept OR event_type = 'ignore'"),
    ("no_time", "NOT has_time"),
    ("bad_time", "event_time IS NULL"),
    ("unknown_event_type", "event_type IS NULL"),
    ("unknown_channel", "channel IS NULL"),
    ("no_product", "product_id IS NULL AND event_type <> 'view_item_list'"),
    ("not_a_product", "no_product"),
    ("bad_quantity", f"event_type IN {COUNTED} AND (quantity_bad OR NOT quantity_fits)"),
    ("bad_price", f"price_bad OR NOT price_fits OR (unit_price = 0 AND event_type IN {PAID}"
     " AND NOT zero_price)"),
)  # fmt: skip


def words(own: dict[str, str], known: dict[str, str]) -> list[tuple[str, str]]:
    """Every accepted word beside ours; the shop's own aliases win."""
    return list({**known, **{plain(word): ours for word, ours in own.items()}}.items())


def event_type_words(mapping: Mapping) -> list[tuple[str, str]]:
    """Words of event types; IGNORE for those that the mapping leaves out."""
    return words(mapping.event_types, EVENT_TYPE_WORDS)


def channel_words(mapping: Mapping) -> list[tuple[str, str]]:
    """Words of channels."""
    return words(mapping.channels, CHANNEL_WORDS)


def mapped(columns: Columns, mapping: Mapping) -> str:
    """SQL over `chunk`, `event_type_words`, `channel_words`: one row for each row (or record).

    Its columns: i, src, row, ord, reason (null: an event), h (of the event id), the event's own,
    and a_NAME for each attribute.
    """
    return f"""
WITH said AS (SELECT i, src, row, ord, {_said(columns, mapping)} FROM {columns.relation()}),
named AS (
    SELECT said.* EXCLUDE (event_type, channel),
        t.ours AS event_word, coalesce(c.ours, CASE WHEN said.channel IS NULL THEN 'other' END)
            AS channel
    FROM said
    {_named("event_type", "t", mapping)}
    {_named("channel", "c", mapping)}
),
typed AS (
    SELECT * EXCLUDE (event_word),
        CASE WHEN event_word = 'purchase' AND ({_refund(mapping)}) THEN 'refund'
            ELSE event_word END AS event_type
    FROM named
),
judged AS (
    SELECT * EXCLUDE (quantity, unit_price, line_total, price_given_bad, total_bad),
        CASE WHEN event_type IN {PAID} THEN coalesce(quantity, CASE WHEN quantity_bad THEN NULL
                ELSE 1 END)
            WHEN event_type IN {COUNTED} THEN quantity END AS quantity_signed,
        coalesce(unit_price,
            line_total * CASE WHEN quantity < 0 AND line_total < 0 THEN -1 ELSE 1 END
                / nullif(abs(coalesce(quantity, 1)), 0)) AS unit_price,
        price_given_bad OR total_bad AS price_bad
    FROM typed
),
measured AS (
    SELECT * EXCLUDE (quantity_signed),
        CASE WHEN event_type = 'refund' THEN abs(quantity_signed) ELSE quantity_signed END
            AS quantity,
        coalesce(CASE WHEN event_type = 'refund' THEN abs(quantity_signed)
            ELSE quantity_signed END BETWEEN 5e-324 AND {mapping.limits.quantity!r}, true)
            AS quantity_fits,
        coalesce(unit_price BETWEEN 0 AND {mapping.limits.unit_price!r}, true) AS price_fits,
        {str(mapping.limits.zero_price).lower()} AS zero_price
    FROM judged
),
reasoned AS (
    SELECT *, CASE {" ".join(f"WHEN {test} THEN {quoted(code)}" for code, test in REASONS)} END
        AS reason
    FROM measured
)
SELECT i, src, row, ord, reason, hash(id) AS h, id AS event_id, {", ".join(CONTENT)}
    {"".join(f", a_{name}" for name in mapping.attributes)}
FROM (SELECT *, CASE WHEN reason IS NULL THEN {_event_id(mapping)} END AS id FROM reasoned)
"""


def _named(column: str, alias: str, mapping: Mapping) -> str:
    """Join our word for the word that a row says; for a constant there is but one."""
    if column in mapping.columns:
        word = PLAIN_SQL.format(f"said.{column}")
        return f"LEFT JOIN {column}_words {alias} ON {alias}.word = {word}"
    word = plain(str(mapping.constants.get(column, "")))  # type: ignore[call-overload]
    known = dict(event_type_words(mapping) if column == "event_type" else channel_words(mapping))
    ours = quoted(known[word]) if word in known else "NULL::VARCHAR"
    return f"CROSS JOIN (SELECT {ours} AS ours) {alias}"


def _said(columns: Columns, mapping: Mapping) -> str:
    """Every value as the row says it."""
    given, constants = mapping.columns, mapping.constants

    def text(column: str) -> str:
        name = given.get(column)  # type: ignore[call-overload]
        constant = constants.get(column)  # type: ignore[call-overload]
        said = "NULL::VARCHAR" if name is None else columns.id(name, column)
        return said if constant is None else f"coalesce({said}, {quoted(constant)})"

    def number(column: str) -> tuple[str, str]:
        name = given.get(column)  # type: ignore[call-overload]
        constant = constants.get(column)  # type: ignore[call-overload]
        said, bad = ("NULL::DOUBLE", "false") if name is None else columns.number(name)
        if constant is None:
            return said, bad
        return f"CASE WHEN {bad} THEN NULL ELSE coalesce({said}, {float(constant)!r}) END", bad

    time, has_time = columns.time(given["event_time"], mapping.time, mapping.limits)
    product = text("product_id")
    customer = [text("customer_id")]
    for kind, name in mapping.identities.items():
        customer.append(f"{quoted(kind + ':')} || {columns.text(name)}")
    quantity, quantity_bad = number("quantity")
    price, price_bad = number("unit_price")
    total, total_bad = number("line_total")
    said = {
        "malformed": columns.malformed,
        "kept": columns.where(mapping.where),
        "event_id": text("event_id"),
        "event_time": time,
        "has_time": has_time,
        "event_type": text("event_type"),
        "channel": text("channel"),
        "customer_id": f"coalesce({', '.join(customer)})",
        "product_id": product,
        "no_product": _no_product(product, mapping),
        "quantity": quantity,
        "quantity_bad": quantity_bad,
        "unit_price": price,
        "price_given_bad": price_bad,
        "line_total": total,
        "total_bad": total_bad,
        **{column: text(column) for column in IDS},
        **{
            f"a_{name}": columns.number(of)[0] if name == "price" else columns.text(of)
            for name, of in mapping.attributes.items()
        },
    }
    return ", ".join(f"{sql} AS {name}" for name, sql in said.items())


def _no_product(product: str, mapping: Mapping) -> str:
    """One regular expression for all codes and patterns."""
    codes = "|".join(re.escape(code.strip()) for code in mapping.not_products.codes)
    patterns = [f"(?:{pattern})" for pattern in mapping.not_products.patterns]
    if codes:
        patterns.append(f"^(?:{codes})$")
    if not patterns:
        return "false"
    return f"coalesce(regexp_matches({product}, {quoted('|'.join(patterns))}, 'i'), false)"


def _refund(mapping: Mapping) -> str:
    tests = ["false"]
    if mapping.refunds.order_id is not None:
        tests.append(
            f"coalesce(regexp_matches(order_id, {quoted(mapping.refunds.order_id)}), false)"
        )
    if mapping.refunds.negative_quantity:
        tests.append("coalesce(quantity < 0, false)")
    return " OR ".join(tests)


def _event_id(mapping: Mapping) -> str:
    """The shop's own id, else 32 digits of a hash of the event's content."""
    parts = []
    for column in CONTENT:
        text = "epoch_us(event_time)::VARCHAR" if column == "event_time" else f"{column}::VARCHAR"
        parts.append(text)  # concat takes null as an empty text, and no value is empty
    if mapping.unnest is not None:
        parts.append("ord::VARCHAR")  # two items of one record are two events
    content = f"md5(concat({', chr(31), '.join(parts)}))"
    return content if "event_id" not in mapping.columns else f"coalesce(event_id, {content})"
