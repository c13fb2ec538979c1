from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipelines.gate import Decision, Enough, Entry, decide
from pipelines.settings import Gate, Judge

CUSTOMERS = 400
ENOUGH = Enough(interactions=5_000, repeat_customers=100)
BASE = np.random.default_rng(0).uniform(0, 0.2, CUSTOMERS)


def entry(name: str, gain: float, *, noise: float = 0.0, findings: tuple[str, ...] = ()) -> Entry:
    """A model whose every customer is `gain` better than popularity's, more or less `noise`."""
    values = BASE + gain + noise * np.random.default_rng(1).standard_normal(CUSTOMERS)
    table = pa.table({"customer_id": [f"c{i:03}" for i in range(CUSTOMERS)], "ndcg_at_10": values})
    return Entry(name, f"run-{name}", f"recipe-{name}", float(values.mean()), table, findings)


POPULARITY = entry("popularity", 0.0)
ALS = entry("als", 0.05)
BPR = entry("bpr", 0.03)


def ask(
    *entries: Entry, champion: str | None = None, enough: Enough = ENOUGH, gate: Gate | None = None
) -> Decision:
    return decide(
        [POPULARITY, *entries],
        champion=champion,
        enough=enough,
        gate=gate or Gate(),
        judge=Judge(resamples=200),
    )


def test_the_best_that_beats_popularity_is_published() -> None:
    decision = ask(BPR, ALS)
    assert (decision.action, decision.model, decision.run_id) == ("publish", "als", "run-als")
    assert decision.reasons["als"] == decision.reasons["bpr"] == []
    assert decision.against["als"]["popularity"]["low"] > 0
    assert "als beats popularity on ndcg@10" in decision.verdict


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (entry("als", -0.01), "the interval does not lie above zero"),
        (entry("als", 0.0), "the interval does not lie above zero"),
        (entry("als", 0.004, noise=0.1), "the interval does not lie above zero"),
        (entry("als", 0.001), "a gain of 0.9%, want 2.0%"),
        (entry("als", 0.05, findings=("too_few: 1 customer",)), "its lists: too_few: 1 customer"),
    ],
    ids=["worse", "equal", "within noise", "too small a gain", "faulty lists"],
)
def test_a_candidate_is_held_with_its_reason_and_popularity_serves(
    candidate: Entry, reason: str
) -> None:
    decision = ask(candidate)
    assert (decision.action, decision.model) == ("fallback", "popularity")
    assert reason in decision.reasons["als"][0]


@pytest.mark.parametrize(
    ("enough", "reason"),
    [
        (Enough(999, 25), "999 interactions, want 1000"),
        (Enough(1_000, 24), "24 customers who came again, want 25"),
    ],
)
def test_too_little_data_holds_every_candidate(enough: Enough, reason: str) -> None:
    first = ask(ALS, enough=enough)
    assert (first.action, first.model) == ("fallback", "popularity")
    assert first.reasons["als"] == [reason]
    later = ask(ALS, enough=enough, champion="recipe-als")
    assert (later.action, later.model) == ("hold", None)
    assert reason in later.verdict


def test_just_enough_data_is_enough() -> None:
    assert ask(ALS, enough=Enough(1_000, 25)).action == "publish"


def test_a_candidate_must_beat_the_champion_too() -> None:
    close = replace(entry("bpr", 0.0505), name="bpr")
    decision = ask(ALS, close, champion="recipe-als")
    assert (decision.action, decision.model) == ("refresh", "als")
    assert "against champion" in decision.reasons["bpr"][0]
    better = ask(ALS, entry("bpr", 0.08), champion="recipe-als")
    assert (better.action, better.model) == ("publish", "bpr")
    assert set(better.against["bpr"]) == {"popularity", "champion"}
    assert "and als, which serves, with 0.1" in better.verdict
    assert [better.says(name) for name in ("bpr", "als", "popularity")] == [
        "publish", "pass", "hold",
    ]  # fmt: skip


def test_a_champion_that_still_wins_is_published_on_the_newest_data() -> None:
    decision = ask(ALS, BPR, champion="recipe-als")
    assert (decision.action, decision.model, decision.run_id) == ("refresh", "als", "run-als")


def test_popularity_as_champion_is_beaten_once_not_twice() -> None:
    decision = ask(ALS, champion="recipe-popularity")
    assert (decision.action, decision.model) == ("publish", "als")
    assert set(decision.against["als"]) == {"popularity"}


def test_popularity_as_champion_stays_while_nothing_beats_it() -> None:
    decision = ask(entry("als", -0.01), champion="recipe-popularity")
    assert (decision.action, decision.model) == ("refresh", "popularity")


def test_a_champion_with_faulty_lists_is_not_refreshed() -> None:
    faulty = entry("als", 0.05, findings=("duplicate_product: 2 customers",))
    decision = ask(faulty, champion="recipe-als")
    assert (decision.action, decision.run_id) == ("hold", None)


def test_no_gain_is_asked_for_where_the_rival_has_nothing() -> None:
    table = POPULARITY.per_customer.set_column(1, "ndcg_at_10", pa.array(np.zeros(CUSTOMERS)))
    nothing = replace(POPULARITY, mean=0.0, per_customer=table)
    decision = decide(
        [nothing, ALS], champion=None, enough=ENOUGH, gate=Gate(), judge=Judge(resamples=200)
    )
    assert decision.action == "publish"


def test_the_decision_is_the_same_in_any_order() -> None:
    one, other = ask(ALS, BPR), ask(BPR, ALS)
    assert one == other
