"""Returns: lists and what customers who had drifted away came back for in, who was shown it out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import encode, ids, place

AWAY = ("cooling", "at_risk", "lapsed")  # stages of who had drifted away
METRIC = "return_hit_rate"


def first_orders(purchases: pa.Table, customers: pa.Array | pa.ChunkedArray) -> pa.Table:
    """customer_id, product_id of the first order of each of `customers`, a row a product.

    purchases: customer_id, product_id, order_id, event_time, of any customers, in any row order.
    """
    rows = purchases.select(["customer_id", "product_id", "order_id", "event_time"])
    rows = rows.filter(pc.is_in(rows["customer_id"], value_set=customers))
    rows = rows.sort_by([(name, "ascending") for name in ("event_time", "order_id")])
    first = rows.group_by("customer_id", use_threads=False).aggregate([("order_id", "first")])
    whose = pc.index_in(rows["customer_id"], value_set=first["customer_id"].combine_chunks())
    rows = rows.filter(pc.equal(rows["order_id"], first["order_id_first"].take(whose)))
    pairs = rows.select(["customer_id", "product_id"])
    return pairs.group_by(["customer_id", "product_id"], use_threads=False).aggregate([])


def beside(per_customer: pa.Table, lists: pa.Table, returned: pa.Table, *, k: int = 10) -> pa.Table:
    """`per_customer` with return_hit_rate_at_k, null for who is not in `returned`.

    1 where a product of the order with which she came back stands at rank k or above, else 0.
    lists: customer_id, rank, product_id. returned: what `first_orders` gives of who was away.
    """
    customers = ids(per_customer, "customer_id", of="per_customer").combine_chunks()
    top = lists.filter(pc.less_equal(lists["rank"], k))
    who = [
        place(ids(table, "customer_id", of=of), customers)
        for table, of in ((returned, "returned"), (top, "lists"))
    ]
    what, products = encode(
        ids(returned, "product_id", of="returned"), ids(top, "product_id", of="lists")
    )
    came, shown = (a * len(products) + b for a, b in zip(who, what, strict=True))
    known = who[0] >= 0
    figure = np.full(len(customers), np.nan)
    figure[who[0][known]] = 0.0
    figure[who[0][known & np.isin(came, shown[who[1] >= 0])]] = 1.0
    return per_customer.append_column(
        f"{METRIC}_at_{k}", pa.array(figure, pa.float64(), from_pandas=True)
    )
