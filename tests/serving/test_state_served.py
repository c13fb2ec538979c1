"""Customer state through the whole app."""

import sqlite3

from serving.state import StoreError
from serving.state.embedded import Embedded


def sent(client, *events):
    """Post events; each is a type, a product and what else is said."""
    batch = [
        {"event_id": f"e{i}", "event_type": kind, "product_id": product, "customer_id": "c0"} | more
        for i, (kind, product, more) in enumerate(events)
    ]
    return client.post("/v1/events", json={"events": batch})


def shown(client, customer="c0"):
    answer = client.get(f"/v1/customers/{customer}/recommendations")
    assert answer.status_code == 200, answer.text
    return [item["product_id"] for item in answer.json()["items"]]


def test_what_was_just_bought_leaves_the_very_next_answer(client):
    first = shown(client)[0]
    answer = sent(client, ("purchase", first, {"quantity": 1, "unit_price": 9.5}))
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 1, "known": 0, "warnings": []}
    assert first not in shown(client)
    assert first in shown(client, "c2") + shown(client, "c1")


def test_sending_the_batch_again_changes_nothing(client):
    first = shown(client)[0]
    assert sent(client, ("purchase", first, {})).json()["accepted"] == 1
    after = shown(client)
    assert sent(client, ("purchase", first, {})).json() == {
        "accepted": 0,
        "known": 1,
        "warnings": [],
    }
    assert shown(client) == after


def test_a_bad_event_takes_nothing_of_its_batch(client):
    first = shown(client)[0]
    answer = sent(client, ("purchase", first, {}), ("bought", "p1", {}))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["parameter"] == "events[1].event_type"
    assert first in shown(client)


def test_a_product_that_the_model_has_not_learned_is_taken(client):
    (warning,) = sent(client, ("view_item", "brand-new", {})).json()["warnings"]
    assert (warning["code"], warning["count"]) == ("unknown_products", 1)


def test_a_store_that_cannot_write_acknowledges_nothing_and_answers_go_on(client, monkeypatch):
    first = shown(client)[0]

    async def full(self, events, *, now):
        raise StoreError("database or disk is full")

    monkeypatch.setattr(Embedded, "add", full)
    answer = sent(client, ("purchase", first, {}))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "database or disk is full" in answer.json()["detail"]
    assert shown(client)[0] == first


def test_what_was_taken_is_written_for_the_next_training_when_the_server_ends(shop, bundles):
    client = shop()
    sent(client, ("view_item", "p1", {}), ("view_item", "p2", {}))
    shop()  # ends the server before
    (file,) = (bundles.parent / "collected").glob("events-*.parquet")
    assert file.stat().st_size > 0
    with sqlite3.connect(bundles.parent / "state" / "state.sqlite") as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (2,)
    database.close()
