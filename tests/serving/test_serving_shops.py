"""Readiness of several shops, and live tests in the request path, asked over HTTP."""

import time
from datetime import UTC, datetime

import pyarrow.dataset
import pytest

from features import keys
from features.artifact import point
from serving.app import create
from serving.settings import Settings


@pytest.fixture
def two(tmp_path, pytestconfig):
    """Shops `north` and `south`, each with a key; south sells p1 alone."""
    from pathlib import Path

    conftest = pytestconfig.pluginmanager.getplugin(str(Path(__file__).with_name("conftest.py")))
    secrets = {}
    for name, only in (("north", None), ("south", "p1")):
        available = [only is None or f"p{j}" == only for j in range(10)]
        conftest.published(
            tmp_path / name / "bundles", products=conftest.catalogue(available=available)
        )
        scopes = ["storefront", "events", "operator"]
        _, secret = keys.add(tmp_path / name / "keys.json", scopes=scopes, now=datetime.now(UTC))
        secrets[name] = {"X-API-Key": secret}
    settings = Settings(shops=tmp_path, poll_seconds=0.02)
    with conftest.TestClient(create(settings), raise_server_exceptions=False) as client:
        yield client, secrets


def test_readiness_of_several_shops_names_none(two):
    client, _ = two
    said = client.get("/readyz").json()
    assert (said["ready"], said["reason"]) == (True, "2 of 2 shops are ready")
    assert "north" not in client.get("/readyz").text


TEST = """
[experiments.new-home]
arms = { old = 0.5, new = 0.5 }
start = 2020-01-01T00:00:00Z
serve = { new = { bundle = "candidate", surface = "bold" } }

[surfaces.bold]
slots = 2
"""


def until(holds):
    """What `holds` gives as soon as it is something; fails after half a minute."""
    end = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


def arms(client) -> dict[str, dict]:
    """By customer, her answer on home."""
    customers = [f"c{i}" for i in range(8)]
    return {c: client.get(f"/v1/customers/{c}/recommendations").json() for c in customers}


def test_an_arm_is_answered_from_its_own_bundle_and_surface_and_everything_is_logged(
    client, publish, bundles
):
    first = client.get("/readyz").json()["bundle"]
    second = publish(about={"model": {"name": "other", "version": "2"}})
    point(bundles / "current", first)
    point(bundles / "candidate", second)
    (bundles.parent / "shop.toml").write_text(TEST)
    until(lambda: any(a["model"]["name"] == "other" for a in arms(client).values()))
    found = arms(client)
    seen = {answer["experiments"][0]["arm"] for answer in found.values()}
    assert seen == {"old", "new"}
    for answer in found.values():
        arm = answer["experiments"][0]["arm"]
        assert answer["model"]["name"] == {"old": "near", "new": "other"}[arm]
        assert (len(answer["items"]) == 2) == (arm == "new")
    again = arms(client)
    assert {c: a["experiments"] for c, a in again.items()} == {
        c: a["experiments"] for c, a in found.items()
    }
    client.__exit__(None, None, None)  # the log is whole at the end
    log = pyarrow.dataset.dataset(bundles.parent / "exposures", format="parquet").to_table()
    rows = log.filter(pyarrow.compute.field("request_id") == again["c3"]["request_id"]).to_pylist()
    assert [row["product_id"] for row in rows] == [
        item["product_id"] for item in again["c3"]["items"]
    ]
    assert {(row["experiment"], row["arm"], row["propensity"]) for row in rows} == {
        ("new-home", again["c3"]["experiments"][0]["arm"], None)
    }


def test_a_test_whose_bundle_is_missing_does_not_run(client, bundles):
    (bundles.parent / "shop.toml").write_text(TEST)
    time.sleep(0.3)
    assert all(answer["experiments"] == [] for answer in arms(client).values())


def test_two_rankers_share_a_list_and_each_product_is_logged_with_its_arm(client, bundles):
    (bundles.parent / "shop.toml").write_text(
        TEST.replace("serve = { new = { bundle", "interleave = true\nserve = { new = { bundle")
        .replace('bundle = "candidate", ', "")
        .replace("slots = 2", "sources = { popular = 1 }")
    )
    answer = until(lambda: (one := arms(client)["c0"])["experiments"] and one)
    assert answer["experiments"] == [{"experiment": "new-home", "arm": "interleaved"}]
    assert [item["rank"] for item in answer["items"]] == list(range(1, len(answer["items"]) + 1))
    assert {"near", "popular"} <= {item["source"] for item in answer["items"]}
    client.__exit__(None, None, None)
    log = pyarrow.dataset.dataset(bundles.parent / "exposures", format="parquet").to_table()
    rows = log.filter(pyarrow.compute.field("request_id") == answer["request_id"]).to_pylist()
    assert len(rows) == len(answer["items"])


def test_a_share_of_answers_is_explored_with_the_chance_of_each_place_logged(client, bundles):
    (bundles.parent / "shop.toml").write_text("[surfaces.home]\nexplore = 1.0\nslots = 2\n")
    lists = set()
    for _ in range(300):
        answer = client.get("/v1/customers/nobody/recommendations").json()
        if len(answer["items"]) == 2:
            lists.add(tuple(item["product_id"] for item in answer["items"]))
        if len(lists) > 3:
            break
        time.sleep(0.01)
    assert len(lists) > 3
    client.__exit__(None, None, None)
    log = pyarrow.dataset.dataset(bundles.parent / "exposures", format="parquet").to_table()
    drawn = [round(row["propensity"], 9) for row in log.to_pylist() if row["propensity"]]
    chances = set(drawn)
    assert chances == {round(1 / 6, 9)}  # any of the first six at each place


def test_what_is_shown_and_ignored_steps_behind_the_others(client, bundles):
    (bundles.parent / "shop.toml").write_text("[surfaces.home]\nrotate = 3\nslots = 1\n")
    first = []
    for _ in range(300):
        items = client.get("/v1/customers/nobody/recommendations").json()["items"]
        if len(items) == 1:
            first.append(items[0]["product_id"])
        if len(first) == 8:
            break
        time.sleep(0.01)
    assert first == ["p3"] * 3 + ["p0"] * 3 + ["p1"] * 2
