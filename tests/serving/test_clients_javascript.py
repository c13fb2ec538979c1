"""The JavaScript module in a browser: it fetches, reports, tries again, and never throws."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.clients import regulars

CHROMIUM = Path("/usr/bin/chromium")
SCRIPT = Path(regulars.__file__).with_suffix(".js")
ANSWER = {"request_id": "r1", "items": [{"product_id": "p1", "rank": 1}], "fallback": False}
PAGE = """<!doctype html><title>shop</title>
<style>li { height: 200px } #far { margin-top: 5000px }</style>
<ul><li id="near"><a href="#">a</a> <button>b</button></li><li id="far">c</li></ul>"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


class Shop:
    """A page with the module; every request is noted and answered as it was told, or with 200."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.answers: list[tuple[int, dict[str, str], object]] = []
        page.route("**/*", self._answer)
        page.goto("http://localhost/")
        page.evaluate("""async () => {
            const { regulars } = await import('/regulars.js');
            window.shop = regulars('', { customer: 'c 1', key: 'rk_k', timeout: 2000 });
        }""")

    def _answer(self, route: Any) -> None:
        path = route.request.url.removeprefix("http://localhost")
        if path == "/":
            route.fulfill(body=PAGE, content_type="text/html")
        elif path == "/regulars.js":
            route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")
        elif path.startswith("/v1/"):
            body = json.loads(route.request.post_data or "null")
            self.asked.append((path, body, route.request.headers))
            given = self.answers.pop(0) if self.answers else (200, {}, ANSWER)
            status, headers, content = given
            route.fulfill(status=status, headers=headers, body=json.dumps(content))
        else:
            route.fulfill(status=404)

    def do(self, script: str) -> Any:
        return self.page.evaluate(script)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            one for path, body, _ in self.asked if path == "/v1/events" for one in body["events"]
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def shop(browser) -> Iterator[Shop]:
    page = browser.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    yield Shop(page)
    page.close()
    assert thrown == []


def test_a_list_is_asked_for_with_the_key_and_what_was_given(shop):
    answer = shop.do("shop.recommend('cart', { n: 3, cart: ['p1', 'p2'], explain: true })")
    assert answer == ANSWER
    path, _, headers = shop.asked[0]
    assert path == (
        "/v1/customers/c%201/recommendations?surface=cart&n=3&cart=p1%2Cp2&explain=true"
    )
    assert headers["authorization"] == "Bearer rk_k"
    shop.do("shop.similar('p/1', { n: 2 })")
    assert shop.asked[1][0] == "/v1/products/p%2F1/similar?n=2"


def test_a_failure_is_an_empty_answer_and_never_thrown(shop):
    problem = {"status": 400, "detail": "n must be a whole number", "parameter": "n"}
    shop.answers = [(400, {}, problem)]
    assert shop.do("shop.recommend('home', { n: 0 })") == {
        "items": [],
        "fallback": True,
        "error": problem,
    }
    shop.page.route("**/v1/**", lambda route: route.abort())
    answer = shop.do("shop.recommend().then((a) => [a.items, a.fallback, String(a.error)])")
    assert answer == [[], True, "TypeError: Failed to fetch"]


def test_a_silent_server_is_given_up_after_the_timeout(shop):
    shop.page.route("**/v1/**", lambda route: None)
    failed = shop.do("""async () => {
        const { regulars } = await import('/regulars.js');
        const answer = await regulars('', { timeout: 100 }).recommend();
        return [answer.items, answer.error.name];
    }""")
    assert failed == [[], "TimeoutError"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_once_more_when_it_says(shop, status):
    shop.answers = [(status, {"retry-after": "1"}, {})]
    took, answer = shop.do("""async () => {
        const start = performance.now(), answer = await shop.recommend();
        return [performance.now() - start, answer];
    }""")
    assert answer == ANSWER
    assert took >= 1000
    assert len(shop.asked) == 2
    shop.answers = [(status, {"retry-after": "60"}, {})]  # longer than a page waits
    assert shop.do("shop.recommend()")["fallback"]
    assert len(shop.asked) == 3


def test_the_next_list_waits_until_what_was_done_is_known(shop):
    shop.do("shop.event('purchase', 'p1', { quantity: 2 }), shop.recommend()")
    assert [path.split("?")[0] for path, *_ in shop.asked] == [
        "/v1/events",
        "/v1/customers/c%201/recommendations",
    ]
    event = shop.events[0]
    assert (
        event.items()
        >= {
            "event_type": "purchase",
            "customer_id": "c 1",
            "product_id": "p1",
            "channel": "web",
            "quantity": 2,
        }.items()
    )
    assert len(event["event_id"]) == 36
    assert "request_id" not in event


def test_events_travel_together_and_those_that_failed_go_again_with_the_same_ids(shop):
    shop.answers = [(500, {}, {})]
    shop.do("shop.event('view_item', 'p1'), shop.event('view_item', 'p2'), shop.flush()")
    assert len(shop.asked) == 1
    shop.do("shop.flush()")
    first, again = (body["events"] for _, body, _ in shop.asked)
    assert first == again
    assert [event["product_id"] for event in first] == ["p1", "p2"]
    shop.do("shop.flush()")
    assert len(shop.asked) == 2  # taken: not a third time


def test_refused_events_do_not_stand_in_the_way_of_the_next(shop):
    shop.answers = [(422, {}, {})]
    shop.do("shop.event('nonsense', 'p1'), shop.flush()")
    shop.do("shop.event('view_item', 'p2'), shop.flush()")
    assert [len(body["events"]) for _, body, _ in shop.asked] == [1, 1]


def test_an_event_is_sent_by_itself_soon_after(shop):
    with shop.page.expect_request("**/v1/events"):
        shop.do("shop.event('view_item', 'p1')")


def test_a_product_counts_as_seen_once_when_half_of_it_was_visible_for_a_second(shop):
    shop.do("""() => {
        const answer = { request_id: 'r7' };
        shop.watch(document.querySelector('#near'), { product_id: 'p1' }, answer);
        shop.watch(document.querySelector('#far'), { product_id: 'p2' }, answer);
    }""")
    shop.page.wait_for_timeout(600)
    assert shop.do("shop.flush()") is None
    assert shop.events == []  # not long enough yet
    shop.page.wait_for_timeout(600)
    shop.do("scrollTo(0, 9e9)")
    shop.page.wait_for_timeout(300)
    shop.do("scrollTo(0, 0)")  # the far one was visible, but too briefly
    shop.page.wait_for_timeout(1200)
    shop.do("shop.flush()")
    told = [(e["event_type"], e["product_id"], e["request_id"]) for e in shop.events]
    assert told == [("view_item_list", "p1", "r7")]


def test_a_click_and_what_follows_name_the_list_that_led_there(shop):
    shop.do("shop.watch(near, { product_id: 'p1' }, { request_id: 'r7' })")
    shop.page.click("#near a")
    shop.do("shop.event('purchase', 'p1'), shop.event('purchase', 'p2'), shop.flush()")
    assert [(e["event_type"], e["product_id"], e.get("request_id")) for e in shop.events] == [
        ("view_item", "p1", "r7"),
        ("purchase", "p1", "r7"),
        ("purchase", "p2", None),
    ]


def test_a_click_on_a_button_is_no_view_of_the_product(shop):
    shop.do("shop.watch(near, { product_id: 'p1' }, { request_id: 'r7' })")
    shop.page.click("#near button")
    shop.do("shop.event('add_to_cart', 'p1'), shop.flush()")
    assert [(e["event_type"], e["request_id"]) for e in shop.events] == [("add_to_cart", "r7")]


def test_what_is_still_to_be_told_goes_out_as_the_page_ends(shop):
    with shop.page.expect_request("**/v1/events"):
        shop.do("shop.event('view_item', 'p1'), dispatchEvent(new Event('pagehide'))")
    assert shop.do("shop.flush()") is None
    first, again = (body["events"] for _, body, _ in shop.asked)
    assert first == again  # a page that comes back tells it again; the id makes it count once


def test_a_visitor_without_an_account_has_an_id_that_nobody_stores(shop):
    made = shop.do("""async () => {
        const { regulars } = await import('/regulars.js');
        return [regulars('').customer, regulars('').customer, localStorage.length, document.cookie];
    }""")
    assert made[0] != made[1]
    assert made[0].startswith("cookie:")
    assert made[2:] == [0, ""]
