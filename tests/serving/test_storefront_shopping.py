"""The demo shop in a browser: what a shopper does is seen everywhere at once, by anybody."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

CHROMIUM = Path("/usr/bin/chromium")
VIEWS = (
    "/",
    "/?category=Books",
    "/?view=product&product=p3",
    "/?view=cart",
    "/?view=again",
    "/?view=live",
    "/?view=search&q=product",
    "/?view=search&q=zebra",
)

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def url(tmp_path_factory, pytestconfig) -> Iterator[str]:
    """A demo of the shop of ten products; c1 has lapsed."""
    conftest = pytestconfig.pluginmanager.getplugin(str(Path(__file__).with_name("conftest.py")))
    bundles = tmp_path_factory.mktemp("shop") / "bundles"
    bundles.mkdir()
    stages = {"customer_id": ["c0", "c1"], "lifecycle_stage": ["active", "lapsed"]}
    conftest.published(bundles, customers=pa.table(stages))
    with pytest.MonkeyPatch.context() as patch, conftest.serving() as serve:
        patch.setenv("REGULARS_DEMO", "true")
        yield serve(bundles)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, url) -> Iterator[Any]:
    """Open the shop in a window of its own; at the end nobody may have complained."""
    said: list[str] = []
    contexts = []

    def open(path: str = "/", **options: Any) -> Any:
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url + path)
        settled(page)
        return page

    yield open
    for context in contexts:
        context.close()
    assert said == []  # neither errors nor what the content security policy forbade


def settled(page: Any) -> None:
    from playwright.sync_api import expect

    expect(page.locator("main[aria-busy=false]")).to_have_count(1)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def shop_as(page: Any, who: str) -> None:
    page.click("#who")
    page.click(f"#people .person:has-text('{who}')")
    settled(page)


def shown(page: Any, name: str) -> list[str]:
    settled(page)
    cards = page.locator(f"[data-list={name}] .card").all()
    return [card.get_attribute("data-id") for card in cards]


def go(page: Any, name: str) -> None:
    page.locator("header nav").get_by_role("link", name=name).click()
    settled(page)


def test_a_visitor_becomes_a_customer_buys_and_sees_it_everywhere_at_once(opened):
    from playwright.sync_api import expect

    page = opened()
    shop_as(page, "A new visitor")
    expect(page.locator("#who b")).to_have_text("a new visitor")
    expect(page.locator("main h1")).to_have_text("Welcome. Have a look around.")
    assert shown(page, "home")[:3] == ["p3", "p0", "p1"]  # the shop's favourites
    assert "popular" in page.inner_text("[data-list=home] .card >> nth=0")

    page.click("[data-list=home] [data-id=p3] a")  # one look, and the list is hers
    settled(page)
    go(page, "Home")
    expect(page.locator("[data-list=home] .why").first).to_contain_text("because you chose")
    assert shown(page, "home")[0] in ("p1", "p5", "p7", "p9")
    expect(page.locator(".hello p")).to_contain_text("Nobody trained anything")

    page.click("[data-list=home] [data-id=p7] .buy")
    expect(page.locator("[data-list=home] [data-id=p7]")).to_have_count(0)
    expect(page.locator("#said")).to_contain_text("Bought <b>Product</b> 7.")
    expect(page.locator("#who b")).to_have_text("a new customer")
    go(page, "Live")
    assert "p7" not in shown(page, "live")
    go(page, "Buy again")
    assert shown(page, "buy_again") == ["p7"]
    expect(page.locator("[data-list=buy_again] .now")).to_have_text("bought just now")
    go(page, "Home")
    page.reload()  # it is the server that remembers
    settled(page)
    assert "p7" not in shown(page, "home")
    assert shown(page, "buy_again")[0] == "p7"


def test_what_is_sold_out_vanishes_everywhere_and_comes_back(opened):
    from playwright.sync_api import expect

    page, other = opened(), opened()
    for one in (page, other):
        shop_as(one, "A new visitor")
        assert "p1" in shown(one, "home")
    page.click("[data-list=home] [data-id=p1] a")
    page.click("text=Sell out now")
    expect(page.locator(".told .out")).to_have_text("Sold out just now")
    expect(page.locator("main .acts .buy >> nth=0")).not_to_have_text("Buy now")
    for name in ("Home", "Live", "Cart"):
        go(page, name)
        assert page.locator("section.list [data-id=p1]").count() == 0, name
    go(other, "Home")  # another shopper, at once
    assert "p1" not in shown(other, "home")

    page.click("text=Bring back")
    expect(page.locator("#strip")).to_be_hidden()
    go(other, "Home")
    assert "p1" in shown(other, "home")


def test_the_cart_brings_what_goes_with_it_and_is_bought_as_one_order(opened):
    from playwright.sync_api import expect

    page = opened()
    shop_as(page, "A new visitor")
    page.click("[data-list=home] [data-id=p0] .add")
    expect(page.locator("#count")).to_have_text("1")
    go(page, "Cart")
    expect(page.locator(".line")).to_have_count(1)
    beside = shown(page, "cart")
    assert "p0" not in beside
    assert beside[0] in ("p2", "p4", "p6", "p8")  # taken by those who took it
    page.click(f"[data-list=cart] [data-id={beside[0]}] .add")
    with page.expect_request("**/v1/events") as told:
        page.click("text=Buy everything")
    events = told.value.post_data_json["events"]
    bought = [event for event in events if event["event_type"] == "purchase"]
    assert {event["product_id"] for event in bought} <= {"p0", beside[0]}
    assert len({event["order_id"] for event in bought}) == 1
    expect(page.locator("#count")).to_be_hidden()
    settled(page)
    assert {"p0", beside[0]} <= set(shown(page, "buy_again"))


def test_a_click_names_the_list_that_led_there_and_so_does_the_purchase(opened):
    page = opened()
    shop_as(page, "c0")
    answer = page.evaluate("document.querySelector('[data-list=home]').answer.request_id")
    first = shown(page, "home")[0]
    with page.expect_request("**/v1/events") as told:
        page.click(f"[data-list=home] [data-id={first}] a")
    looks = [e for e in told.value.post_data_json["events"] if e["event_type"] == "view_item"]
    assert [(e["product_id"], e["request_id"]) for e in looks] == [(first, answer)]
    with page.expect_request("**/v1/events") as told:
        page.click("text=Buy now")
    events = told.value.post_data_json["events"]
    assert [e["request_id"] for e in events if e["event_type"] == "purchase"] == [answer]


def test_a_lapsing_customer_is_welcomed_back_and_an_active_one_is_not(opened):
    from playwright.sync_api import expect

    page = opened()
    shop_as(page, "c1")
    expect(page.locator(".welcome")).to_contain_text("Good to see you again")
    assert shown(page, "win_back")
    shop_as(page, "c0")
    expect(page.locator(".welcome")).to_have_count(0)


def test_the_raw_answer_stands_beside_with_its_parts_marked(opened):
    from playwright.sync_api import expect

    page = opened()
    shop_as(page, "c0")
    pane = page.locator("#behind")
    expect(pane.locator(".call[aria-pressed=true]")).to_contain_text("home")
    expect(pane.locator(".ask code")).to_contain_text("/v1/customers/c0/recommendations")
    expect(pane.locator("mark").first).to_be_visible()
    assert '"reason"' in pane.locator(".json").inner_text()
    pane.get_by_role("checkbox").check()
    expect(pane.locator(".ask code")).to_contain_text("explain=true")
    expect(pane.locator(".json")).to_contain_text('"boost"')
    pane.locator(".call", has_text="buy_again").first.click()
    expect(pane.locator(".ask code")).to_contain_text("surface=buy_again")


def test_the_live_broadcast_sells_and_can_be_paused(opened):
    from playwright.sync_api import expect

    page = opened("/?view=live")
    shop_as(page, "c0")
    go(page, "Live")
    on_air = page.locator(".stage h2").inner_text()
    with page.expect_request("**/v1/events") as told:
        page.click(".stage .buy")
    event = told.value.post_data_json["events"][-1]
    assert (event["channel"], event["live_session_id"]) == ("live", "demo-broadcast")
    expect(page.locator(".stage h2")).not_to_have_text(on_air)
    page.click(".stage >> text=Pause")
    expect(page.locator(".stage")).to_contain_text("Let it run")


def test_a_search_finds_and_where_it_does_not_something_else_is_offered(opened):
    from playwright.sync_api import expect

    page = opened()
    page.fill("#q", "product books")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_have_text("4 for “product books”")
    page.fill("#q", "zebra")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_have_text("Nothing found for “zebra”")
    assert shown(page, "search_empty")


def test_a_shopper_needs_no_mouse(opened):
    from playwright.sync_api import expect

    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the products"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "[data-list=home] a")
    page.keyboard.press("Enter")
    expect(page.locator("article.one")).to_be_visible()
    tab_to(page, "main .acts .buy")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Bought")
    page.focus("#who")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "who"


def tab_to(page: Any, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"40 tabs did not reach {selector}")


def test_focus_stays_in_the_list_when_a_bought_card_leaves_it(opened):
    from playwright.sync_api import expect

    page = opened()
    shop_as(page, "A new visitor")
    page.focus("[data-list=home] .buy >> nth=1")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Bought")
    assert page.evaluate("document.activeElement.closest('[data-list=home]') !== null")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_view_fits_can_be_read_and_has_its_landmarks(opened, url, width, scheme):
    page = opened(viewport={"width": width, "height": 844}, color_scheme=scheme)
    shop_as(page, "c1")
    for path in VIEWS:
        page.goto(url + path)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.locator("main h1").count() == 1, path
        assert page.locator("main, header nav, aside, [role=search]").count() == 4, path
        assert page.evaluate(UNNAMED) == [], path
        assert page.evaluate(FAINT) == [], path


UNNAMED = """() => [...document.querySelectorAll('a, button, input')]
    .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
    .map((e) => e.outerHTML.slice(0, 120))"""

FAINT = """() => {  // texts whose contrast is below WCAG AA: 4.5, or 3 where they are large
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((all, v, i) => all + v * [.2126, .7152, .0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const colour = parts(getComputedStyle(e).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement;
        if (!walk.currentNode.textContent.trim() || !e.checkVisibility()) continue;
        const style = getComputedStyle(e);
        const [a, b] = [light(parts(style.color)), light(ground(e))].sort((x, y) => y - x);
        const large = parseFloat(style.fontSize) >= 24
            || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        const ratio = (a + .05) / (b + .05);
        if (ratio < (large ? 3 : 4.5)) found.push([e.className, e.textContent, ratio]);
    }
    return found;
}"""


def test_nothing_jumps_while_the_page_loads(opened, url):
    page = opened(viewport={"width": 390, "height": 844})
    shop_as(page, "c1")
    page.add_init_script(
        """window.moved = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) if (!entry.hadRecentInput) moved += entry.value;
        }).observe({ type: 'layout-shift', buffered: true });"""
    )
    for path in ("/", "/?view=product&product=p3"):
        page.goto(url + path)
        settled(page)
        page.wait_for_timeout(200)
        assert page.evaluate("moved") < 0.1, path  # "good", web.dev/cls


def test_nothing_moves_for_whoever_asked_for_calm(opened):
    from playwright.sync_api import expect

    page = opened("/", reduced_motion="reduce")
    shop_as(page, "A new visitor")
    page.click("[data-list=home] .buy >> nth=0")
    expect(page.locator("#said")).to_contain_text("Bought")
    running = "document.getAnimations().filter((a) => a.playState === 'running').length"
    assert page.evaluate(running) == 0
    go(page, "Live")
    assert page.locator(".stage >> text=Let it run").count() == 1


def test_the_same_product_has_the_same_picture_and_others_have_others(opened):
    page = opened()
    drawn = page.evaluate(
        """async () => {
            const { picture } = await import('/pages/pictures.js');
            const draw = (title, category) => picture(title, category).outerHTML;
            return [draw('Ala soft mug', 'Cups'), draw('Ala soft mug', 'Cups'),
                draw('Ala blue mug', 'Cups'), draw('Ala soft lamp', 'Light'), draw('', null),
                draw('<script>', '"><img>')];
        }"""
    )
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 5
    assert not re.search("<script|<img|style=", "".join(drawn))
