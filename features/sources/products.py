"""Products: catalogue files and what event rows said of products in, the table of products out.

A catalogue file wins over what event rows carry; of several files the last that has the product.
Of event rows the most frequent value wins (ties: the latest), of prices the last one paid.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from features.schemas import PRODUCTS
from features.sources import store
from features.sources.mapping import Mapping
from features.sources.store import Source, Writer
from features.tables import Part, Tables

SIGHTED = ("title", "category", "brand", "supplier_id", "price")


def sightings(mapping: Mapping) -> list[str]:
    """SQL over `mapped`: how often and when last rows gave a product a value, by attribute."""
    return [
        f"SELECT src, product_id, '{name}', a_{name}::VARCHAR, count(*), max(event_time)"
        f" FROM mapped WHERE reason IS NULL AND a_{name} IS NOT NULL"
        + (" AND a_price > 0 AND event_type = 'purchase'" if name == "price" else "")
        + " GROUP BY ALL"
        for name in mapping.attributes
    ]


def keep_sightings(engine: duckdb.DuckDBPyConnection, tables: Tables, src: int) -> str | None:
    """Write what the rows of one source said of products; None when they said nothing."""
    rows = engine.execute(
        "SELECT product_id, attribute, value, sum(rows)::BIGINT AS rows,"
        " max(last_time) AS last_time"
        " FROM sighted WHERE src = ? GROUP BY ALL ORDER BY product_id, attribute, value",
        [src],
    ).to_arrow_table()
    return store.keep(tables, "products", rows) if len(rows) else None


def show_products(
    tables: Tables,
    engine: duckdb.DuckDBPyConnection,
    writer: Writer,
    *,
    events: Sequence[Source] | None = None,
    given: Sequence[Source] | None = None,
    parents: dict[str, str] | None = None,
) -> str | None:
    """Make the products of these catalogue files and event sources visible; the snapshot's id.

    What is not given stays as it is. None when nothing ever said anything of products.
    """
    current = tables.current("products")
    if events is None:
        events = list(store.sources(tables.current("events")).values())
    if given is None:
        given = list(store.sources(current).values())
    seen = sorted({s["sightings"] for s in events if s.get("sightings") is not None})
    if current is None and not seen and not given:
        return None
    if parents is None:
        parents = {} if current is None else current.manifest["parents"]
    if not parents:
        empty: dict[str, list[Part]] = {side: [] for side in store.SIDES}
        parents = store.in_step(tables, "products", empty)
    inputs = {"given": store.identity(given), "seen": seen}
    id = tables.id("products", **inputs)
    parts = []
    if tables.find("products", id) is None:
        parts = [writer.write("products", _merged(tables, engine, given, seen))]
    about = {"sources": list(given)}
    return store.show(tables, "products", inputs, parts, parents=parents, about=about)


def latest(tables: Tables, table: str, given: Sequence[Source], key: str) -> str:
    """SQL: of all rows that files said, for each key that of the last file."""
    said = [
        f"SELECT *, {place} AS place FROM read_parquet({store.kept(tables, table, s['given'])!r})"
        for place, s in enumerate(given)
    ]
    return (
        f"SELECT * EXCLUDE (place) FROM ({' UNION ALL BY NAME '.join(said)})"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY place DESC) = 1"
    )


def _merged(
    tables: Tables, engine: duckdb.DuckDBPyConnection, given: Sequence[Source], seen: Sequence[str]
) -> pa.Table:
    engine.register("no_products", PRODUCTS.empty_table())
    catalogue = latest(tables, "products", given, "product_id") if given else "FROM no_products"
    paths = [store.kept(tables, "products", name) for name in seen]
    said = "SELECT '' AS product_id, '' AS attribute, '' AS value WHERE false"
    if paths:
        # of prices the last, of other values the most frequent; then the other way round
        said = (
            "SELECT product_id, attribute, value FROM (SELECT product_id, attribute, value,"
            " sum(rows) AS n, max(last_time) AS latest,"
            " CASE WHEN attribute = 'price' THEN epoch_us(latest) ELSE n END AS better"
            f" FROM read_parquet({paths!r}) GROUP BY product_id, attribute, value)"
            " QUALIFY row_number() OVER (PARTITION BY product_id, attribute"
            " ORDER BY better DESC, latest DESC, n DESC, value) = 1"
        )
    wide = ", ".join(f"max(value) FILTER (attribute = '{name}') AS {name}" for name in SIGHTED)
    columns = ", ".join(
        f"coalesce(c.{f.name}, s.{f.name}{'::DOUBLE' if f.name == 'price' else ''}) AS {f.name}"
        if f.name in ("product_id", *SIGHTED)
        else f"c.{f.name}"
        for f in PRODUCTS
    )
    return engine.execute(
        f"WITH c AS ({catalogue}),"
        f" s AS (SELECT product_id, {wide} FROM ({said}) GROUP BY product_id)"
        f" SELECT {columns} FROM c FULL JOIN s ON c.product_id = s.product_id"
        " ORDER BY product_id"
    ).to_arrow_table()
