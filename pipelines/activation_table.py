"""A campaign's table: people, their worth and what was decided in, rows of ACTIVATION out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import ACTIVATION, TIME
from models.bundle import Bundle
from pipelines import activation_past, activation_reasons, activation_worth
from pipelines.activation_people import Floats, People
from pipelines.activation_rules import Activation
from pipelines.activation_worth import Worth


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of n customers.

    left_out: (n,) why, empty for who is in an arm. order: rows of both arms, best first; held:
    beside it, who is held out. products: (n,). since: (n,) days since she was last chosen, NaN
    where that is long ago. channel: (n,) the best, null where none may be used.
    """

    left_out: npt.NDArray[np.object_]
    order: npt.NDArray[np.int64]
    held: npt.NDArray[np.bool_]
    products: list[list[str]]
    since: Floats
    channel: pa.Array


def table(
    people: People,
    worth: Worth,
    decided: Decided,
    bundle: Bundle,
    rules: Activation,
    *,
    as_of: datetime,
) -> pa.Table:
    """A row a customer, by ascending id."""
    n = len(people.ids)
    arm, rank = np.full(n, None, object), np.zeros(n, np.int32)
    arm[decided.order] = np.where(decided.held, "holdout", "contact")
    rank[decided.order] = np.arange(1, len(decided.order) + 1)
    codes, sentences = activation_reasons.reasons(
        people, titles=_titles(bundle, people), as_of_days=as_of.timestamp() / 86_400
    )
    known = dict(zip(activation_past.KNOWN, activation_worth.known(people).T, strict=True))
    columns = {
        "campaign": pa.repeat(pa.scalar(as_of.date().isoformat()), n),
        "customer_id": people.ids,
        "arm": pa.array(arm, pa.string()),
        "rank": pa.array(rank, mask=rank == 0),
        "stage": people.stage,
        "reason_code": pa.array(codes, pa.string()),
        "reason": pa.array(sentences, pa.string()),
        "left_out": pa.array([code or None for code in decided.left_out], pa.string()),
        "left_out_reason": pa.array(_why(worth, decided, rules), pa.string()),
        "products": pa.array(decided.products, pa.list_(pa.string())),
        "best_channel": decided.channel,
        "valid_until": pa.repeat(pa.scalar(as_of + timedelta(days=rules.valid_days), TIME), n),
        "expected_value_without": worth.without,
        "expected_value_with": worth.with_,
        "uplift": pa.array(worth.uplift, mask=np.isnan(worth.uplift)),
        **known,
    }
    return pa.table({name: columns[name] for name in ACTIVATION.names}).cast(ACTIVATION)


def _why(worth: Worth, decided: Decided, rules: Activation) -> list[str | None]:
    gain = (worth.with_ - worth.without).tolist()
    rows: Any = zip(decided.left_out, decided.since.tolist(), gain, strict=True)
    return [
        activation_reasons.left_out(
            code, days=int(np.nan_to_num(days)), rest=rules.rest_days, gain=more, cost=rules.cost
        )
        if code
        else None
        for code, days, more in rows
    ]


def _titles(bundle: Bundle, people: People) -> dict[str, str]:
    wanted = pc.unique(people.due["product_id"])
    rows = bundle.products.filter(pc.is_in(bundle.products["product_id"], value_set=wanted))
    pairs = zip(rows["product_id"].to_pylist(), rows["title"].to_pylist(), strict=True)
    return {id: title for id, title in pairs if title}
