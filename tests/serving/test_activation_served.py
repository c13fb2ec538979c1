"""A published campaign read over HTTP: one line, the list, and what is refused."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from features.schemas import ACTIVATION
from features.tables import Tables
from serving import activation
from serving.place import Place
from serving.problems import Refused

AT = datetime(2026, 3, 1, 4, 5, 6, 7, tzinfo=UTC)
ROWS = (  # customer, arm, rank, stage
    ("ä", "contact", 2, "at_risk"),
    ("b", "holdout", 1, "at_risk"),
    ("a", "contact", 3, "cooling"),
    ("c", None, None, "active"),
    ("d", "contact", 4, "at_risk"),
)


class Desk:
    """A shop's desk as far as the handlers look."""

    def __init__(self, home: Path) -> None:
        self.place = Place("shop", home / "bundles")


def publish(home: Path, campaign: str = "2026-03-01") -> None:
    rows = [
        {
            "campaign": campaign, "customer_id": id, "arm": arm, "rank": rank, "stage": stage,
            "reason": "ordered once, 9 weeks ago", "reason_code": "once", "products": ["p1", "p2"],
            "left_out": None if arm else "comes_anyway", "valid_until": AT,
            "expected_value_without": 1.5, "expected_value_with": 2.0, "best_channel": "email",
        }
        for id, arm, rank, stage in ROWS
    ]  # fmt: skip
    tables = Tables(home / "tables")
    part = tables.write("activation", pa.Table.from_pylist(rows, schema=ACTIVATION))
    id = tables.id("activation", campaign=campaign)
    tables.commit("activation", id, [part], as_of=AT, about={"campaign": campaign})


def one(desk: Desk, id: str) -> dict[str, Any]:
    scope = {"path_params": {"customer_id": id}}
    found: dict[str, Any] = json.loads(asyncio.run(activation.one(desk, None, scope, b"")))
    return found


def many(desk: Desk, query: str = "") -> dict[str, Any]:
    scope = {"query_string": query.encode()}
    found: dict[str, Any] = json.loads(asyncio.run(activation.many(desk, None, scope, b"")))
    return found


def test_one_customer_is_told_with_her_arm(tmp_path: Path) -> None:
    publish(tmp_path)
    desk = Desk(tmp_path)
    for id, arm, rank, stage in ROWS:
        told = one(desk, id)
        assert (told["customer_id"], told["arm"], told["rank"], told["stage"]) == (
            id, arm, rank, stage,
        )  # fmt: skip
    assert told["products"] == ["p1", "p2"]
    assert told["valid_until"] == "2026-03-01T04:05:06.000007Z"
    assert msgspec.convert(told, activation.Activation)
    assert one(desk, "c")["left_out"] == "comes_anyway"


def test_the_list_is_in_order_and_holds_no_one_held_out(tmp_path: Path) -> None:
    publish(tmp_path)
    desk = Desk(tmp_path)
    told = many(desk)
    assert [item["customer_id"] for item in told["items"]] == ["ä", "a", "d"]
    assert (told["campaign"], told["contacts"], told["next"]) == ("2026-03-01", 3, None)
    assert [item["customer_id"] for item in many(desk, "stage=at_risk")["items"]] == ["ä", "d"]
    assert many(desk, "stage=lapsed")["items"] == []


def test_a_list_is_read_on_where_it_ended(tmp_path: Path) -> None:
    publish(tmp_path)
    desk = Desk(tmp_path)
    found, after = [], 0
    while after is not None:
        part = many(desk, f"limit=1&after={after}")
        found += [item["customer_id"] for item in part["items"]]
        after = part["next"]
    assert found == ["ä", "a", "d"]


def test_a_newer_campaign_is_taken_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    publish(tmp_path)
    assert many(desk)["campaign"] == "2026-03-01"
    publish(tmp_path, "2026-03-02")
    assert many(desk)["campaign"] == "2026-03-02"


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("stage=gone", 400, "stage must be one of new, active"),
        ("limit=0", 400, "limit must be a whole number from 1 to 1000, got '0'"),
        ("limit=1001", 400, "got '1001'"),
        ("limit=²", 400, "limit must be"),
        ("after=-1", 400, "after must be"),
        ("stage=new&stage=active", 400, "stage must stand once"),
        ("arm=holdout", 400, "there is no parameter 'arm' here"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, query: str, status: int, said: str
) -> None:
    publish(tmp_path)
    with pytest.raises(Refused) as refused:
        many(Desk(tmp_path), query)
    assert refused.value.status == status
    assert said in refused.value.detail


def test_who_never_ordered_and_a_shop_without_campaigns_get_404(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        many(Desk(tmp_path))
    assert (refused.value.status, "regulars activate" in refused.value.detail) == (404, True)
    publish(tmp_path)
    with pytest.raises(Refused) as refused:
        one(Desk(tmp_path), "nobody")
    assert refused.value.status == 404
    assert "knows no customer 'nobody'" in refused.value.detail


def test_a_campaign_whose_file_is_gone_is_503(tmp_path: Path) -> None:
    publish(tmp_path)
    for path in (tmp_path / "tables" / "activation" / "parts").iterdir():
        path.unlink()
    with pytest.raises(Refused) as refused:
        one(Desk(tmp_path), "a")
    assert refused.value.status == 503


def test_every_route_is_described_by_types_that_there_are() -> None:
    named = json.dumps(activation.paths())
    for kind in activation.TYPES:
        assert f"#/components/schemas/{kind.__name__}" in named


def test_reading_a_campaign_imports_no_pandas(tmp_path: Path) -> None:
    publish(tmp_path)
    code = (
        "import asyncio, sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from serving import activation as a; from serving.place import Place\n"
        f"desk = N(place=Place('s', Path({str(tmp_path / 'bundles')!r})))\n"
        "asyncio.run(a.many(desk, None, {'query_string': b'stage=at_risk'}, b''))\n"
        "asyncio.run(a.one(desk, None, {'path_params': {'customer_id': 'a'}}, b''))\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
