from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from features.schemas import EVENT_TYPES
from serving.state.person import EMPTY, RECENT, Person, Step, reduced

START = datetime(2026, 3, 1, tzinfo=UTC)


def did(*what: tuple[str, str] | tuple[str, str, float]) -> Person:
    """The person who did this, one thing a second."""
    return reduced(
        [
            Step(kind, product, START + timedelta(seconds=i), *quantity)
            for i, (kind, product, *quantity) in enumerate(what)
        ],
        len(what),
    )


def test_nobody_did_nothing():
    assert did() == EMPTY


def test_what_was_bought_stands_once_with_its_last_time():
    person = did(("purchase", "a"), ("purchase", "b"), ("purchase", "a"))
    assert person.bought == ("b", "a")
    assert person.bought_at == (START.timestamp() + 1, START.timestamp() + 2)


def test_a_purchase_empties_cart_and_wishlist_of_the_product():
    person = did(
        ("add_to_cart", "a", 3.0),
        ("add_to_wishlist", "a"),
        ("add_to_cart", "b"),
        ("add_to_wishlist", "c"),
        ("purchase", "a", 1.0),
    )
    assert (person.cart, person.wishlist) == (("b",), ("c",))


def test_the_cart_is_what_was_added_less_what_was_removed():
    assert did(("add_to_cart", "a", 2.0), ("remove_from_cart", "a", 1.0)).cart == ("a",)
    assert did(("add_to_cart", "a", 2.0), ("remove_from_cart", "a", 2.0)).cart == ()
    assert did(("add_to_cart", "a", 2.0), ("remove_from_cart", "a")).cart == ()
    assert did(("add_to_cart", "a"), ("add_to_cart", "a"), ("remove_from_cart", "a", 1.0)).cart
    tenths = [("add_to_cart", "a", 0.3), *[("remove_from_cart", "a", q) for q in (0.2, 0.1)]]
    assert did(*tenths).cart == ()


def test_removing_what_is_not_in_the_cart_owes_nothing():
    assert did(("remove_from_cart", "a", 5.0), ("add_to_cart", "a", 1.0)).cart == ("a",)


def test_lists_that_were_shown_and_refunds_are_no_clicks():
    person = did(("view_item_list", "a"), ("purchase", "b"), ("refund", "b"))
    assert (person.viewed, person.bought, person.recent) == ((), ("b",), ("b",))


def test_of_very_many_views_the_last_stay():
    person = did(*[("view_item", f"p{i}") for i in range(RECENT + 20)])
    assert person.viewed == person.recent == tuple(f"p{i}" for i in range(20, RECENT + 20))


def test_what_was_recent_says_when_and_how_last():
    person = did(("view_item", "a"), ("view_item", "b"), ("add_to_cart", "a"))
    assert person.recent == ("b", "a")
    assert person.recent_types == ("view_item", "add_to_cart")
    assert person.recent_at == (START.timestamp() + 1, START.timestamp() + 2)


def last_places(events: list[tuple[str, str, float | None]], kinds: set[str]) -> list[str]:
    """Products that have an event of these kinds, in the order of their last one."""
    last = {p: i for i, (kind, p, _) in enumerate(events) if kind in kinds}
    return sorted(last, key=last.__getitem__)


def in_cart(events: list[tuple[str, str, float | None]], product: str) -> bool:
    """The slow way: play this product's events alone."""
    units = 0.0
    for kind, other, quantity in events:
        if other != product:
            continue
        if kind == "add_to_cart":
            units += quantity or 1
        elif kind == "remove_from_cart":
            units = max(0.0, units - quantity) if quantity else 0.0
        elif kind == "purchase":
            units = 0.0
    return units > 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(EVENT_TYPES),
            st.sampled_from("abcd"),
            st.sampled_from([None, 1.0, 2.0]),
        ),
        max_size=40,
    )
)
def test_persons_are_those_of_the_slow_oracle(events):
    person = did(*events)
    clicks = {"view_item", "add_to_cart", "add_to_wishlist", "purchase"}
    about = {
        p: [k for k, q, _ in events if q == p and k in ("add_to_wishlist", "purchase")]
        for p in "abcd"
    }
    wished = [
        p for p in last_places(events, {"add_to_wishlist"}) if about[p][-1] == "add_to_wishlist"
    ]
    assert list(person.bought) == last_places(events, {"purchase"})
    assert list(person.viewed) == last_places(events, {"view_item"})
    assert list(person.recent) == last_places(events, clicks)
    assert set(person.cart) == {p for p in "abcd" if in_cart(events, p)}
    assert list(person.wishlist) == wished
    assert person.version == len(events)
