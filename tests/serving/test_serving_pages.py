"""The pages at `/`, `/inspect` and `/docs`: what they show, and that no data becomes markup."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from serving.pages.html import Markup, tag

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def test_every_text_and_attribute_is_escaped():
    assert tag("p", "<i>", title='"&') == '<p title="&quot;&amp;">&lt;i&gt;</p>'
    assert tag("p", [tag("b", "x")], None, 3) == "<p><b>x</b>3</p>"
    assert tag("input", disabled=True, checked=False, value=None) == "<input disabled>"
    assert isinstance(tag("p"), Markup)


def test_a_customer_stands_beside_her_products_and_the_raw_answer(client):
    page = client.get("/inspect?customer=c0").text
    assert "<h1>c0</h1>" in page
    assert "4 products so far" in page
    for heading in ("Her history", "Ranked for her", "The answer"):
        assert heading in page
    assert "GET /v1/customers/c0/recommendations" in page
    assert 'aria-current="true"' in page


def test_the_page_chooses_somebody_by_itself(client):
    assert re.search(r"<h1>c\d</h1>", client.get("/inspect").text)


def test_a_search_finds_ids_by_their_parts_and_stages_narrow_it(client):
    def people(query: str) -> list[str]:
        return re.findall(r'<span class="id">(.*?)</span>', client.get(f"/inspect?{query}").text)

    assert people("q=C") == [f"c{i}" for i in range(8)]
    assert people("q=3") == ["c3"]
    assert people("q=.*") == []
    assert people("stage=new") == ["c1"]
    assert people("stage=nonsense") == [f"c{i}" for i in range(8)]


def test_an_unknown_visitor_sees_popular_products(client):
    page = client.get("/inspect?customer=somebody+new").text
    assert "Popular, for want of better" in page
    assert "Nothing is known of her." in page


def test_a_click_on_a_product_shows_what_is_similar(client):
    page = client.get("/inspect?customer=c0&product=p0").text
    assert "Similar to " in page
    assert 'id="similar"' in page
    assert 'id="similar"' not in client.get("/inspect?customer=c0&product=nothing").text


def test_nonsense_in_the_pages_own_query_is_passed_over(client):
    for query in ("n=1000", "n=x", "seen=no", "category=%00", "customer=%ff", "q=" + "x" * 2000):
        assert client.get(f"/inspect?{query}").status_code == 200, query


def test_hostile_titles_ids_and_searches_stay_text(shop):
    ids = [f"p{j}" for j in range(10)]
    products = pa.table(
        {
            "product_id": ids,
            "title": [HOSTILE] * 10,
            "category": [HOSTILE] * 10,
            "brand": [HOSTILE] * 10,
        }
    )
    client = shop(products=products)
    from urllib.parse import quote

    hostile = quote(HOSTILE, safe="")
    for url in (
        "/inspect?customer=c0&product=p0",
        f"/inspect?customer={hostile}&q={hostile}&category={hostile}",
    ):
        page = client.get(url).text
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_pages_allow_nothing_from_elsewhere_and_nothing_inline(client):
    files = ("inspect.js", "regulars.js", "regulars.css", "icon.svg")
    for url in ("/", "/inspect", "/docs", *(f"/pages/{name}" for name in files)):
        response = client.get(url)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    page = client.get("/inspect").text
    assert "style=" not in page
    assert not re.search(r"<script(?![^>]* src=)", page)
    assert "//" not in page.replace("<!doctype html>", "")


def test_a_server_that_is_no_demo_says_what_it_is_and_shows_nobody(client):
    page = client.get("/").text
    assert "This is a Regulars server" in page
    assert 'href="/docs"' in page
    assert 'href="/inspect"' in page
    assert "c0" not in page
    assert client.get("/demo/customers").status_code == 404


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")
def test_a_person_can_search_pick_and_look_in_a_browser(serve, publish, bundles):
    from playwright.sync_api import expect, sync_playwright

    publish()
    url = serve(bundles)
    options = (
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(options))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/inspect")
        page.keyboard.press("/")
        page.keyboard.type("c5")
        expect(page.locator(".people a")).to_have_count(1)
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("c5")
        assert "customer=c5" in page.url
        first = page.locator("section", has_text="Ranked for her").locator(".title").first
        expect(first).to_have_text("<b>Product</b> 7")
        first.click()
        expect(page.locator("#similar h2")).to_have_text("Similar to <b>Product</b> 7")
        page.keyboard.press("Escape")
        expect(page.locator("#similar")).to_have_count(0)
        page.select_option("select[name=category]", "Books")
        expect(page.locator("section", has_text="Ranked for her")).not_to_contain_text("Toys")
        page.go_back()
        expect(page.locator("select[name=category]")).to_have_value("")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == 390  # nothing sticks out on a phone
        assert said == []
        browser.close()
