"""The feature tables hand-written in Polars, as a fair expert would: the other side of features.py.

    .peers/bin/python benchmarks/polars_features.py JOB

JOB: JSON with {"events": [paths], "identities": path or null, "as_of": ISO time, "out": folder}.
Prints one JSON object: seconds, peak_rss_mb, and sums to compare. It has no snapshots, no fixed
point, no order of rows and no incremental day; all else is the same.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

DAY = 86_400_000_000
WEIGHTS = {"view_item": 1.0, "add_to_cart": 3.0, "add_to_wishlist": 2.0, "purchase": 5.0}
CHANNELS = ("web", "app", "store", "call_center", "live", "email", "marketplace", "other")


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    as_of = datetime.fromisoformat(job["as_of"])
    out = Path(job["out"])
    start = time.perf_counter()
    frames = tables(job, as_of)
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "lazy": True}
    sinks = [frame.sink_parquet(out / f"{name}.parquet", **how) for name, frame in frames.items()]
    pl.collect_all(sinks, engine="streaming")
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "cpu": time.process_time(), "peak_rss_mb": peak_rss_mb()}
    print(json.dumps({**found, "sums": sums(out)}))


def tables(job: dict[str, Any], as_of: datetime) -> dict[str, pl.LazyFrame]:
    lines = facts(job, as_of)
    kind = pl.col("event_type")
    bought, back, viewed = kind == "purchase", kind == "refund", kind == "view_item"

    def worth(days: float) -> pl.Expr:
        age = (as_of - pl.col("event_time")).dt.total_microseconds() / DAY
        return (age * (-0.6931471805599453 / days)).exp()

    orders = (
        lines.filter(bought)
        .group_by("order_id", "customer_id")
        .agg(
            order_time=pl.col("event_time").min(),
            channel=pl.col("channel").min(),
            store_id=pl.col("store_id").min(),
            products=pl.col("product_id").drop_nulls().unique().sort(),
            quantity=pl.col("quantity").sum(),
            revenue=pl.col("amount").sum(),
        )
    )

    weight = pl.lit(0.0)
    for name, value in WEIGHTS.items():
        weight = pl.when(kind == name).then(value).otherwise(weight)
    weighed = weight * worth(180.0)
    pairs = (
        lines.filter(
            pl.col("customer_id").is_not_null()
            & pl.col("product_id").is_not_null()
            & kind.is_in([*WEIGHTS, "refund"])
        )
        .with_columns(weighed=weighed, bought=bought)
        .group_by("customer_id", "product_id")
        .agg(
            browsing=pl.when(~pl.col("bought")).then("weighed").otherwise(0.0).sum(),
            buying=pl.when(pl.col("bought")).then("weighed").otherwise(0.0).sum(),
            views=viewed.sum().cast(pl.Int32),
            carts=kind.is_in(["add_to_cart", "add_to_wishlist"]).sum().cast(pl.Int32),
            purchases=pl.col("bought").sum().cast(pl.Int32),
            orders=pl.col("order_id").filter(pl.col("bought")).n_unique().cast(pl.Int32),
            refunds=back.sum().cast(pl.Int32),
            quantity=pl.when(pl.col("bought")).then("quantity").otherwise(0.0).sum(),
            revenue=pl.when(pl.col("bought")).then("amount").otherwise(0.0).sum(),
            refunded_quantity=pl.when(back).then("quantity").otherwise(0.0).sum(),
            first_time=pl.col("event_time").min(),
            last_time=pl.col("event_time").max(),
            last_purchase_time=pl.when(pl.col("bought")).then("event_time").max(),
        )
    )
    kept = (pl.col("quantity") - pl.col("refunded_quantity")).clip(0) / pl.col("quantity")
    interactions = pairs.with_columns(
        weight=(
            pl.col("browsing")
            + pl.when(pl.col("quantity") > 0).then(pl.col("buying") * kept).otherwise(0.0)
        ).cast(pl.Float32)
    )
    return {
        "interactions": interactions,
        "customer_features": customers(lines, orders, pairs, as_of),
        "product_features": products(lines, orders, pairs, as_of, worth),
        "baskets": orders,
    }


def facts(job: dict[str, Any], as_of: datetime) -> pl.LazyFrame:
    """Events until as_of, customers resolved; links form chains of two at most."""
    events = pl.scan_parquet(job["events"]).filter(pl.col("event_time") <= as_of)
    money = pl.col("event_type").is_in(["purchase", "refund"])
    quantity = pl.col("quantity").fill_null(1.0)
    customer = pl.col("customer_id")
    if job["identities"]:
        links = (
            pl.scan_parquet(job["identities"])
            .filter(pl.col("linked_at").is_null() | (pl.col("linked_at") <= as_of))
            .select(identity=pl.concat_str("kind", pl.lit(":"), "value"), to="customer_id")
        )
        ends = (
            links.join(links, left_on="to", right_on="identity", how="left", suffix="_next")
            .select("identity", to=pl.coalesce("to_next", "to"))
            .filter(~pl.col("to").str.contains(":", literal=True))
            .group_by("identity")
            .agg(pl.col("to").min())
        )
        events = events.join(ends, left_on="customer_id", right_on="identity", how="left")
        plain = pl.when(~customer.str.contains(":", literal=True)).then(customer)
        customer = pl.coalesce("to", plain)
    return events.select(
        "event_time",
        "event_type",
        "channel",
        "product_id",
        customer_id=customer,
        order_id=pl.when(money).then(pl.coalesce("order_id", "event_id")),
        store_id=pl.when(money).then("store_id"),
        unit_price=pl.when(money).then("unit_price"),
        quantity=pl.when(money).then(quantity).otherwise(0.0),
        amount=pl.when(money).then(quantity * pl.col("unit_price").fill_null(0.0)).otherwise(0.0),
    )


def customers(
    lines: pl.LazyFrame, orders: pl.LazyFrame, pairs: pl.LazyFrame, as_of: datetime
) -> pl.LazyFrame:
    known = pl.col("customer_id").is_not_null()
    bought, back = pl.col("event_type") == "purchase", pl.col("event_type") == "refund"
    channel, when = pl.col("channel"), pl.col("event_time")
    amount = pl.col("amount")
    people = (
        lines.filter(known)
        .group_by("customer_id")
        .agg(
            events=pl.len().cast(pl.Int32),
            purchases=bought.sum().cast(pl.Int32),
            refunds=back.sum().cast(pl.Int32),
            monetary_value=pl.when(bought).then(amount).when(back).then(-amount).sum(),
            first_event_time=when.min(),
            last_event_time=when.max(),
            first_order_time=pl.when(bought).then(when).min(),
            last_order_time=pl.when(bought).then(when).max(),
            **{f"events_{name}": (channel == name).sum().cast(pl.Int32) for name in CHANNELS},
        )
    )
    ordered = (
        orders.filter(known)
        .group_by("customer_id")
        .agg(
            frequency=pl.len().cast(pl.Int32),
            **{f"orders_{name}": (channel == name).sum().cast(pl.Int32) for name in CHANNELS},
        )
    )
    bought_products = (
        pairs.filter(pl.col("purchases") > 0)
        .group_by("customer_id")
        .agg(products=pl.len().cast(pl.Int32))
    )
    rows = people.join(ordered, on="customer_id", how="left").join(
        bought_products, on="customer_id", how="left"
    )
    counts = ["frequency", "products", *(f"orders_{name}" for name in CHANNELS)]
    rows = rows.with_columns(pl.col(counts).fill_null(0))
    n = pl.col("frequency")
    span = (pl.col("last_order_time") - pl.col("first_order_time")).dt.total_microseconds() / DAY
    rows = rows.with_columns(
        average_days_between_orders=pl.when(n >= 2).then(span / (n - 1)),
        average_order_value=pl.when(n > 0).then(pl.col("monetary_value") / n),
        days_since_last_order=(as_of - pl.col("last_order_time")).dt.total_microseconds() / DAY,
        tenure_days=(as_of - pl.col("first_event_time")).dt.total_microseconds() / DAY,
        refund_rate=pl.when(pl.col("purchases") > 0).then(pl.col("refunds") / pl.col("purchases")),
    )
    scores = [
        pl.col(f"orders_{name}").cast(pl.Int64) * 2**31 + pl.col(f"events_{name}")
        for name in CHANNELS
    ]
    best = pl.max_horizontal(scores)
    main = pl.lit(None, pl.String)
    for name, score in reversed(list(zip(CHANNELS, scores, strict=True))):
        main = pl.when(score == best).then(pl.lit(name)).otherwise(main)
    usual = rows.select(shop_gap=pl.col("average_days_between_orders").median().fill_null(28.0))
    rows = rows.with_columns(main_channel=main).join(usual, how="cross")
    shop, days = pl.col("shop_gap"), pl.col("days_since_last_order")
    own = (pl.col("average_days_between_orders") * (n - 1) + shop * 2) / (n - 1 + 2)
    gap = pl.when(n >= 3).then(own).otherwise(shop)
    return rows.with_columns(
        lifecycle_stage=pl.when(n == 0)
        .then(pl.lit(None, pl.String))
        .when((n == 1) & (days <= gap))
        .then(pl.lit("new"))
        .when(days <= gap * 1.5)
        .then(pl.lit("active"))
        .when(days <= gap * 3)
        .then(pl.lit("cooling"))
        .when(days <= gap * 6)
        .then(pl.lit("at_risk"))
        .otherwise(pl.lit("lapsed"))
    ).drop("shop_gap")


def products(
    lines: pl.LazyFrame, orders: pl.LazyFrame, pairs: pl.LazyFrame, as_of: datetime, worth: Any
) -> pl.LazyFrame:
    kind, when = pl.col("event_type"), pl.col("event_time")
    bought, back, viewed = kind == "purchase", kind == "refund", kind == "view_item"
    goods = (
        lines.filter(pl.col("product_id").is_not_null())
        .group_by("product_id")
        .agg(
            popularity_7d=pl.when(bought).then(worth(7.0)).sum().cast(pl.Float32),
            popularity_28d=pl.when(bought).then(worth(28.0)).sum().cast(pl.Float32),
            popularity_180d=pl.when(bought).then(worth(180.0)).sum().cast(pl.Float32),
            views_28d=pl.when(viewed).then(worth(28.0)).sum().cast(pl.Float32),
            purchases=bought.sum().cast(pl.Int32),
            refunds=back.sum().cast(pl.Int32),
            first_time=when.min(),
            last_time=when.max(),
        )
    )
    ordered = (
        orders.select(product_id="products")
        .explode("product_id")
        .drop_nulls()
        .group_by("product_id")
        .agg(orders=pl.len().cast(pl.Int32))
    )
    saw, got = pl.col("views") > 0, pl.col("purchases") > 0
    people = pairs.group_by("product_id").agg(
        viewers=saw.sum().cast(pl.Int32),
        buyers=got.sum().cast(pl.Int32),
        viewers_who_bought=(saw & got).sum().cast(pl.Int32),
        repeat_buyers=(pl.col("orders") >= 2).sum().cast(pl.Int32),
    )
    paid = (
        lines.filter(bought & pl.col("unit_price").is_not_null())
        .group_by("product_id")
        .agg(price=pl.col("unit_price").get(pl.col("event_time").arg_max()))
    )
    rows = goods
    for other in (ordered, people, paid):
        rows = rows.join(other, on="product_id", how="left")
    rows = rows.with_columns(
        pl.col("orders", "viewers", "buyers", "viewers_who_bought", "repeat_buyers").fill_null(0)
    )

    def share(part: str, of: str) -> pl.Expr:
        return pl.when(pl.col(of) > 0).then(pl.col(part) / pl.col(of))

    return rows.with_columns(
        conversion=share("viewers_who_bought", "viewers"),
        repeat_rate=share("repeat_buyers", "buyers"),
        return_rate=share("refunds", "purchases"),
        age_days=(as_of - pl.col("first_time")).dt.total_microseconds() / DAY,
    )


def sums(out: Path) -> dict[str, float]:
    """What both sides must agree on: rows of each table and the sum of each number in it."""
    found: dict[str, float] = {}
    for path in sorted(out.glob("*.parquet")):
        frame = pl.scan_parquet(path)
        numbers = [n for n, kind in frame.collect_schema().items() if kind.is_numeric()]
        row = frame.select(pl.len().alias("rows"), pl.col(numbers).cast(pl.Float64).sum())
        values = row.collect(engine="streaming").to_dicts()[0]
        found.update({f"{path.stem}.{name}": float(value) for name, value in values.items()})
    return found


def peak_rss_mb() -> float:
    """The most memory this process had at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
