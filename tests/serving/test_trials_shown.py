"""What a customer keeps passing by is known, until she takes it up or it was long ago."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serving.trials.shown import SURFACES, Shown

CUSTOMER = st.sampled_from(["ann", "ben"])
SURFACE = st.sampled_from(["home", "cart"])
PRODUCT = st.sampled_from(["p0", "p1", "p2"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), CUSTOMER, SURFACE, st.lists(PRODUCT, unique=True)),
        st.tuples(st.just("clicked"), CUSTOMER, PRODUCT),
        st.tuples(st.just("forget"), CUSTOMER),
    )
)


@given(STEPS, st.integers(1, 4))
def test_stale_is_what_was_shown_so_often_since_it_was_last_taken_up(
    steps: list[tuple[str, ...]], times: int
) -> None:
    shown = Shown()
    counts: Counter[tuple[str, str, str]] = Counter()  # the oracle
    for name, *arguments in steps:
        getattr(shown, name)(*arguments)
        customer = arguments[0]
        if name == "note":
            counts.update((customer, arguments[1], product) for product in arguments[2])
        else:
            for key in list(counts):
                if key[0] == customer and (name == "forget" or key[2] == arguments[1]):
                    del counts[key]
    for customer in ("ann", "ben"):
        for surface in ("home", "cart"):
            wanted = {p for (c, s, p), n in counts.items() if (c, s) == (customer, surface)
                      and n >= times}  # fmt: skip
            assert set(shown.stale(customer, surface, times)) == wanted


def test_the_customer_longest_away_is_forgotten_first() -> None:
    shown = Shown(customers=2)
    for customer in ("ann", "ben", "ann", "cleo"):
        shown.note(customer, "home", ["p"])
    assert shown.known == 2
    assert shown.stale("ann", "home", 2) == ["p"]
    assert shown.stale("ben", "home", 1) == []


def test_the_product_longest_not_shown_is_forgotten_and_has_its_chance_again() -> None:
    shown = Shown(products=3)
    shown.note("ann", "home", ["a", "b", "c"])
    shown.note("ann", "home", ["a", "d"])
    assert shown.stale("ann", "home", 1) == ["c", "a", "d"]
    assert shown.stale("ann", "home", 2) == ["a"]


def test_surfaces_are_bounded_too() -> None:
    shown = Shown()
    for n in range(SURFACES + 1):
        shown.note("ann", f"surface-{n}", ["p"])
    assert shown.stale("ann", "surface-0", 1) == []
    assert shown.stale("ann", f"surface-{SURFACES}", 1) == ["p"]
