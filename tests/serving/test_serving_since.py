"""What a customer did this minute changes the very next answer, asked over HTTP.

Customers c0, c2, … took even products, c1, c3, … odd ones; each left out one of her colour: c0 p2.
"""

import itertools
import time

import numpy as np
import pyarrow as pa
import pytest

ids = itertools.count().__next__


def send(client, customer: str, *happened: tuple[str, str], **more: object) -> None:
    events = [
        {
            "event_id": f"e{ids()}",
            "event_type": type,
            "customer_id": customer,
            "product_id": product,
            **more,
        }
        for type, product in happened
    ]
    answer = client.post("/v1/events", json={"events": events})
    assert (answer.status_code, answer.json()["accepted"]) == (200, len(events)), answer.text


def ask(client, customer: str, **query: object) -> dict:
    answer = client.get(f"/v1/customers/{customer}/recommendations", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(client, customer: str, **query: object) -> list[str]:
    return [item["product_id"] for item in ask(client, customer, **query)["items"]]


@pytest.fixture
def keeping(shop):
    """A shop whose customers come again for what they took; two orders hold p1, p3 and p5."""
    codes = np.full((10, 2), -1, np.int32)
    scores = np.full((10, 2), -np.inf, np.float32)
    for row, near in ((1, (3, 5)), (3, (1, 5)), (5, (1, 3))):
        codes[row], scores[row] = near, (2, 1)
    return shop(seen="keep", together=(codes, scores))


def test_a_bought_product_leaves_the_next_answer_though_the_list_keeps_what_was_taken(keeping):
    assert "p4" in shown(keeping, "c0")
    send(keeping, "c0", ("purchase", "p4"))
    assert "p4" not in shown(keeping, "c0")
    assert "p4" in shown(keeping, "c2")


def test_a_product_in_the_cart_leaves_and_comes_back_with_its_removal(keeping):
    send(keeping, "c0", ("add_to_cart", "p4"))
    assert "p4" not in shown(keeping, "c0")
    send(keeping, "c0", ("remove_from_cart", "p4"))
    assert "p4" in shown(keeping, "c0")


def test_the_last_clicks_steer_a_customer_of_the_other_colour(client):
    before = ask(client, "c1", explain="true")
    assert before["items"][0]["product_id"] == "p3"
    assert not before["items"][0]["explain"]["since"]
    send(client, "c1", *(("view_item", p) for p in ("p0", "p2", "p4")))
    after = ask(client, "c1", explain="true")
    assert {"p6", "p8"} <= {item["product_id"] for item in after["items"]}
    assert after["items"][0]["explain"]["since"]
    assert not {"p0", "p2", "p4"} & {item["product_id"] for item in after["items"]}


def test_a_visitor_without_history_is_ranked_by_her_first_click(client):
    assert ask(client, "cookie-7")["fallback"]
    send(client, "cookie-7", ("view_item", "p0"))
    answer = ask(client, "cookie-7")
    assert not answer["fallback"]
    assert answer["items"][0]["product_id"] in {"p2", "p4", "p6", "p8"}
    assert answer["items"][0]["reason"].startswith("because you chose")
    assert [note["code"] for note in answer["warnings"]].count("unknown_customer") == 0


def test_the_cart_surface_shows_what_is_bought_with_what_lies_in_the_cart(keeping):
    send(keeping, "c0", ("add_to_cart", "p1"))
    answer = ask(keeping, "c0", surface="cart", n=2)
    assert [item["product_id"] for item in answer["items"]] == ["p3", "p5"]
    assert {item["source"] for item in answer["items"]} == {"together"}
    assert answer["items"][0]["reason"] == "often bought with <b>Product</b> 1"
    given = ask(keeping, "c2", surface="cart", cart="p1,p3", n=1)
    assert given["items"][0]["product_id"] == "p5"


def test_a_product_page_shows_what_is_alike_and_never_the_product_itself(client):
    answer = ask(client, "c1", surface="product", product="p0", n=3)
    found = [item["product_id"] for item in answer["items"]]
    assert "p0" not in found
    assert set(found) <= {"p2", "p4", "p6", "p8"}
    assert answer["items"][0]["reason"] == "similar to <b>Product</b> 0"


def test_a_product_page_without_a_product_says_so_and_is_filled(client):
    answer = ask(client, "c1", surface="product")
    assert "no_context" in [note["code"] for note in answer["warnings"]]
    assert answer["items"]


def test_an_unknown_surface_is_answered_as_home_and_said_so(client):
    answer = ask(client, "c0", surface="attic")
    assert answer["warnings"][0]["code"] == "unknown_surface"
    assert answer["items"][0]["product_id"] == "p2"


def test_the_same_events_sent_again_count_once(client):
    event = {"event_id": "x", "event_type": "purchase", "customer_id": "c0", "product_id": "p2"}
    first = client.post("/v1/events", json={"events": [event]}).json()
    again = client.post("/v1/events", json={"events": [event]}).json()
    assert (first["accepted"], first["known"]) == (1, 0)
    assert (again["accepted"], again["known"]) == (0, 1)


def test_sold_out_leaves_every_answer_and_comes_back(client):
    def put(quantity: int) -> None:
        items = [{"product_id": "p2", "quantity": quantity}]
        assert client.put("/v1/stock", json={"items": items}).status_code == 200

    assert shown(client, "c0", n=1) == ["p2"]
    put(0)
    for query in ({}, {"surface": "product", "product": "p0"}, {"n": 10}, {"seen": "keep"}):
        assert "p2" not in shown(client, "c0", **query)
    assert "p2" not in shown(client, "nobody", n=10)
    put(3)
    assert shown(client, "c0", n=1) == ["p2"]


def test_what_was_out_when_published_comes_back_with_its_stock(shop):
    client = shop(products=pa.table({"product_id": [f"p{j}" for j in range(10)],
                                     "available": [j != 2 for j in range(10)]}))  # fmt: skip
    assert "p2" not in shown(client, "c0", n=10)
    client.put("/v1/stock", json={"items": [{"product_id": "p2", "quantity": 1}]})
    assert shown(client, "c0", n=1) == ["p2"]


def test_a_substitute_stands_in_the_place_of_a_sold_out_product_and_is_marked(keeping):
    first = shown(keeping, "c0", n=3)[0]
    keeping.put("/v1/stock", json={"items": [{"product_id": first, "quantity": 0}]})
    items = ask(keeping, "c0", n=3, substitutes="true")["items"]
    assert first not in [item["product_id"] for item in items]
    assert all("substitute_for" not in item or item["substitute_for"] == first for item in items)


def test_among_bounds_what_may_be_shown_to_those_products(client):
    assert set(shown(client, "c0", among="p2,p3", n=10)) == {"p2", "p3"}
    assert shown(client, "c0", among="gone") == []


def test_a_filter_of_the_grammar_holds_and_a_wrong_one_is_refused(client):
    found = shown(client, "nobody", filter="price<=3", n=10)
    assert set(found) == {"p0", "p1", "p2", "p3"}
    wrong = client.get("/v1/customers/c0/recommendations", params={"filter": "price<<3"})
    assert wrong.status_code == 400


def test_an_operators_block_holds_on_every_surface_at_once(client):
    rule = {"kind": "block", "products": ["p2"]}
    assert client.put("/v1/rules/out", json=rule).status_code == 200
    assert "p2" not in shown(client, "c0", n=10)
    similar = client.get("/v1/products/p0/similar").json()
    assert "p2" not in [item["product_id"] for item in similar["items"]]
    assert client.delete("/v1/rules/out").status_code == 200
    assert shown(client, "c0", n=1) == ["p2"]


def test_a_pinned_product_stands_at_its_place_and_says_so(client):
    client.put("/v1/rules/top", json={"kind": "pin", "products": ["p9"], "place": 1})
    first = ask(client, "c0")["items"][0]
    assert (first["product_id"], first["source"], first["score"]) == ("p9", "pinned", None)


def test_the_shops_file_declares_surfaces_and_is_read_again(client, bundles):
    (bundles.parent / "shop.toml").write_text("[surfaces.home]\nslots = 2\n")
    for _ in range(200):
        if len(shown(client, "c0")) == 2:
            break
        time.sleep(0.02)
    assert len(shown(client, "c0")) == 2
    (bundles.parent / "shop.toml").write_text("[surfaces.home]\nslots = 'two'\n")
    for _ in range(200):
        troubles = client.get("/readyz").json()["troubles"]
        if troubles:
            break
        time.sleep(0.02)
    assert "surfaces.home.slots must be a whole number" in troubles[0]
    assert len(shown(client, "c0")) == 2


def test_a_batch_answers_each_as_alone_and_more_than_a_plain_post_may_ask(client):
    customers = [f"c{i % 8}" for i in range(150)]
    refused = client.post("/v1/recommendations", json={"customers": customers})
    assert refused.status_code == 422
    batch = client.post("/v1/recommendations:batch", json={"customers": customers, "n": 2})
    assert batch.status_code == 200
    parts = batch.json()["customers"]
    assert [part["customer_id"] for part in parts] == customers
    alone = shown(client, "c3", n=2)
    assert [item["product_id"] for item in parts[3]["items"]] == alone


def test_a_file_that_is_just_being_written_changes_nothing_until_it_stays(tmp_path):
    from serving.shopfile import ShopFile

    path = tmp_path / "shop.toml"
    path.write_text("[surfaces.home]\nslots = 2\n")
    file = ShopFile(path)
    file.look()
    assert file.surfaces["home"].slots == 2
    path.write_text("")  # an editor has emptied it and goes on writing
    file.look()
    assert file.surfaces["home"].slots == 2
    path.write_text("[surfaces.home]\nslots = 3\n")
    file.look()
    assert file.surfaces["home"].slots == 2
    file.look()
    assert file.surfaces["home"].slots == 3
