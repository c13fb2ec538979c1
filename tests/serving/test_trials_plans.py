"""The shop's file says who is in which test; the server and the reports read it alike."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest

from features.assignment import HOLDOUT, assign
from pipelines import experiments, settings
from serving.trials import plans
from serving.trials.draft import draft
from serving.trials.plans import INTERLEAVED, Assigned, Plans, Serve, served

SHOP = '[shop]\nname = "s"\n[ingest]\nmapping = "ga4"\n'
HOME = """
[experiments.home]
arms = { old = 0.5, new = 0.3, bold = 0.2 }
start = 2026-03-01T02:00:00+02:00
end = 2026-03-29T00:00:00Z
surfaces = ["home"]
salt = "spring"
layer = "looks"
traffic = [0.1, 0.9]
holdout = 0.05
serve = { new = { bundle = "candidate" }, bold = { surface = "home_bold" } }
metric = "revenue"
horizon_days = 7
minimum_effect = 0.02
guardrails = { return = 0.01 }
cap_revenue = 0.999
"""
BOTH = """
[experiments.both]
arms = { old = 0.5, new = 0.5 }
start = 2026-03-01T00:00:00Z
interleave = true
serve = { new = { bundle = "candidate" } }
layer = "ranking"
"""
BEGIN, END = (datetime(2026, 3, day, tzinfo=UTC).timestamp() for day in (1, 29))
UNITS = [f"c{n}" for n in range(400)]


def read(text: str) -> Plans:
    return plans.read(tomllib.loads(text))


def test_the_server_and_the_reports_read_the_same() -> None:
    ours = read(HOME + BOTH).experiments
    theirs = settings.read(SHOP + HOME + BOTH, source="shop.toml").experiments
    assert list(ours) == list(theirs)
    for name, test in theirs.items():
        assert ours[name].plan(name) == test.plan(name)
        assert ours[name].interleave == test.interleave
        assert {arm: (one.bundle, one.surface) for arm, one in ours[name].serve.items()} == {
            arm: (one.bundle, one.surface) for arm, one in test.serve.items()
        }
    assert set(plans.Experiment.__struct_fields__) == set(experiments.Experiment.model_fields)
    assert INTERLEAVED == experiments.INTERLEAVED


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("bold = 0.2 }", "bold = 0.3 }", "experiments.home.arms"),
        ("new = 0.3", "new = 1.3", "experiments.home.arms.new"),
        ("new = 0.3", "holdout = 0.3", "experiments.home.arms"),
        ("new = 0.3", "interleaved = 0.3", "experiments.home.arms"),
        (", new = 0.3, bold = 0.2", "", "experiments.home.arms"),
        ("2026-03-29", "2026-02-28", "experiments.home.end"),
        ("2026-03-29T00:00:00Z", "2026-03-29T00:00:00", "experiments.home.end"),
        ("surfaces", "surface", "experiments.home.surface"),
        ('"revenue"', '"profit"', "experiments.home.metric"),
        ("[0.1, 0.9]", "[0.5, 0.5]", "experiments.home.traffic"),
        ("horizon_days = 7", "interleave = true", "experiments.home.interleave"),
        ('"candidate"', '"../candidate"', "experiments.home.serve.new.bundle"),
        ('{ bundle = "candidate" }', "{}", "experiments.home.serve.new"),
        ("serve = { new", "serve = { old", "experiments.home.serve.old"),
        ("serve = { new", "serve = { gold", "experiments.home.serve.gold"),
        ("0.999", "1.0", "experiments.home.cap_revenue"),
        ("[experiments.home]", "[experiments.'a b']", "experiments.a b"),
        ("[experiments.home]", "experiments = 1\n[shop]", "experiments"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path_here_and_there(
    old: str, new: str, path: str
) -> None:
    with pytest.raises(ValueError, match=path):
        read(HOME.replace(old, new))
    with pytest.raises(settings.SettingsError):
        settings.read(SHOP + HOME.replace(old, new), source="shop.toml")


def test_tests_that_would_share_units_or_a_salt_are_refused() -> None:
    again = HOME.replace("experiments.home", "experiments.again")
    with pytest.raises(ValueError, match=r"experiments\.home and experiments\.again share units"):
        read(HOME + again.replace("spring", "summer"))
    with pytest.raises(ValueError, match="have the same salt"):
        read(HOME + again.replace("looks", "other"))


def test_a_unit_gets_the_arm_that_the_plan_gives_with_what_it_serves() -> None:
    found = read(HOME)
    plan = found.experiments["home"].plan("home")
    serves = {"new": Serve(bundle="candidate"), "bold": Serve(surface="home_bold")}
    arms = set()
    for unit in UNITS:
        wanted = assign([plan], unit, at=datetime.fromtimestamp(BEGIN, UTC), surface="home")
        mine = found.assigned(unit, "home", BEGIN)
        assert [(one.experiment, one.arm) for one in mine] == [
            (one.experiment, one.arm) for one in wanted
        ]
        for one in mine:
            assert one.serve == serves.get(one.arm, Serve())
            arms.add(one.arm)
        assert found.assigned(unit, "home", BEGIN) is mine  # kept at hand
        assert found.assigned(unit, "cart", BEGIN) == ()
    assert arms == {"old", "new", "bold", HOLDOUT}
    assert found.bundles == {"candidate"}


def test_a_test_begins_and_ends_on_time_also_when_the_clock_is_set_back() -> None:
    found = read(HOME)
    unit = next(unit for unit in UNITS if found.assigned(unit, "home", BEGIN))
    for now, inside in (
        (BEGIN - 1, False), (BEGIN, True), (END - 0.001, True), (END, False), (BEGIN + 5, True),
        (0.0, False),
    ):  # fmt: skip
        assert bool(found.assigned(unit, "home", now)) == inside


def test_what_is_kept_at_hand_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "KEPT", 10)
    found = read(HOME)
    first = [found.assigned(unit, "home", BEGIN) for unit in UNITS]
    assert all(len(kept) <= 10 for kept in found._kept.values())
    assert [found.assigned(unit, "home", BEGIN) for unit in UNITS] == first
    for n in range(100):
        found.assigned("c1", f"made-up-{n}", BEGIN)
    assert len(found._kept) == 2  # home, and all the others together


def test_an_interleaved_test_gives_both_rankers_to_everybody() -> None:
    found = read(BOTH)
    (one,) = found.assigned("c1", "anywhere", BEGIN)
    wanted = (("old", Serve()), ("new", Serve(bundle="candidate")))
    assert one == Assigned("both", INTERLEAVED, Serve(), wanted)


def test_a_test_without_its_bundle_does_not_run() -> None:
    found = read(HOME + BOTH)
    assert found.without([]).experiments == found.experiments
    assert not found.without(["candidate"]).experiments
    assert found.without(["candidate"]).assigned("c1", "home", BEGIN) == ()


def test_of_two_tests_the_first_that_wants_something_has_it() -> None:
    assert served(()) == Serve()
    some = (
        Assigned("a", "x"),
        Assigned("b", "y", Serve(surface="s")),
        Assigned("c", "z", Serve("candidate", "t")),
    )
    assert served(some) == Serve("candidate", "s")


def test_a_draft_can_be_told_again_and_names_the_arms() -> None:
    lists = [1, 2, 3, 4], [4, 3, 2, 1]
    made = [draft(*lists, 4, request_id=f"r{n}", arms=("old", "new")) for n in range(40)]
    assert made == [draft(*lists, 4, request_id=f"r{n}", arms=("old", "new")) for n in range(40)]
    assert {(codes[0], arms[0]) for codes, arms in made} == {(1, "old"), (4, "new")}
    assert all(sorted(codes) == [1, 2, 3, 4] and arms.count("old") == 2 for codes, arms in made)
