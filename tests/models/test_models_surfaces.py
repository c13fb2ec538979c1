"""Surfaces: what a shop may say of a place, and how it is told what it may not."""

import pytest

from models.surfaces import READY, Surface, read


def test_the_seven_places_come_ready():
    names = {"home", "product", "cart", "buy_again", "win_back", "search_empty", "live"}
    assert set(read({})) == names


def test_a_given_key_changes_a_ready_surface_and_leaves_the_rest():
    found = read({"cart": {"slots": 4, "limits": {"brand": 2}}})
    assert found["cart"].slots == 4
    assert found["cart"].limits == (("brand", 2),)
    assert found["cart"].sources == READY["cart"].sources
    assert found["home"] == READY["home"]


def test_a_new_name_is_a_surface_of_its_own():
    found = read({"app-top": {"sources": {"popular": 1, "new": 2.5}, "explore": 0.1}})
    assert found["app-top"] == Surface(sources=(("popular", 1.0), ("new", 2.5)), explore=0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Home": {}}, "surfaces.Home: a name is 1 to 40 of a-z, 0-9, _ and -"),
        ({"home": 3}, "surfaces.home must be a section, got 3"),
        ({"home": {"slot": 3}}, "surfaces.home.slot is no setting; there are sources"),
        ({"home": {"slots": 0}}, "surfaces.home.slots must be a whole number from 1 to 100, got 0"),
        ({"home": {"slots": True}}, "surfaces.home.slots must be a whole number"),
        ({"home": {"sources": {}}}, "surfaces.home.sources must name at least one of model"),
        ({"home": {"sources": {"als": 1}}}, "surfaces.home.sources.als is unknown; there are"),
        ({"home": {"sources": {"model": -1}}}, "surfaces.home.sources.model must be a number"),
        ({"home": {"bought": "never"}}, "surfaces.home.bought must be one of recent, drop, keep"),
        ({"home": {"fallback": ["best"]}}, "surfaces.home.fallback must be a list of model"),
        ({"home": {"spread": 1}}, "surfaces.home.spread must be a number from 0 to 0.99, got 1"),
        ({"home": {"explore": float("nan")}}, "surfaces.home.explore must be a number"),
        ({"home": {"limits": {"colour": 1}}}, "surfaces.home.limits.colour is unknown"),
        ({"home": {"rules": "yes"}}, "surfaces.home.rules must be true or false, got 'yes'"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_path_and_what_is_wanted(given, said):
    with pytest.raises(ValueError, match="surfaces") as error:
        read(given)
    assert str(error.value).startswith(said)
