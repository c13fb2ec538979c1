"""The fast answer beside a slow one that scores every product and looks at each rule in turn."""

import math
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.surfaces import READY
from serving.answers import Filters
from serving.at_once import Ranked
from serving.questions import Question
from serving.ranker import rank
from serving.shelf import Shelf, put_up
from serving.state.person import EMPTY
from serving.terms import Terms
from serving.visit import visit

PRODUCTS = [f"p{j}" for j in range(10)]
UNAVAILABLE = {"p4", "p5"}

questions = st.builds(
    Question,
    n=st.integers(1, 12),
    exclude=st.lists(st.sampled_from([*PRODUCTS, "gone"]), max_size=4).map(tuple),
    seen=st.sampled_from([None, "drop", "keep"]),
    filters=st.builds(
        Filters,
        category=st.lists(st.sampled_from(["Books", "Toys & Games", "?"]), max_size=2).map(tuple),
        price_min=st.none() | st.sampled_from([0.0, 2.0, 5.0]),
        price_max=st.none() | st.sampled_from([3.0, 8.0]),
    ),
)


@pytest.fixture(scope="module", params=["drop", "keep"])
def shelf(request, tmp_path_factory, pytestconfig) -> Shelf:
    conftest = pytestconfig.pluginmanager.getplugin(str(Path(__file__).with_name("conftest.py")))
    root = tmp_path_factory.mktemp("bundles")
    available = [p not in UNAVAILABLE for p in PRODUCTS]
    products = conftest.catalogue(available=available)
    # Lists of three, so that most questions need more than the list.
    id = conftest.published(root, seen=request.param, products=products, length=3)
    return put_up(root / id)


def slow(shelf: Shelf, customer: str, question: Question) -> list[tuple[str, bool]]:
    """(product_id, from the model) of the right answer."""
    recommender, filters = shelf.bundle.recommender, question.filters
    rows = shelf.bundle.products.to_pylist()
    row = recommender.customers.to_pylist().index(customer) if customer != "nobody" else None
    seen: set[str] = set()
    scores = dict.fromkeys(PRODUCTS, -math.inf)
    if row is not None:
        history = recommender.history.take(pa.array([row]).to_numpy())
        seen = {PRODUCTS[c] for c in history.weights.indices}
        scores = dict(zip(PRODUCTS, recommender.scorer.score(history)[0].tolist(), strict=True))

    def allowed(product: dict) -> bool:
        low, high, price = filters.price_min, filters.price_max, product["price"]
        return (
            product["available"]
            and product["product_id"] not in question.exclude
            and not (
                (question.seen or shelf.bundle.seen) == "drop" and product["product_id"] in seen
            )
            and (not filters.category or product["category"] in filters.category)
            and (low is None or (price is not None and price >= low))
            and (high is None or (price is not None and price <= high))
        )

    right = [p["product_id"] for p in rows if allowed(p)]
    ranked = sorted((p for p in right if scores[p] > -math.inf), key=lambda p: -scores[p])
    popular = [f"p{j}" for j in (3, 0, 1, 2, 4, 5, 6, 7, 8, 9)]
    fill = [p for p in popular if p in right and p not in ranked]
    return ([(p, True) for p in ranked] + [(p, False) for p in fill])[: question.n]


def answer(shelf: Shelf, customer: str, question: Question) -> Ranked:
    """As the desk asks, for one of whom nothing happened since."""
    surface = READY["home"]
    her = visit(shelf, shelf.row(customer), EMPTY, at=0.0)
    terms = Terms(
        allowed := shelf.catalogue.allowed(question.filters),
        allowed.passes,
        shelf.catalogue.available,
        simple=True,
    )
    return rank(her, question, surface, terms, rng=random.Random(0))


@given(customer=st.sampled_from(["c0", "c1", "c2", "c7", "nobody"]), question=questions)
def test_the_answer_is_the_slow_one(shelf, customer, question):
    ranked = answer(shelf, customer, question)
    got = [(item.product_id, item.source != "popular") for item in ranked.items]
    assert got == slow(shelf, customer, question)
    assert [item.rank for item in ranked.items] == list(range(1, len(got) + 1))
    assert ranked.fallback == (not any(personal for _, personal in got))
    assert any(w.code == "too_few" for w in ranked.warnings) == (len(got) < question.n)


def test_the_published_list_and_a_live_ranking_agree(shelf):
    for customer in ("c0", "c1", "c6"):
        listed = answer(shelf, customer, Question(n=3))
        live = answer(shelf, customer, Question(n=10))  # longer than the list
        assert [i.product_id for i in live.items[:3]] == [i.product_id for i in listed.items]
        for one, two in zip(live.items, listed.items, strict=False):
            assert one.score == pytest.approx(two.score, abs=1e-5)
            assert one.reason == two.reason
