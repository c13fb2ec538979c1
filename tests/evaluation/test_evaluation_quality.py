"""Every fault planted in good lists is found, and nothing in good ones."""

from __future__ import annotations

import pyarrow as pa
import pytest

from models.evaluation.quality import Finding, check

Row = tuple[str | None, int | None, str | None, float | None]
GOOD: list[Row] = [
    ("ann", 1, "a", 0.9),
    ("ann", 2, "b", 0.5),
    ("bob", 1, "b", 0.7),
    ("bob", 2, "c", 0.7),
]


def findings(rows: list[Row], available: str | None = "abc") -> list[Finding]:
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 4
    kinds = {"customer_id": "str", "rank": "int32", "product_id": "str", "score": "float32"}
    lists = pa.table(
        {n: pa.array(list(c), t) for (n, t), c in zip(kinds.items(), columns, strict=True)}
    )
    shown = None if available is None else pa.array(list(available))
    return check(lists, k=2, available=shown, customers=pa.array(["ann", "bob"]))


def test_good_lists_have_no_findings_in_any_order_of_rows() -> None:
    assert findings(GOOD) == findings(GOOD[::-1]) == []


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (GOOD[:2], ("no_list", 1, "bob", "1 customer without a list, such as bob")),
        (
            GOOD[:3],
            ("too_few", 1, "bob", "1 customer with fewer than 2 products, such as bob with 1"),
        ),
        (
            [*GOOD, ("bob", 3, "a", 0.1)],
            ("too_many", 1, "bob", "1 customer with more than 2 products, such as bob with 3"),
        ),
        (
            [*GOOD, ("eve", 1, "a", 0.1)],
            ("unknown_customer", 1, "eve", "1 customer that nobody asked for, such as eve"),
        ),
        (
            [*GOOD[:3], ("bob", 2, "b", 0.1)],
            (
                "duplicate_product",
                1,
                "bob",
                "1 customer with one product twice, such as bob with b",
            ),
        ),
        (
            [*GOOD[:3], ("bob", 3, "c", 0.1)],
            ("wrong_rank", 1, "bob", "1 customer whose ranks are not 1, 2, 3 …, such as bob"),
        ),
        (
            [*GOOD[:3], ("bob", 2, "x", 0.1)],
            ("unavailable", 1, "x", "1 place shows what is not available, such as x"),
        ),
        (
            [*GOOD[:3], ("bob", 2, "c", float("nan"))],
            (
                "score_not_finite",
                1,
                "bob",
                "1 customer with a score that is no number, such as bob",
            ),
        ),
        (
            [*GOOD[:3], ("bob", 2, "c", 0.8)],
            (
                "score_order",
                1,
                "bob",
                "1 customer with a better score at a worse rank, such as bob",
            ),
        ),
        (
            [*GOOD, ("bob", 2, None, 0.1)],
            ("missing_value", 1, "product_id", "1 row without product_id"),
        ),
    ],
)
def test_one_fault_is_one_finding(rows: list[Row], wanted: tuple[str, int, str, str]) -> None:
    assert findings(rows) == [Finding(*wanted)]


def test_no_lists_at_all_are_named_once() -> None:
    (finding,) = findings([])
    assert (finding.code, finding.count) == ("no_list", 2)
    assert finding.sentence == "2 customers without a list, such as ann"


def test_everything_may_be_shown_where_nothing_says_otherwise() -> None:
    rows = [*GOOD[:3], ("bob", 2, "x", 0.1)]
    assert findings(rows, None) == []
    assert [f.count for f in findings(rows, "")] == [4]


def test_many_faults_are_all_found() -> None:
    rows: list[Row] = [("ann", 1, "a", 0.1), ("ann", 1, "a", 0.2), ("eve", 7, "x", 0.3)]
    assert [f.code for f in findings(rows)] == [
        "no_list",
        "unknown_customer",
        "duplicate_product",
        "wrong_rank",
        "unavailable",
        "score_order",
    ]


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(ValueError, match="lists must have a column rank, got customer_id"):
        check(pa.table({"customer_id": ["a"]}), k=1, available=None, customers=pa.array(["a"]))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        check(pa.table({}), k=0, available=None, customers=pa.array(["a"]))
