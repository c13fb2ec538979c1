"""Audience: a product, a category or a supplier in, the customers most likely to want it out.

The published model scores every customer's history for the product, or for the best of several.
Who bought it lately is left out, and who is about to buy it anyway by her replenishment clock.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.replenishment import replenishment
from models.bundle import Bundle, open_bundle
from models.history import Codes
from pipelines import publish
from pipelines.activation_rules import ActivationError
from pipelines.build import last_event
from pipelines.progress import step
from pipelines.settings import Shop
from pipelines.workspace import Workspace

Kind = Literal["product", "category", "supplier"]
LATELY = 28  # days since she bought one of them
ANYWAY = 0.5  # chance that she buys one within 14 days
BLOCK = 1 << 14  # customers ranked at once
AUDIENCE = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("product_id", pa.string(), nullable=False),  # the one that she wants most
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def run(
    workspace: Workspace, shop: Shop, wanted: str, *, n: int, as_of: datetime | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """The n customers who want it most, as AUDIENCE, and what was found.

    That is `wanted, kind, products, customers, personal, left_out {WHY: n}, bundle, as_of`;
    personal: whether the model tells customers apart. Raises ActivationError.
    """
    del shop
    serving = publish.serving(workspace)
    if serving is None:
        raise ActivationError(
            f"no bundle is published in {workspace.root}: `regulars publish` first"
        )
    as_of = as_of or last_event(workspace.tables)
    with workspace.lock("work", shared=True), step("audience"):
        bundle = open_bundle(workspace.bundles / serving)
        kind, codes = meant(bundle, wanted)
        best, score = scores(bundle, codes)
        if not (best >= 0).any():
            raise ActivationError(f"the published model ranks nothing of {kind} {wanted!r} yet")
        lately = _lately(bundle, codes, as_of)
        anyway = ~lately & _anyway(workspace, bundle, codes, as_of)
        keep = np.flatnonzero(~lately & ~anyway & (best >= 0))
    order = keep[np.lexsort((keep, -score[keep]))][:n]
    left = {"bought_lately": lately, "buys_anyway": anyway}
    told = {
        "wanted": wanted,
        "kind": kind,
        "products": len(codes),
        "customers": len(order),
        "personal": bool(np.ptp(score[best >= 0]) > 0),
        "left_out": {code: int(rows.sum()) for code, rows in left.items() if rows.any()},
        "bundle": serving,
        "as_of": as_of.isoformat(),
    }
    return _table(bundle, order, score, best), told


def meant(bundle: Bundle, wanted: str) -> tuple[Kind, Codes]:
    """What a word names, and the codes of its products; raises ActivationError where nothing.

    A product's id comes before a category, a category before a supplier's id.
    """
    kinds: tuple[tuple[Kind, str], ...] = (
        ("product", "product_id"), ("category", "category"), ("supplier", "supplier_id"),
    )  # fmt: skip
    for kind, column in kinds:
        match = pc.fill_null(pc.equal(bundle.products[column].cast(pa.string()), wanted), False)
        found = np.flatnonzero(match.to_numpy()).astype(np.int32)
        if len(found):
            return kind, found
    raise ActivationError(f"no product, category or supplier is called {wanted!r}")


def scores(bundle: Bundle, codes: Codes) -> tuple[Codes, npt.NDArray[np.float32]]:
    """(customers,) which of some products each wants most, -1 where none is ranked; its score."""
    recommender = bundle.recommender
    rows, size = recommender.history.rows, BLOCK
    found = [
        recommender.rank(
            recommender.history.take(np.arange(start, min(start + size, rows))),
            1, among=codes, seen="keep",
        )
        for start in range(0, rows, size)
    ]  # fmt: skip
    if not found:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    return (
        np.concatenate([one.codes[:, 0] for one in found]),
        np.concatenate([one.scores[:, 0] for one in found]),
    )


def write(table: pa.Table, path: Path) -> None:
    """CSV by the name's end, lists with spaces between; else parquet. Replaces the file whole."""
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.beside")
    try:
        if path.suffix == ".csv":
            for place, field in enumerate(table.schema):
                if pa.types.is_list(field.type):
                    joined = pc.binary_join(table[field.name], " ")
                    table = table.set_column(place, field.name, joined)
            csv.write_csv(table, beside)
        else:
            pq.write_table(table, beside, compression="zstd")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _lately(bundle: Bundle, codes: Codes, as_of: datetime) -> npt.NDArray[np.bool_]:
    """(customers,): bought one of them within LATELY days."""
    bought = bundle.bought
    since = as_of.timestamp() / 86_400 - LATELY
    hit = np.isin(bought.products, codes) & (bought.days >= since)
    row = np.repeat(np.arange(len(bought.starts) - 1), np.diff(bought.starts))
    found = np.zeros(len(bought.starts) - 1, np.bool_)
    found[row[hit]] = True
    return found


def _anyway(
    workspace: Workspace, bundle: Bundle, codes: Codes, as_of: datetime
) -> npt.NDArray[np.bool_]:
    """(customers,): likely to buy one of them within two weeks by herself."""
    clock = replenishment(workspace.tables, as_of=as_of, current=False)
    rows = clock.read(["customer_id", "product_id", "chance_14d"])
    rows = rows.filter(pc.greater_equal(rows["chance_14d"], ANYWAY))
    customer = bundle.recommender.customer_map.codes(rows["customer_id"])
    product = bundle.recommender.product_map.codes(rows["product_id"])
    found = np.zeros(bundle.customers.num_rows, np.bool_)
    found[customer[(customer >= 0) & np.isin(product, codes)]] = True
    return found


def _table(bundle: Bundle, order: npt.NDArray[np.int64], score: Any, best: Codes) -> pa.Table:
    """The customers in that order, each with the product she wants most and why."""
    people = bundle.customers.take(pa.array(order))
    codes = best[order]
    titles = pc.coalesce(bundle.products["title"], bundle.products["product_id"]).to_pylist()
    held = bundle.recommender.history.weights
    near = bundle.similar_products
    reasons = []
    for row, code in zip(order.tolist(), codes.tolist(), strict=True):
        hers = set(held.indices[held.indptr[row] : held.indptr[row + 1]].tolist())
        like = next((one for one in near[code].tolist() if one in hers), None)
        if code in hers:
            reason = f"knows {titles[code]}"
        elif like is not None:
            reason = f"took {titles[like]}, which is like {titles[code]}"
        else:
            reason = f"customers like her take {titles[code]}"
        reasons.append(reason)
    return pa.table(
        {
            "customer_id": people["customer_id"],
            "rank": np.arange(1, len(order) + 1, dtype=np.int32),
            "score": score[order],
            "product_id": bundle.products["product_id"].take(pa.array(codes)),
            "stage": people["lifecycle_stage"],
            "reason": pa.array(reasons, pa.string()),
        }
    ).cast(AUDIENCE)
