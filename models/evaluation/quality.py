"""Quality: lists about to be shown in, what is wrong with them out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import Places, encode, place
from models.evaluation.intervals import numbers

COLUMNS = ("customer_id", "rank", "product_id", "score")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: how often, with one example, in a sentence for a person.

    code: missing_value, no_list, too_few, too_many, unknown_customer, duplicate_product,
    wrong_rank, unavailable, score_not_finite or score_order. count: of customers, for unavailable
    and missing_value of rows. example: a customer_id, a product_id for unavailable, a column for
    missing_value.
    """

    code: str
    count: int
    example: str
    sentence: str


def check(
    lists: pa.Table, *, k: int, available: pa.Array | None, customers: pa.Array
) -> list[Finding]:
    """What is wrong with the lists, in the order of `Finding.code`; empty where nothing is.

    lists: customer_id, rank, product_id, score, in any row order. customers: who should have
    exactly k products at ranks 1 to k, scores falling or equal with rank. available: what may be
    shown; None: everything. A row with a missing value is found and left out of the other checks.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    for name in COLUMNS:
        if name not in lists.column_names:
            raise ValueError(
                f"lists must have a column {name}, got {', '.join(lists.column_names)}"
            )
    found, lists = _whole(lists)
    expected = customers.cast(pa.string())
    (wanted, owner), words = encode(expected, lists["customer_id"].cast(pa.string()))
    (product,), products = encode(lists["product_id"].cast(pa.string()))
    rank, score = lists["rank"].to_numpy().astype(np.int64), numbers(lists["score"])
    order = np.lexsort((rank, owner))
    owner, product, rank, score = owner[order], product[order], rank[order], score[order]

    n = len(words)
    length = np.bincount(owner, minlength=n)
    known = np.bincount(wanted, minlength=n) > 0
    same = np.diff(owner) == 0  # this row and the next are of one list

    def of_customers(code: str, who: npt.NDArray[np.bool_] | Places, said: str) -> None:
        """A finding where any customer is marked; `said` may use {who} and {length}."""
        marked = np.flatnonzero(who if who.dtype == np.bool_ else np.bincount(who, minlength=n))
        if marked.size:
            one = words[int(marked[0])].as_py()
            detail = said.format(who=one, length=length[marked[0]], k=k)
            found.append(Finding(code, marked.size, one, f"{_count(marked.size)} {detail}"))

    of_customers("no_list", known & (length == 0), "without a list, such as {who}")
    of_customers(
        "too_few",
        known & (length > 0) & (length < k),
        "with fewer than {k} products, such as {who} with {length}",
    )
    of_customers(
        "too_many",
        known & (length > k),
        "with more than {k} products, such as {who} with {length}",
    )
    of_customers("unknown_customer", ~known, "that nobody asked for, such as {who}")
    pairs = np.sort(owner * len(products) + product)
    twice = pairs[1:][np.diff(pairs) == 0]
    if twice.size:
        one = products[int(twice[0] % len(products))]
        of_customers(
            "duplicate_product",
            twice // len(products),
            f"with one product twice, such as {{who}} with {one}",
        )
    nth = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    of_customers("wrong_rank", owner[rank != nth], "whose ranks are not 1, 2, 3 …, such as {who}")
    if available is not None:
        allowed = place(products, available.cast(pa.string())) >= 0
        hidden = product[~allowed[product]]
        if hidden.size:
            one = products[int(hidden[0])].as_py()
            shows = "place shows" if hidden.size == 1 else "places show"
            sentence = f"{hidden.size} {shows} what is not available, such as {one}"
            found.append(Finding("unavailable", hidden.size, one, sentence))
    of_customers(
        "score_not_finite",
        owner[~np.isfinite(score)],
        "with a score that is no number, such as {who}",
    )
    rises = np.flatnonzero(same & (score[1:] > score[:-1]))
    of_customers("score_order", owner[rises], "with a better score at a worse rank, such as {who}")
    return found


def _whole(lists: pa.Table) -> tuple[list[Finding], pa.Table]:
    """The finding about missing values, and the rows without any; NaN scores are kept."""
    found, whole = [], None
    for name in COLUMNS:
        valid = pc.is_valid(lists[name])
        whole = valid if whole is None else pc.and_(whole, valid)
        missing = lists[name].null_count
        if missing:
            sentence = f"{_count(missing, 'row')} without {name}"
            found.append(Finding("missing_value", missing, name, sentence))
    return found, lists.filter(whole)


def _count(n: int, what: str = "customer") -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
