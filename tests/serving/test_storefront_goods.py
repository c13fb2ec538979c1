"""What the demo shop knows of products and customers, and that it is there in the demo only."""

import msgspec
import pyarrow as pa
import pytest

from serving.storefront import FILES

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture
def settings(bundles, settings):
    return msgspec.structs.replace(settings, demo=True)


def ids(answer) -> list[str]:
    return [one["product_id"] for one in answer.json()["products"]]


def test_products_come_in_the_order_asked_and_unknown_ones_are_left_out(client):
    answer = client.get("/demo/products?ids=p3,nothing,p0")
    assert ids(answer) == ["p3", "p0"]
    assert answer.json()["products"][1] == {
        "product_id": "p0",
        "title": "<b>Product</b> 0",
        "category": "Toys & Games",
        "brand": "brand 0",
        "price": 0.0,
        "available": True,
    }
    assert client.get("/demo/products?ids=p9").json()["products"][0]["price"] is None


def test_a_search_wants_every_word_and_shows_popular_products_first(client):
    assert ids(client.get("/demo/products?q=BRAND 0 books")) == ["p3"]
    assert ids(client.get("/demo/products?q=books")) == ["p3", "p1", "p5", "p7"]
    assert ids(client.get("/demo/products?q=zebra")) == []


def test_a_product_that_ran_out_says_so(client):
    assert client.put("/v1/stock", json={"items": [{"product_id": "p3", "quantity": 0}]}).is_success
    assert client.get("/demo/products?ids=p3").json()["products"][0]["available"] is False
    client.put("/v1/stock", json={"items": [{"product_id": "p3", "quantity": 2}]})
    assert client.get("/demo/products?ids=p3").json()["products"][0]["available"] is True


def test_customers_have_a_stage_and_the_titles_of_what_they_chose(client):
    found = client.get("/demo/customers?q=C0").json()
    assert found["total"] == 1
    assert found["customers"][0]["customer_id"] == "c0"
    assert found["customers"][0]["stage"] == "active"
    assert found["customers"][0]["products"] == 4
    assert all(title.startswith("<b>Product</b>") for title in found["customers"][0]["newest"])
    stages = client.get("/demo/customers?stage=new").json()
    assert [one["customer_id"] for one in stages["customers"]] == ["c1"]
    assert client.get("/demo/customers?id=c1").json()["total"] == 1
    assert client.get("/demo/customers?id=nobody").json()["total"] == 0


def test_the_shop_names_its_categories_biggest_first(client):
    assert client.get("/demo/shop").json()["categories"] == ["Toys & Games", "Books"]


def test_nonsense_is_refused_or_passed_over(client):
    assert client.get("/demo/products").status_code == 400
    for query in ("q=%00", "q=.*", "stage=no", "id=", "q=" + "x" * 3000):
        assert client.get(f"/demo/customers?{query}").status_code == 200, query


def test_the_page_allows_nothing_inline_and_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "//" not in page.text
    assert "style=" not in page.text
    for name in FILES:
        file = client.get(f"/pages/{name}")
        assert file.status_code == 200
        assert "innerHTML" not in file.text
        outside = file.text.replace("http://www.w3.org/2000/svg", "")
        assert "://" not in outside


def test_a_hostile_title_stays_text_on_its_way(shop):
    products = pa.table({"product_id": [f"p{j}" for j in range(10)], "title": [HOSTILE] * 10})
    client = shop(products=products)
    assert client.get("/demo/products?ids=p0").json()["products"][0]["title"] == HOSTILE
    assert client.get("/demo/products?ids=p0").headers["content-type"] == "application/json"
