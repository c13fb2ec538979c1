"""Live tests through the whole server: the arm in the answer, what it serves, and the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.artifact import point
from features.schemas import EXPOSURES

TEST = """
[experiments.bundles]
arms = { old = 0.5, new = 0.5 }
start = 2020-01-01T00:00:00Z
surfaces = ["home"]
serve = { new = { bundle = "candidate" } }
"""
BOTH = TEST.replace("surfaces", "interleave = true\nsurfaces")
CUSTOMERS = [f"c{n}" for n in range(8)]


@pytest.fixture
def two(bundles: Path, shop: Callable[..., Any], publish: Callable[..., str]) -> Any:
    """A client of a shop that declares what is said, with version 2 beside it as the candidate."""

    def open(declared: str) -> Any:
        (bundles.parent / "shop.toml").write_text(declared, "utf-8")
        point(bundles / "candidate", publish(version="2", seen="keep"))
        return shop(version="1")

    return open


def ask(client: Any, customer: str, *, surface: str = "home", n: int = 3) -> dict[str, Any]:
    at = f"/v1/customers/{customer}/recommendations?surface={surface}&n={n}"
    answer = client.get(at)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(client: Any, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask until the server has taken in what changed on the disk."""
    for _ in range(200):
        if holds(answer := ask(client, "c1")):
            return answer
        time.sleep(0.02)
    raise AssertionError(answer)


def logged(client: Any, bundles: Path) -> list[dict[str, Any]]:
    """Stop the server; what its log then holds, in the order of the answers."""
    client.__exit__(None, None, None)
    rows: list[dict[str, Any]] = pq.read_table(
        bundles.parent / "exposures", schema=EXPOSURES
    ).to_pylist()
    return rows


def test_each_arm_is_answered_from_its_bundle_and_every_product_shown_is_logged(
    two: Any, bundles: Path
) -> None:
    client = two(TEST)
    until(client, lambda answer: bool(answer["experiments"]))
    answers = {customer: ask(client, customer) for customer in CUSTOMERS}
    arms = {}
    for customer, answer in answers.items():
        ((name, arm),) = [(one["experiment"], one["arm"]) for one in answer["experiments"]]
        assert name == "bundles"
        assert answer["model"]["version"] == {"old": "1", "new": "2"}[arm]
        assert ask(client, customer)["experiments"] == answer["experiments"]
        arms[customer] = arm
    assert set(arms.values()) == {"old", "new"}
    assert ask(client, "c1", surface="cart")["experiments"] == []
    rows = logged(client, bundles)
    for customer, answer in answers.items():
        mine = [row for row in rows if row["request_id"] == answer["request_id"]]
        assert [row["product_id"] for row in mine] == [i["product_id"] for i in answer["items"]]
        assert [row["position"] for row in mine] == [1, 2, 3]
        assert {(row["customer_id"], row["experiment"], row["arm"]) for row in mine} == {
            (customer, "bundles", arms[customer])
        }
    assert {row["experiment"] for row in rows if row["surface"] == "cart"} == {None}


def test_a_test_waits_for_its_bundle_and_a_file_that_cannot_be_meant_changes_nothing(
    two: Any, bundles: Path
) -> None:
    client = two(TEST.replace("candidate", "later"))
    assert ask(client, "c1")["experiments"] == []
    point(bundles / "later", (bundles / "candidate").read_text().strip())
    until(client, lambda answer: bool(answer["experiments"]))
    (bundles.parent / "shop.toml").write_text(TEST.replace("0.5", "0.7"), "utf-8")
    time.sleep(0.2)
    assert ask(client, "c1")["experiments"]
    (bundles.parent / "shop.toml").write_text("", "utf-8")
    until(client, lambda answer: not answer["experiments"])


def test_both_arms_draft_one_list_and_the_log_says_who_picked_what(two: Any, bundles: Path) -> None:
    client = two(BOTH)
    until(client, lambda answer: bool(answer["experiments"]))
    answers = [ask(client, customer, n=4) for customer in CUSTOMERS for _ in range(5)]
    for answer in answers:
        assert answer["experiments"] == [{"experiment": "bundles", "arm": "interleaved"}]
        assert len({item["product_id"] for item in answer["items"]}) == 4
    rows = logged(client, bundles)
    first: Counter[str] = Counter()
    for answer in answers:
        mine = [row for row in rows if row["request_id"] == answer["request_id"]]
        assert Counter(row["arm"] for row in mine) == {"old": 2, "new": 2}
        first[mine[0]["arm"]] += 1
        for row in mine:
            assert row["model"].endswith({"old": "1", "new": "2"}[row["arm"]])
    assert set(first) == {"old", "new"}


def test_an_exploring_surface_logs_the_chances_of_what_it_shows(two: Any, bundles: Path) -> None:
    client = two("[surfaces.home]\nexplore = 0.5\n")
    lists = {tuple(i["product_id"] for i in ask(client, "c1")["items"]) for _ in range(60)}
    assert len(lists) > 5
    rows = logged(client, bundles)
    chances = Counter(round(row["propensity"], 6) for row in rows)
    assert len(chances) == 2  # of a ranked product in its place, and of any other
    low, high = sorted(chances)
    assert high - low == pytest.approx(0.5)
    assert all(0 < row["propensity_given_above"] <= 1 for row in rows)


def test_what_she_passes_by_steps_behind(two: Any) -> None:
    client = two("[surfaces.home]\nrotate = 3\n")
    first = ask(client, "c1")["items"][0]["product_id"]
    lists = [[item["product_id"] for item in ask(client, "c1")["items"]] for _ in range(3)]
    assert lists[1][0] == first
    assert first not in lists[2]
