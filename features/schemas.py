"""Every table's Arrow schema: names in, columns with types, units and keys out."""

from __future__ import annotations

import sys

import pyarrow as pa

EVENT_TYPES = (
    "view_item",
    "add_to_cart",
    "remove_from_cart",
    "add_to_wishlist",
    "purchase",
    "refund",
    "view_item_list",
)
CHANNELS = ("web", "app", "store", "call_center", "live", "email", "marketplace", "other")
STAGES = ("new", "active", "cooling", "at_risk", "lapsed")

TIME = pa.timestamp("us", tz="UTC")


def _schema(required: tuple[str, ...], *columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    """One schema: a required column is never null; each column says what it holds."""
    return pa.schema(
        [
            pa.field(name, kind, nullable=name not in required, metadata={"about": about})
            for name, kind, about in columns
        ],
    )


EVENTS = _schema(
    ("event_id", "event_time", "event_type", "channel", "source", "source_row"),
    ("event_id", pa.string(), "the shop's own id, or a hash of the row's content"),
    ("event_time", TIME, "UTC, microseconds"),
    ("event_type", pa.string(), "one of EVENT_TYPES"),
    ("channel", pa.string(), "one of CHANNELS"),
    ("customer_id", pa.string(), "null: unknown; kind:value: an identity not yet resolved"),
    ("product_id", pa.string(), "the shop's own"),
    ("quantity", pa.float64(), "units, positive, also for a refund; null where it has no meaning"),
    ("unit_price", pa.float64(), "the shop's currency, per unit; null where unknown"),
    ("order_id", pa.string(), "the order of a purchase or refund"),
    ("session_id", pa.string(), "one visit"),
    ("store_id", pa.string(), "where it happened, for store events"),
    ("live_session_id", pa.string(), "the broadcast it happened in"),
    ("request_id", pa.string(), "the recommendation answer that led here"),
    ("source", pa.string(), "the file it came from"),
    ("source_row", pa.int64(), "row of that file, from 1"),
)

PRODUCTS = _schema(
    ("product_id",),
    ("product_id", pa.string(), "the shop's own"),
    ("title", pa.string(), "as shown"),
    ("category", pa.string(), "as in the shop's catalogue"),
    ("brand", pa.string(), ""),
    ("supplier_id", pa.string(), "who delivers it"),
    ("price", pa.float64(), "the shop's currency"),
    ("launched_at", TIME, "first on sale"),
    ("replenishable", pa.bool_(), "bought again and again by its nature"),
)
STOCK = _schema(
    ("product_id", "quantity", "observed_at"),
    ("product_id", pa.string(), ""),
    ("store_id", pa.string(), "null: the whole shop"),
    ("quantity", pa.float64(), "units at hand"),
    ("observed_at", TIME, "when it was counted"),
)
SUPPLIERS = _schema(
    ("supplier_id",),
    ("supplier_id", pa.string(), ""),
    ("name", pa.string(), ""),
)
IDENTITIES = _schema(
    ("kind", "value", "customer_id"),
    ("kind", pa.string(), "cookie, loyalty, card, app …"),
    ("value", pa.string(), ""),
    ("customer_id", pa.string(), "a customer_id, or another identity as kind:value"),
    ("linked_at", TIME, "known from then on; null: always"),
)
CUSTOMERS = _schema(
    ("customer_id",),
    ("customer_id", pa.string(), ""),
    ("country", pa.string(), ""),
    ("joined_at", TIME, ""),
)
QUARANTINE = _schema(
    ("source", "source_row", "reason", "raw"),
    ("source", pa.string(), "the file"),
    ("source_row", pa.int64(), "row of that file, from 1"),
    ("reason", pa.string(), "a code such as no_product"),
    ("raw", pa.string(), "the row as JSON"),
)

INTERACTIONS = _schema(
    ("customer_id", "product_id"),
    ("customer_id", pa.string(), ""),
    ("product_id", pa.string(), ""),
    ("weight", pa.float32(), "sum of event-type weights, each halved every half-life of its age"),
    ("views", pa.int32(), "view_item events"),
    ("carts", pa.int32(), "add_to_cart and add_to_wishlist events"),
    ("purchases", pa.int32(), "purchase lines"),
    ("orders", pa.int32(), "distinct orders with it"),
    ("refunds", pa.int32(), "refund lines"),
    ("quantity", pa.float64(), "units bought"),
    ("revenue", pa.float64(), "currency, refunds not taken out"),
    ("first_time", TIME, "first event"),
    ("last_time", TIME, "last event"),
    ("last_purchase_time", TIME, "null where never bought"),
    ("refunded_quantity", pa.float64(), "units given back"),
    ("browsing", pa.int64(), "state: the weight of other events at the anchor, see features.decay"),
    ("buying", pa.int64(), "state: the weight of purchases at the anchor, before refunds"),
)
CUSTOMER_FEATURES = _schema(
    ("customer_id",),
    ("customer_id", pa.string(), ""),
    ("frequency", pa.int32(), "orders"),
    ("monetary_value", pa.float64(), "currency over all orders, refunds taken out"),
    ("average_order_value", pa.float64(), "monetary_value / frequency"),
    ("days_since_last_order", pa.float64(), "days at as_of"),
    ("tenure_days", pa.float64(), "days from the first event to as_of"),
    ("average_days_between_orders", pa.float64(), "null for fewer than two orders"),
    ("first_order_time", TIME, ""),
    ("last_order_time", TIME, ""),
    ("last_event_time", TIME, ""),
    ("events", pa.int32(), "events of every type"),
    ("products", pa.int32(), "distinct products bought"),
    ("refund_rate", pa.float64(), "refund lines per purchase line"),
    ("main_channel", pa.string(), "where most of her orders, else events, happened"),
    ("lifecycle_stage", pa.string(), "one of STAGES; null for who never ordered"),
    ("first_event_time", TIME, ""),
    ("purchases", pa.int32(), "purchase lines"),
    ("refunds", pa.int32(), "refund lines"),
    *((f"events_{channel}", pa.int32(), f"events in {channel}") for channel in CHANNELS),
    *((f"orders_{channel}", pa.int32(), f"orders in {channel}") for channel in CHANNELS),
)
CUSTOMER_LIFETIME = _schema(
    ("customer_id", "probability_alive", "return_probability_90d", "lifecycle_stage"),
    ("customer_id", pa.string(), "one of customer_features with an order"),
    ("probability_alive", pa.float64(), "chance that she has not left for good"),
    ("return_probability_90d", pa.float64(), "chance of an order within 90 days of as_of"),
    ("expected_orders_28d", pa.float64(), "days with an order within 28 days of as_of"),
    ("expected_orders_90d", pa.float64(), "the same, 90 days"),
    ("expected_orders_365d", pa.float64(), "the same, 365 days"),
    ("expected_order_value", pa.float64(), "currency a day with an order, refunds taken out"),
    ("expected_value_365d", pa.float64(), "currency: the two above it, multiplied"),
    (
        "expected_next_order_date",
        pa.date32(),
        "by then half of such customers have ordered, if still there; null beyond two years",
    ),
    ("lifecycle_stage", pa.string(), "one of STAGES: that of her rhythm, worsened by who has left"),
)
STAGE_MOVES = _schema(
    ("month", "to_stage", "customers"),
    ("month", pa.date32(), "the month, by its first day; the last one may not be over"),
    ("from_stage", pa.string(), "at its beginning; null: had not ordered yet"),
    ("to_stage", pa.string(), "at its end, or at as_of"),
    ("customers", pa.int64(), "who moved so, or stayed"),
)
PRODUCT_FEATURES = _schema(
    ("product_id",),
    ("product_id", pa.string(), ""),
    ("popularity_7d", pa.float32(), "purchases, each halved every 7 days of its age"),
    ("popularity_28d", pa.float32(), "the same, 28 days"),
    ("popularity_180d", pa.float32(), "the same, 180 days"),
    ("views_28d", pa.float32(), "views, each halved every 28 days of its age"),
    ("purchases", pa.int32(), "purchase lines"),
    ("orders", pa.int32(), "distinct orders"),
    ("viewers", pa.int32(), "distinct customers who viewed"),
    ("buyers", pa.int32(), "distinct customers who bought"),
    ("conversion", pa.float64(), "viewers who bought / viewers; null without views"),
    ("repeat_rate", pa.float64(), "buyers with two orders or more / buyers"),
    ("return_rate", pa.float64(), "refund lines / purchase lines"),
    ("price", pa.float64(), "last paid unit price"),
    ("first_time", TIME, "first event"),
    ("last_time", TIME, "last event"),
    ("age_days", pa.float64(), "days from the first event to as_of"),
    ("refunds", pa.int32(), "refund lines"),
    ("viewers_who_bought", pa.int32(), "distinct customers who viewed and bought"),
    ("repeat_buyers", pa.int32(), "distinct customers with two orders or more"),
    ("price_time", TIME, "when the last price was paid"),
    *(
        (f"{name}_worth", pa.int64(), f"state: {name} at the anchor, see features.decay")
        for name in ("popularity_7d", "popularity_28d", "popularity_180d", "views_28d")
    ),
)
BASKETS = _schema(
    ("order_id", "order_time", "channel", "products"),
    ("order_id", pa.string(), "the shop's own, or the event_id of a purchase without one"),
    ("order_time", TIME, "first purchase line"),
    ("customer_id", pa.string(), "null: an unknown customer's"),
    ("channel", pa.string(), ""),
    ("store_id", pa.string(), ""),
    ("products", pa.list_(pa.string()), "distinct, sorted"),
    ("lines", pa.int32(), "purchase lines"),
    ("quantity", pa.float64(), "units"),
    ("revenue", pa.float64(), "currency"),
)
REPLENISHMENT = _schema(
    ("customer_id", "product_id", "purchases", "last_purchase_time", "chance_14d", "replenishable"),
    ("customer_id", pa.string(), ""),
    ("product_id", pa.string(), ""),
    ("purchases", pa.int32(), "days on which she bought it and did not give all of it back"),
    ("last_purchase_time", TIME, "the last of them"),
    ("interval_days", pa.float64(), "median until the next; hers, pulled to the product's"),
    ("own_interval_days", pa.float64(), "hers alone; null for fewer than three purchases"),
    ("product_interval_days", pa.float64(), "all customers'; null for fewer than five gaps"),
    ("due_from", TIME, "one repeat purchase in ten comes before"),
    ("due_at", TIME, "half of them come before"),
    ("overdue_at", TIME, "three in four come before"),
    (
        "state",
        pa.string(),
        "too_early: before due_from, and less than a quarter as likely a day as when due; overdue: "
        "from overdue_at on; else due; null: not replenishable, or no gap known",
    ),
    ("hazard", pa.float64(), "expected purchases a day now"),
    ("chance_14d", pa.float64(), "probability that she buys it within 14 days"),
    ("replenishable", pa.bool_(), "repeat purchase is common; as the catalogue says, if it does"),
)

EXPOSURES = _schema(
    ("request_id", "event_time"),
    ("request_id", pa.string(), "the answer that showed it; one answer is one unit's"),
    ("event_time", TIME, "when it was shown"),
    ("customer_id", pa.string(), "null: an unknown customer's"),
    ("unit", pa.string(), "what the arm was drawn for: kind:value; null: the customer_id"),
    ("surface", pa.string(), "where it was shown: home, product, cart, live …"),
    ("channel", pa.string(), "one of CHANNELS"),
    ("experiment", pa.string(), "the test's name; null: in none"),
    ("arm", pa.string(), "the test's arm, or holdout; null: in no test"),
    ("product_id", pa.string(), "null: an answer that showed nothing"),
    ("position", pa.int32(), "place in the list, from 1"),
    ("propensity", pa.float64(), "the chance that it stood there; null where unknown"),
    (
        "propensity_given_above",
        pa.float64(),
        "the chance that it stood there given what stood above it; null where unknown",
    ),
    ("model", pa.string(), "what ranked it"),
)
OUTCOMES = _schema(
    ("event_time", "event_type"),
    ("event_time", TIME, "when it happened"),
    ("event_type", pa.string(), "one of EVENT_TYPES"),
    ("channel", pa.string(), "one of CHANNELS, also another than where it was shown"),
    ("customer_id", pa.string(), "null: joined by request_id alone"),
    ("product_id", pa.string(), ""),
    ("quantity", pa.float64(), "units, positive, also for a refund"),
    ("unit_price", pa.float64(), "the shop's currency, per unit"),
    ("order_id", pa.string(), "null: each purchase is an order of its own"),
    ("request_id", pa.string(), "the answer that led here, where it is known"),
)

CONSENTS = _schema(
    ("customer_id", "channel", "given", "observed_at"),
    ("customer_id", pa.string(), ""),
    ("channel", pa.string(), "one of CHANNELS"),
    ("given", pa.bool_(), "false: refused, or taken back"),
    ("observed_at", TIME, "from then on; the newest of a customer and channel holds"),
)
CONTACTS = _schema(
    ("customer_id", "contacted_at"),
    ("customer_id", pa.string(), ""),
    ("contacted_at", TIME, "when it was sent"),
    ("channel", pa.string(), "one of CHANNELS"),
    ("campaign", pa.string(), "the day of the activation, or another campaign's name"),
)
ACTIVATION = _schema(
    ("campaign", "customer_id", "products", "expected_value_without", "expected_value_with"),
    ("campaign", pa.string(), "its day, YYYY-MM-DD"),
    ("customer_id", pa.string(), ""),
    ("arm", pa.string(), "contact, or holdout: never to be contacted; null: left out"),
    ("rank", pa.int32(), "place in the list of both arms, from 1; null: left out"),
    ("stage", pa.string(), "lifecycle stage, one of STAGES"),
    ("reason_code", pa.string(), "overdue, replenish, once or on_time"),
    ("reason", pa.string(), "why she is thought of, in words"),
    ("left_out", pa.string(), "why she is not contacted, as a code; null: she is in an arm"),
    ("left_out_reason", pa.string(), "the same in words"),
    ("products", pa.list_(pa.string()), "what to show her, available, best first"),
    ("best_channel", pa.string(), "where she buys, of those she may be contacted by"),
    ("valid_until", TIME, "not to be sent later"),
    ("expected_value_without", pa.float64(), "currency within the horizon if left alone"),
    ("expected_value_with", pa.float64(), "the same if contacted"),
    ("expected_orders", pa.float64(), "within the horizon if left alone"),
    ("probability_alive", pa.float64(), "still a customer"),
    ("uplift", pa.float64(), "added chance to come back; null: no past hold-out to learn it from"),
    ("days_since_last_order", pa.float64(), "at the campaign"),
    ("usual_gap_days", pa.float64(), "between her orders; the shop's where she has too few"),
    ("frequency", pa.int32(), "orders"),
    ("average_order_value", pa.float64(), "currency"),
    ("tenure_days", pa.float64(), "since her first event"),
)

SCHEMAS = {
    "events": EVENTS,
    "products": PRODUCTS,
    "stock": STOCK,
    "suppliers": SUPPLIERS,
    "identities": IDENTITIES,
    "customers": CUSTOMERS,
    "quarantine": QUARANTINE,
    "duplicates": QUARANTINE,
    "interactions": INTERACTIONS,
    "customer_features": CUSTOMER_FEATURES,
    "customer_lifetime": CUSTOMER_LIFETIME,
    "stage_moves": STAGE_MOVES,
    "product_features": PRODUCT_FEATURES,
    "baskets": BASKETS,
    "replenishment": REPLENISHMENT,
    "exposures": EXPOSURES,
    "outcomes": OUTCOMES,
    "consents": CONSENTS,
    "contacts": CONTACTS,
    "activation": ACTIVATION,
}


def document() -> str:
    """docs/data-contracts.md: every table with its columns, types and meanings."""
    lines = [
        "# Data contracts",
        "",
        "Every table Regulars reads and writes, as parquet. Made by `python -m features.schemas`, "
        "from the schemas that the code checks. Bold columns are never null. Times are "
        "UTC with microseconds; money is the shop's currency.",
    ]
    for name, schema in SCHEMAS.items():
        lines += ["", f"## {name}", "", "| column | type | what |", "|---|---|---|"]
        for column in schema:
            about = column.metadata[b"about"].decode()
            shown = column.name if column.nullable else f"**{column.name}**"
            lines.append(f"| {shown} | {column.type} | {about} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
