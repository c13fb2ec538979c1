"""Declared experiments are read from the shop's TOML, and refused where they make no sense."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from pipelines.experiments import External
from pipelines.settings import SettingsError, Shop, read

HOME = """
[experiments.home]
arms = { old = 0.5, new = 0.5 }
start = 2026-03-01T02:00:00+02:00
end = 2026-03-29T00:00:00Z
surfaces = ["home"]
metric = "revenue"
horizon_days = 7
minimum_effect = 0.02
guardrails = { return = 0.01 }
"""


def shop(text: str) -> Shop:
    return read(f'[shop]\nname = "s"\n[ingest]\nmapping = "ga4"\n{text}', source="shop.toml")


def test_a_test_is_read_as_it_stands() -> None:
    home = shop(HOME).experiments["home"]
    assert home.control == "old"
    assert home.start == datetime(2026, 3, 1, tzinfo=UTC)
    assert home.guardrails == {"return": 0.01}
    plan = home.plan("home")
    assert plan.arms == (("old", 0.5), ("new", 0.5))
    assert plan.runs(home.start, "home")
    assert not plan.runs(home.start, "cart")
    assert shop("").experiments == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("new = 0.5", "new = 0.4", "the arms' shares must sum to 1, got 0.9"),
        ("old = 0.5, ", "", "at least one other arm"),
        ("old =", "holdout =", "holdout is the name of what no test touches"),
        ("2026-03-29", "2026-02-28", "end must come after start"),
        ("2026-03-29T00:00:00Z", "2026-03-29T00:00:00", "timezone"),
        ("surfaces", "surface", "experiments.home.surface is no setting"),
        ('"revenue"', '"profit"', "experiments.home.metric"),
        ("horizon_days = 7", "traffic = [0.5, 0.5]", "traffic wants from < to"),
        ("home]", '"a b"]', "experiments.a b"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(old: str, new: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("[", r"\[")):
        shop(HOME.replace(old, new))


def test_two_tests_of_a_layer_must_not_share_units() -> None:
    cart = HOME.replace("experiments.home", "experiments.again")
    with pytest.raises(SettingsError, match=r"home and experiments\.again share units"):
        shop(HOME + cart)
    parts = HOME + "traffic = [0.0, 0.5]\n" + cart + "traffic = [0.5, 1.0]\n"
    assert len(shop(parts).experiments) == 2
    assert len(shop(HOME + cart + 'layer = "other"\n').experiments) == 2


def test_two_tests_must_not_share_a_salt() -> None:
    other = HOME.replace("experiments.home", "experiments.again") + 'layer = "x"\nsalt = "home"\n'
    with pytest.raises(SettingsError, match="have the same salt"):
        shop(HOME + other)


def test_an_external_test_knows_its_outcomes() -> None:
    words = {"arm": "segment", "control": "none", "outcomes": ["visit", "spend"]}
    assert External.model_validate(words).metric == "visit"
    assert External.model_validate({**words, "decides": "spend"}).metric == "spend"
    with pytest.raises(ValidationError, match="sale is none of the outcomes visit, spend"):
        External.model_validate({**words, "decides": "sale"})
    with pytest.raises(ValidationError, match="visit cannot be an outcome and known before"):
        External.model_validate({**words, "covariates": ["visit"]})
