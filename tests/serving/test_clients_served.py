"""The Python client asks a real server, and so does what the documents show."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.clients import regulars
from serving.clients.regulars import Event, Refused, Regulars

PAGE = Path(__file__).parents[2] / "docs" / "storefront-developer.md"


@pytest.fixture(scope="module")
def url(tmp_path_factory, pytestconfig) -> Iterator[str]:
    conftest = pytestconfig.pluginmanager.getplugin(str(Path(__file__).with_name("conftest.py")))
    bundles = tmp_path_factory.mktemp("shop") / "bundles"
    bundles.mkdir()
    conftest.published(bundles)
    with conftest.serving() as serve:
        yield serve(bundles)


@pytest.fixture
def shop(url) -> Iterator[Regulars]:
    with contextlib.closing(Regulars(url)) as shop:
        yield shop


def test_every_call_is_answered_and_typed(shop):
    answer = shop.recommend("c0", n=3, explain=True, filter=["price<=8", 'category!="Books"'])
    assert [item.rank for item in answer.items] == list(range(1, len(answer.items) + 1))
    assert answer.model.name == "near"
    assert answer.items[0].explain.boost == 1
    assert shop.similar("p0", n=2, substitutes=True).items[0].product_id in ("p2", "p4", "p6", "p8")
    assert shop.visit(["p0"], n=1, seen="drop").items[0].product_id != "p0"
    many = shop.many(("c0", "x"), n=2)
    assert [part.customer_id for part in many.customers] == ["c0", "x"]
    assert many.customers[1].fallback
    assert many.customers[1].warnings[0].code == "unknown_customer"


def test_what_was_bought_is_known_to_the_next_answer_and_counts_once(shop):
    first = shop.recommend("a visitor/1", n=3).items[0].product_id
    bought = Event("purchase", first, "a visitor/1", quantity=1, order_id="o1")
    assert shop.events([bought]) == (1, 0, [])
    assert shop.events([bought]) == (0, 1, [])
    after = shop.recommend("a visitor/1", n=10)
    assert first not in [item.product_id for item in after.items]
    again = shop.recommend("a visitor/1", surface="buy_again", n=1)
    assert (again.items[0].product_id, again.items[0].source) == (first, "again")


def test_what_ran_out_is_shown_to_nobody(shop):
    taken = shop.stock({"p3": 0, "nothing": 5})
    assert (taken.accepted, taken.unknown) == (2, ["nothing"])
    shown = [item.product_id for item in shop.recommend("nobody", n=10).items]
    assert "p3" not in shown
    assert len(shown) == 9
    shop.stock({"p3": 1})


def test_a_refusal_says_which_parameter_and_what_it_was(shop):
    with pytest.raises(Refused) as caught:
        shop.recommend("c0", n=1000)
    assert (caught.value.status, caught.value.parameter) == (400, "n")
    with pytest.raises(Refused) as caught:
        shop.similar("no such product")
    assert caught.value.status == 404
    with pytest.raises(Refused) as caught:
        shop.events([Event("nonsense", "p1")])
    assert caught.value.status == 422


def test_the_pages_examples_run(url, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "regulars", regulars)
    first, second = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    keyed = '"http://127.0.0.1:8000", key="rk_…"'
    assert keyed in first
    exec(first.replace(keyed, f'"{url}"').replace("c00000002", "c0"), names)
    assert re.match(r"1 p\d \w+", capsys.readouterr().out)
    exec(second.replace("c00000002", "c0").replace("n=8", "n=0"), names)
    assert capsys.readouterr().out.startswith("400 n must be a whole number from 1 to 100")
    names["shop"].close()
