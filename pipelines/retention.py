"""Retention: a shop's tables as of a moment in, what its retention lead must know out.

Who is a regular and who is slipping, what that is worth, how customers move between the stages,
what to expect, which products go together with coming back, and what campaigns have done.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import schemas
from features.build import build
from features.facts import DAY
from features.orders import GROUPS, micros, orders
from features.tables import Snapshot
from models.evaluation.intervals import numbers
from pipelines import lifetime, retention_campaigns, retention_products, retention_slipping
from pipelines.build import last_event
from pipelines.folds import catalogue
from pipelines.kinds import favourites
from pipelines.progress import step
from pipelines.retention_ahead import ahead
from pipelines.settings import Shop
from pipelines.workspace import Workspace

TABLES = ("baskets", "customer_features", "interactions")
HERE = ("new", "active")
AWAY = ("cooling", "at_risk", "lapsed")
LISTED = 10  # products shown of each kind
Record = dict[str, Any]


def run(workspace: Workspace, shop: Shop, *, as_of: datetime | None = None) -> Record:
    """All that the page says; docs/command-line.md names the keys. Raises NobodyOrdered.

    Tables are built where they are not there; a look back makes none of them the newest.
    """
    current = as_of is None
    moment = as_of or last_event(workspace.tables)
    told = lifetime.run(workspace, shop, as_of=moment, current=current)
    with workspace.lock("work", shared=True), step("retention"):
        made = build(
            workspace.tables,
            as_of=moment,
            parameters=shop.features,
            names=TABLES,
            current=current,
        )
        made |= {
            name: workspace.tables.get(name, one["snapshot"])
            for name, one in told["tables"].items()
        }
        return _record(workspace, shop, made, at=moment)


def _record(workspace: Workspace, shop: Shop, made: dict[str, Snapshot], *, at: datetime) -> Record:
    tables = workspace.tables
    life = made["customer_lifetime"].read()
    ids = life["customer_id"].combine_chunks()
    known = made["customer_features"].read(["customer_id", "main_channel", "frequency"])
    known = known.take(pc.index_in(ids, known["customer_id"].combine_chunks()))
    baskets = made["baskets"].read()
    stage = life["lifecycle_stage"].combine_chunks()
    slips = pc.is_in(stage, value_set=pa.array(retention_slipping.STAGES)).to_numpy(False)
    money = (retention_slipping.brought(baskets, ids), numbers(life["expected_value_365d"]))
    products = catalogue(tables)
    favourite = favourites(
        made["interactions"].read(["customer_id", "product_id", "weight"]), ids, products
    )
    category = favourite["category"].take(
        pc.index_in(ids, favourite["customer_id"].combine_chunks())
    )
    months = flow(made["stage_moves"].read())
    stages = _stages(stage, life, money, months)
    regular = pc.and_(pc.equal(stage, "active"), pc.greater_equal(known["frequency"], 2))
    return {
        "shop": shop.name,
        "currency": shop.shop.currency,
        "as_of": at.isoformat(),
        "customers": len(ids),
        "regulars": pc.sum(regular).as_py() or 0,
        "stages": stages,
        "slipping": retention_slipping.sums(slips, *money),
        "months": months,
        "ahead": ahead(life, orders(baskets.select(GROUPS)), at),
        "by_channel": retention_slipping.groups(
            known["main_channel"], slips, *money, otherwise="unknown"
        ),
        "by_category": retention_slipping.groups(
            category, slips, *money, otherwise="no category known"
        ),
        "products": bringing(baskets, products, until=micros(at) // (DAY * 1_000_000)),
        **retention_campaigns.known(workspace, shop, at=at, titles=titles(products)),
        "snapshots": {name: one.id for name, one in sorted(made.items())},
    }


def flow(moves: pa.Table) -> list[Record]:
    """`stage_moves` month by month, oldest first.

    `month, stages {STAGE: customers at its end}, came` (first orders), `slipped` (new or active
    to cooling, at risk or lapsed), `won_back` (the other way) and `moves [{from, to, customers}]`.
    """
    found: list[Record] = []
    rows = moves.to_pylist()
    for month in sorted({row["month"] for row in rows}):
        here = [row for row in rows if row["month"] == month]
        ends = dict.fromkeys(schemas.STAGES, 0)
        for row in here:
            ends[row["to_stage"]] += row["customers"]

        def moved(sources: tuple[str | None, ...], targets: tuple[str, ...], rows: Any) -> int:
            some = (r for r in rows if r["from_stage"] in sources and r["to_stage"] in targets)
            return sum(row["customers"] for row in some)

        found.append(
            {
                "month": month.strftime("%Y-%m"),
                "stages": ends,
                "came": moved((None,), schemas.STAGES, here),
                "slipped": moved(HERE, AWAY, here),
                "won_back": moved(AWAY, HERE, here),
                "moves": [
                    {"from": r["from_stage"], "to": r["to_stage"], "customers": r["customers"]}
                    for r in here
                ],
            }
        )
    return found


def bringing(baskets: pa.Table, products: pa.Table, *, until: int) -> Record:
    """Products and categories that go together with coming back, and those with staying away.

    `days, tested, products {more, less}, categories {more, less}`, rows of
    `retention_products.bring_back` with a title; `sure` where chance, corrected, is below 5 %.
    """
    found = retention_products.visits(baskets)
    here = pc.index_in(found.product, value_set=products["product_id"].combine_chunks())
    category = products["category"].cast(pa.string()).combine_chunks().take(here)
    names = titles(products)
    said: Record = {"days": retention_products.DAYS, "tested": {}}
    for kind, what in (("products", found.product), ("categories", category)):
        rows = retention_products.bring_back(found, what, until=until).to_pylist()
        for row in rows:
            row["sure"] = row["adjusted"] < 0.05
            row["title"] = names.get(row["name"]) or row["name"]
        said["tested"][kind] = len(rows)
        rows.sort(key=lambda row: (not row["sure"], row["adjusted"], row["name"]))
        said[kind] = {
            "more": [row for row in rows if row["difference"] > 0][:LISTED],
            "less": [row for row in rows if row["difference"] < 0 and row["sure"]][:LISTED],
        }
    return said


def titles(products: pa.Table) -> dict[str, str]:
    """Products' titles by id, where they have one."""
    pairs = zip(products["product_id"].to_pylist(), products["title"].to_pylist(), strict=True)
    return {id: title for id, title in pairs if title}


def _stages(
    stage: pa.Array,
    life: pa.Table,
    money: tuple[Any, Any],
    months: list[Record],
) -> list[Record]:
    """Each stage: customers, how many at the month's beginning, and what is expected of them."""
    before = dict.fromkeys(schemas.STAGES, 0)
    for move in months[-1]["moves"] if months else ():
        if move["from"] is not None:
            before[move["from"]] += move["customers"]
    orders = numbers(life["expected_orders_90d"])
    found = []
    for name in schemas.STAGES:
        hers = pc.equal(stage, name).to_numpy(zero_copy_only=False)
        found.append(
            {
                "stage": name,
                "before": before[name] if len(months) > 1 else None,
                "expected_orders_90d": float(np.sum(orders[hers])),
                "back_90d": float(np.sum(numbers(life["return_probability_90d"])[hers])),
                **retention_slipping.sums(hers, *money),
            }
        )
    return found
