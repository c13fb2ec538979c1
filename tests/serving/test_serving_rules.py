"""The rules of an answer, asked over HTTP of a shop whose right answers are known.

c0 took p0, p4, p6, p8 and left out p2; most popular first the shop has 3 0 1 2 4 5 6 7 8 9.
"""

import pyarrow as pa
import pytest

ASKED = "/v1/customers/c0/recommendations"
PRODUCTS = [f"p{j}" for j in range(10)]


def ids(answer: dict) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def codes(answer: dict) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


def catalogue(**columns: list) -> pa.Table:
    return pa.table({"product_id": PRODUCTS} | columns)


def test_an_answer_has_every_field_and_ranks_from_one(client):
    answer = client.get(f"{ASKED}?n=2&surface=home").json()
    fields = ["request_id", "model", "surface", "experiments", "items", "fallback", "warnings"]
    assert list(answer) == fields
    assert answer["model"] == {"name": "near", "version": "1"}
    assert (answer["surface"], answer["fallback"], answer["warnings"]) == ("home", False, [])
    best = answer["items"][0]
    assert list(best) == ["product_id", "rank", "score", "source", "reason"]
    assert (best["product_id"], best["rank"], best["source"]) == ("p2", 1, "near")
    assert [item["rank"] for item in answer["items"]] == [1, 2]


def test_every_answer_has_a_name_of_its_own(client):
    names = {client.get(ASKED).json()["request_id"] for _ in range(20)}
    assert len(names) == 20


def test_the_best_product_is_the_one_of_her_colour_that_she_left_out(client):
    for customer, left_out in (("c0", "p2"), ("c1", "p3"), ("c5", "p7")):
        answer = client.get(f"/v1/customers/{customer}/recommendations?n=1").json()
        assert ids(answer) == [left_out]


def test_bought_products_are_dropped_or_kept_as_asked_and_by_default_as_published(shop):
    taken = {"p0", "p4", "p6", "p8"}
    for published in ("drop", "keep"):
        client = shop(seen=published)
        assert not taken & set(ids(client.get(f"{ASKED}?n=10&seen=drop").json()))
        assert taken <= set(ids(client.get(f"{ASKED}?n=10&seen=keep").json()))
        assert bool(taken & set(ids(client.get(ASKED).json()))) == (published == "keep")


def test_dropping_the_seen_holds_for_the_popular_fill_too(shop):
    # Only p0 and p3 may be shown; she took p0, and the model ranks what is left.
    available = [j in (0, 3) for j in range(10)]
    client = shop(products=catalogue(available=available))
    answer = client.get(f"{ASKED}?n=3").json()
    assert ids(answer) == ["p3"]
    assert codes(answer) == ["too_few"]


def test_unavailable_products_are_never_shown(shop):
    client = shop(products=catalogue(available=[j not in (2, 3) for j in range(10)]))
    asks = [
        client.get(f"{ASKED}?n=10&seen=keep"),
        client.get("/v1/customers/nobody/recommendations?n=10"),
        client.get("/v1/products/p0/similar?n=10"),
        client.post("/v1/recommendations", json={"products": ["p0"], "n": 10, "seen": "keep"}),
    ]
    for response in asks:
        assert response.status_code == 200
        assert ids(response.json())
        assert not {"p2", "p3"} & set(ids(response.json()))


def test_excluded_products_are_never_shown(client):
    for query in ("exclude=p2,p3", "exclude=p2&exclude=p3", "exclude=p2,%20,p3,p3,nobody"):
        answer = client.get(f"{ASKED}?n=10&{query}").json()
        assert not {"p2", "p3"} & set(ids(answer)), query
    unknown = client.get("/v1/customers/nobody/recommendations?n=2&exclude=p3").json()
    assert ids(unknown) == ["p0", "p1"]


def test_an_id_with_a_comma_can_be_excluded(shop, learned):
    comma = learned()
    renamed = pa.array([id.replace("p2", "p,2") for id in comma.products.to_pylist()])
    comma._known = (comma.customer_map, type(comma.product_map)(renamed), comma.history)
    client = shop(recommender=comma)
    assert ids(client.get(f"{ASKED}?n=1").json()) == ["p,2"]
    assert "p,2" not in ids(client.get(f"{ASKED}?n=10&exclude=p,2").json())


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("category=Books", {"p1", "p3", "p5", "p7"}),
        ("category=Books&category=Toys+%26+Games", set(PRODUCTS[:9])),
        ("brand=brand+0&category=Books", {"p3"}),
        ("supplier=s0", {"p0", "p2", "p4", "p6", "p8"}),
        ("price_min=2&price_max=4.5", {"p2", "p3", "p4"}),
        ("price_max=0", {"p0"}),
        ("category=Nothing", set()),
    ],
)
def test_filters_let_through_what_the_catalogue_says(client, query, right):
    answer = client.get(f"{ASKED}?n=10&seen=keep&{query}").json()
    assert set(ids(answer)) == right
    assert "too_few" in codes(answer)


def test_a_filter_value_that_no_product_has_is_told(client):
    answer = client.get(f"{ASKED}?category=Bokos&category=Books").json()
    assert answer["warnings"][0] == {
        "code": "unknown_value",
        "detail": "no product has the category 'Bokos'",
    }


def test_an_unknown_customer_gets_popular_products_and_is_told(client):
    response = client.get("/v1/customers/nobody/recommendations?n=4")
    answer = response.json()
    assert response.status_code == 200
    assert answer["fallback"] is True
    assert ids(answer) == ["p3", "p0", "p1", "p2"]
    assert {item["source"] for item in answer["items"]} == {"popular"}
    assert {item["score"] for item in answer["items"]} == {None}
    assert codes(answer) == ["unknown_customer"]


def test_ids_may_hold_anything_a_url_can(client):
    for id in ("a/b", "%2e%2e", "é ☃", "<script>", "' or 1=1", "recommendations", "a\nb\n", " "):
        from urllib.parse import quote

        response = client.get(f"/v1/customers/{quote(id, safe='')}/recommendations")
        assert (response.status_code, response.json()["fallback"]) == (200, True), id


def test_what_the_model_cannot_rank_is_filled_with_popular_products(shop, learned):
    class Silent(type(learned().scorer)):  # a model with an opinion on p2 and p4 only
        def score(self, history):
            scores = super().score(history)
            scores[:, [j for j in range(10) if j not in (2, 4)]] = float("-inf")
            return scores

    recommender = learned()
    recommender.scorer.__class__ = Silent
    client = shop(recommender=recommender)
    answer = client.get(f"{ASKED}?n=3").json()
    assert ids(answer) == ["p2", "p3", "p1"]
    assert [item["source"] for item in answer["items"]] == ["near", "popular", "popular"]
    assert (answer["fallback"], codes(answer)) == (False, ["filled"])


def test_a_shop_with_everything_out_of_stock_answers_nothing_and_says_so(shop):
    client = shop(products=catalogue(available=[False] * 10))
    for url in (ASKED, "/v1/customers/nobody/recommendations", "/v1/products/p0/similar"):
        response = client.get(url)
        assert response.status_code == 200
        assert response.json()["items"] == []
        assert "too_few" in codes(response.json())


def test_a_shop_without_a_catalogue_or_popular_products_still_answers(shop):
    client = shop(
        products=pa.table({"product_id": pa.array([], pa.string())}),
        popular=pa.array([], pa.string()),
        customers=pa.table(
            {
                "customer_id": pa.array([], pa.string()),
                "lifecycle_stage": pa.array([], pa.string()),
            }
        ),
    )
    assert ids(client.get(f"{ASKED}?n=1").json()) == ["p2"]
    assert client.get("/v1/customers/nobody/recommendations").json()["items"] == []
    assert client.get(f"{ASKED}?category=Books").json()["items"] == []
    assert client.get("/inspect").status_code == 200


def test_a_session_is_answered_from_its_products_and_without_them(client):
    answer = client.post("/v1/recommendations", json={"products": ["p0", "p4"], "n": 3}).json()
    assert set(ids(answer)) == {"p2", "p6", "p8"}
    assert answer["fallback"] is False
    kept = {"products": ["p0"], "n": 10, "seen": "keep"}
    assert "p0" in ids(client.post("/v1/recommendations", json=kept).json())


def test_a_session_leaves_unknown_products_out_and_says_so(client):
    ask = {"products": ["p0", "gone"], "n": 2}
    answer = client.post("/v1/recommendations", json=ask).json()
    assert (codes(answer), answer["fallback"]) == (["unknown_products"], False)
    alone = client.post("/v1/recommendations", json={"products": ["gone"], "n": 2}).json()
    assert (ids(alone), alone["fallback"]) == (["p3", "p0"], True)


def test_many_customers_are_answered_in_the_order_asked_as_each_alone(client):
    asked = ["c3", "nobody", "c0", "c1", "c2", "c0"]
    answer = client.post("/v1/recommendations", json={"customers": asked, "n": 4}).json()
    assert [part["customer_id"] for part in answer["customers"]] == asked
    for part in answer["customers"]:
        alone = client.get(f"/v1/customers/{part['customer_id']}/recommendations?n=4").json()
        for field in ("items", "fallback", "warnings"):
            assert part[field] == alone[field]


def test_a_body_filters_and_excludes_like_a_query(client):
    filters = {"category": ["Books"], "price_max": 5}
    ask = {"customers": ["c0"], "n": 10, "exclude": ["p3"], "filters": filters}
    answer = client.post("/v1/recommendations", json=ask).json()["customers"][0]
    query = "n=10&exclude=p3&category=Books&price_max=5"
    assert answer["items"] == client.get(f"{ASKED}?{query}").json()["items"]


def test_similar_products_are_alike_available_and_never_the_product_itself(client):
    answer = client.get("/v1/products/p0/similar?n=10").json()
    assert set(ids(answer)) == {"p2", "p4", "p6", "p8"}
    assert (answer["surface"], answer["fallback"]) == ("product", False)
    cheap = client.get("/v1/products/p0/similar?n=10&price_max=4&exclude=p2").json()
    assert ids(cheap) == ["p4"]


def test_similar_to_an_unknown_product_is_a_problem(client):
    response = client.get("/v1/products/nothing/similar")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["parameter"] == "product_id"


def test_reasons_are_true_of_what_they_stand_beside(client):
    items = client.get(f"{ASKED}?n=9&seen=keep").json()["items"]
    taken = {"p0", "p4", "p6", "p8"}
    for item in items:
        if item["product_id"] in taken:
            assert item["reason"] == "you chose it before"
        elif item["product_id"] == "p2":
            assert item["reason"].startswith("because you chose <b>Product</b> ")
            assert "p" + item["reason"].split()[-1] in taken
        else:  # the other colour: no product of hers is alike
            assert item["reason"] == "often chosen by customers like you"


def test_a_model_that_ignores_the_customer_does_not_speak_of_her(shop, learned):
    client = shop(recommender=learned("popularity"))
    reasons = {item["reason"] for item in client.get(ASKED).json()["items"]}
    assert reasons == {"popular in the shop"}
