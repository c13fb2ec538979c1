"""A live test from its logs, or somebody else's table, to a verdict, a page and a tracked run."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from features.schemas import EXPOSURES, OUTCOMES
from pipelines import experiment as testing
from pipelines import experiment_trials as trials
from pipelines.experiment_page import page
from pipelines.experiments import Experiment, External
from pipelines.outcomes import gather
from pipelines.steps import job

DATA = Path(os.environ.get("REGULARS_DATA", "../shared/data"))
CHROMIUM = Path("/usr/bin/chromium")
HILLSTROM = DATA / "hillstrom.parquet"
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=14)
DONE = END + timedelta(days=7)
TEST = Experiment(
    arms={"old": 0.5, "new": 0.5}, start=START, end=END, horizon_days=7, minimum_effect=0.02,
    guardrails={"revenue": 0.2},
)  # fmt: skip
SHOP = """[shop]
name = "ours"
[ingest]
mapping = "synthetic"
[experiments.home]
arms = { old = 0.5, new = 0.5 }
start = 2026-03-01T00:00:00Z
end = 2026-03-15T00:00:00Z
horizon_days = 7
"""


def logs(units: int = 3_000, *, gain: float = 1.0, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Logs of a test in which the new arm buys so many times as often."""
    rng = np.random.default_rng(seed)
    plan = TEST.plan("home")
    shown, bought = [], []
    for n in range(units):
        name, taste, entered = f"c{n}", rng.gamma(1, 1), rng.uniform(0, 14)
        arm = str(plan.arm(name))
        shown.append(
            {
                "request_id": f"r{n}", "event_time": START + timedelta(days=entered),
                "customer_id": name, "surface": "home", "channel": "live" if n % 2 else "web",
                "experiment": "home", "arm": arm, "product_id": "p", "position": 1,
            }
        )  # fmt: skip
        rate = 0.4 * taste * (gain if arm == "new" else 1)
        days = [*-rng.uniform(0, 50, rng.poisson(2 * taste)), *rng.uniform(0, 7, rng.poisson(rate))]
        for day in days:
            bought.append(
                {
                    "event_time": START + timedelta(days=entered + float(day)),
                    "event_type": "purchase", "channel": "store" if rng.random() < 0.5 else "web",
                    "customer_id": name, "product_id": "p", "quantity": 1.0,
                    "unit_price": float(rng.lognormal(3, 0.4)), "order_id": f"o{len(bought)}",
                    "request_id": f"r{n}" if day > 0 and rng.random() < 0.5 else None,
                }
            )  # fmt: skip
    return (
        pa.Table.from_pylist(shown, schema=EXPOSURES), pa.Table.from_pylist(bought, schema=OUTCOMES)
    )  # fmt: skip


def report(shown: pa.Table, bought: pa.Table, *, as_of: datetime = DONE, **more: Any) -> Any:
    gathered = gather("home", TEST, shown, bought, now=DONE, as_of=as_of)
    return testing.read(trials.of_log("home", TEST, gathered), gathered=gathered, **more)


@pytest.mark.parametrize(("gain", "decision"), [(1.6, "ship"), (1.0, "hold"), (0.6, "fail")])
def test_a_known_effect_gets_its_verdict(gain: float, decision: str) -> None:
    record = report(*logs(gain=gain))
    assert record["verdict"]["decision"] == decision
    assert all(check["holds"] for check in record["checks"])
    assert record["findings"] == []
    orders = next(one for one in record["effects"] if one["measure"] == "orders")
    assert orders["relative_low"] < gain - 1 < orders["relative_high"]
    assert orders["variance_left"] < 0.9
    places = {one["measure"]: one["difference"] for one in record["places"]}
    revenue = next(one for one in record["effects"] if one["measure"] == "revenue")
    whole = sum(one["treated"] - one["control"] for one in record["places"])
    assert set(places) == {"revenue in store", "revenue in web"}
    assert whole == pytest.approx(revenue["treated"] - revenue["control"])


def test_the_means_are_those_of_a_plain_loop() -> None:
    shown, bought = logs(600)
    record = report(shown, bought)
    entered = dict(zip(*(shown[c].to_pylist() for c in ("customer_id", "event_time")), strict=True))
    spent: dict[str, float] = dict.fromkeys(entered, 0.0)
    for row in bought.to_pylist():
        since = row["event_time"] - entered[row["customer_id"]]
        if timedelta(0) <= since <= timedelta(days=7):
            spent[row["customer_id"]] += row["unit_price"]
    arms = dict(zip(*(shown[c].to_pylist() for c in ("customer_id", "arm")), strict=True))
    (revenue,) = [one for one in record["effects"] if one["measure"] == "revenue"]
    (conversion,) = [one for one in record["effects"] if one["measure"] == "conversion"]
    for arm, side in (("old", "control"), ("new", "treated")):
        theirs = [value for name, value in spent.items() if arms[name] == arm]
        assert revenue[side] == pytest.approx(np.mean(theirs))
        assert conversion[side] == pytest.approx(np.mean(np.array(theirs) > 0))


def test_while_a_test_runs_its_interval_is_wider_than_one_look_and_may_end_it() -> None:
    record = report(*logs(gain=2.5), as_of=START + timedelta(days=14))
    assert not record["finished"]
    assert record["verdict"]["headline"] == "Ship new. The test may be stopped now."
    assert record["level"] > 0.99
    (looks,) = record["looks"].values()
    assert len(looks) > 3
    units = sum(one["units"] for one in record["arms"].values())
    assert looks[-1]["n"] == units < record["entered"]
    (decides,) = [one for one in record["effects"] if one["role"] == "decides"]
    assert decides["difference"] == pytest.approx(looks[-1]["difference"])


def test_a_test_without_an_end_is_read_by_an_interval_that_is_always_valid() -> None:
    shown, bought = logs(2_000, gain=1.6)
    endless = TEST.model_copy(update={"end": None})
    gathered = gather("home", endless, shown, bought, now=DONE, as_of=DONE)
    record = testing.read(trials.of_log("home", endless, gathered), gathered=gathered)
    assert (record["rule"], record["finished"]) == ("always", False)
    planned = report(shown, bought)
    wide, narrow = (
        next(one for one in some["effects"] if one["role"] == "decides")
        for some in (record, planned)
    )
    assert wide["difference"] == pytest.approx(narrow["difference"])
    assert wide["high"] - wide["low"] > 1.3 * (narrow["high"] - narrow["low"])
    assert "for as long as the test runs" in page(record)


def test_several_arms_share_the_error() -> None:
    arms = {"old": 0.4, "new": 0.3, "other": 0.3}
    three = TEST.model_copy(update={"arms": arms})
    plan = three.plan("home")
    shown, bought = logs(2_000)
    drawn = pa.array([plan.arm(str(name)) for name in shown["customer_id"].to_pylist()])
    shown = shown.set_column(shown.column_names.index("arm"), "arm", drawn)
    gathered = gather("home", three, shown, bought, now=DONE, as_of=DONE)
    record = testing.read(trials.of_log("home", three, gathered), gathered=gathered)
    assert set(record["verdict"]["arms"]) == set(record["looks"]) == {"new", "other"}
    assert record["level"] > report(*logs(2_000))["level"] > 0.95


def test_a_slice_is_marked_only_where_it_stands_out_among_all() -> None:
    record = report(*logs(1_500, gain=1.4))
    row = next(one for one in record["slices"] if one["measure"] == "conversion")
    row.update(low=0.01, high=0.2, relative_low=0.01, relative_high=0.2, adjusted=0.3)
    marked = page({**record, "slices": [row]}).split("For whom")[1]
    assert "class='big '" in marked
    assert "over all slices together: 0.3" in marked
    assert (
        "class='big good'"
        in page({**record, "slices": [{**row, "adjusted": 0.001}]}).split("For whom")[1]
    )


def test_an_hour_later_is_no_look_of_its_own() -> None:
    """The bound holds for the looks that were planned, one a day."""
    shown, bought = logs(1_500, gain=1.6)
    morning = report(shown, bought, as_of=START + timedelta(days=15))
    evening = report(shown, bought, as_of=START + timedelta(days=15, hours=20))
    assert morning["effects"] == evening["effects"]
    assert morning["arms"] == evening["arms"]
    next_day = report(shown, bought, as_of=START + timedelta(days=16))
    assert next_day["effects"] != evening["effects"]


def test_before_anybodys_time_is_up_there_is_nothing_to_read() -> None:
    record = report(*logs(), as_of=START + timedelta(days=6))
    assert record["effects"] == []
    assert "too early" in record["verdict"]["headline"]
    assert "No customer's time is up yet." in page(record)


def broken(how: str) -> Any:
    shown, bought = logs()
    arm = np.array(shown["arm"].to_pylist())
    keep = np.ones(len(arm), bool)
    if how == "sample_ratio":
        keep[np.flatnonzero(arm == "new")[::5]] = False
    if how == "log":
        keep = arm == "old"
    shown = shown.filter(pa.array(keep))
    if how == "assignment":
        wrong = ["new" if n % 20 == 0 else one for n, one in enumerate(arm)]
        shown = shown.set_column(shown.column_names.index("arm"), "arm", pa.array(wrong))
    if how == "join_rate":
        lost = [f"x{one}" if one else None for one in bought["request_id"].to_pylist()]
        bought = bought.set_column(
            bought.column_names.index("request_id"), "request_id", pa.array(lost)
        )
    if how == "alike_before":
        new = set(shown.filter(pc.equal(shown["arm"], "new"))["customer_id"].to_pylist())
        drop = [
            when < START and who in new and n % 2 == 0
            for n, (when, who) in enumerate(
                zip(
                    bought["event_time"].to_pylist(), bought["customer_id"].to_pylist(), strict=True
                )
            )
        ]
        bought = bought.filter(pa.array(~np.array(drop)))
    return shown, bought


@pytest.mark.parametrize("how", ["sample_ratio", "log", "assignment", "join_rate", "alike_before"])
def test_a_failed_check_keeps_outcomes_back(how: str) -> None:
    record = report(*broken(how))
    assert how in [check["code"] for check in record["checks"] if check["holds"] is False]
    assert record["withheld"]
    assert record["effects"] == record["slices"] == record["places"] == []
    assert record["looks"] == {}
    assert record["verdict"]["decision"] == "hold"
    made = page(record)
    assert "Not shown: a check failed" in made
    assert "order value" not in made


def test_outcomes_of_a_broken_test_are_shown_to_who_insists_but_decide_nothing() -> None:
    record = report(*broken("join_rate"), show=True)
    assert record["effects"]
    assert record["verdict"]["decision"] == "hold"


@pytest.fixture(scope="module")
def hillstrom() -> Any:
    if not HILLSTROM.exists():
        pytest.skip(f"{HILLSTROM} is not here")
    described = External(
        arm="segment", control="No E-Mail", outcomes=("visit", "conversion", "spend"),
        covariates=("recency", "history", "mens", "womens", "newbie"), slices=("channel",),
    )  # fmt: skip
    table = pq.read_table(HILLSTROM)
    return table, testing.read(trials.of_table("hillstrom", described, table))


def plain(spent: dict[str, np.ndarray], arm: str) -> tuple[float, float]:
    """Difference and standard error from sums and squares, in plain arithmetic."""
    sides = []
    for values in (spent[arm], spent["No E-Mail"]):
        n = len(values)
        mean = math.fsum(values) / n
        sides.append((mean, math.fsum((values - mean) ** 2) / (n - 1) / n))
    return sides[0][0] - sides[1][0], math.sqrt(sides[0][1] + sides[1][1])


def test_hillstroms_arms_are_balanced_and_both_mails_work(hillstrom: Any) -> None:
    table, record = hillstrom
    assert {arm: one["units"] for arm, one in record["arms"].items()} == {
        "No E-Mail": 21_306, "Mens E-Mail": 21_307, "Womens E-Mail": 21_387,
    }  # fmt: skip
    assert all(check["holds"] for check in record["checks"])
    assert record["verdict"]["arms"] == {"Mens E-Mail": "ship", "Womens E-Mail": "ship"}
    for outcome, published in (("visit", 0.14678), ("conversion", 0.00903), ("spend", 1.05091)):
        one = [row for row in record["effects"] if row["measure"] == outcome]
        total = one[0]["control"] * one[0]["n_control"] + sum(r["treated"] * r["n"] for r in one)
        assert total / table.num_rows == pytest.approx(published, abs=5e-6)


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_hillstroms_effects_per_channel_are_those_of_an_independent_computation(
    hillstrom: Any, outcome: str
) -> None:
    """No covariates there: difference and standard error by plain sums, 97.5 % for two arms."""
    table, record = hillstrom
    segment, channel = (np.array(table[name].to_pylist()) for name in ("segment", "channel"))
    values = np.array(table[outcome], float)
    for place in ("Web", "Phone", "Multichannel"):
        inside = {arm: values[(segment == arm) & (channel == place)] for arm in set(segment)}
        for arm in ("Mens E-Mail", "Womens E-Mail"):
            difference, error = plain(inside, arm)
            (row,) = [
                one
                for one in record["slices"]
                if (one["measure"], one["value"], one["arm"]) == (outcome, place, arm)
            ]
            assert row["difference"] == pytest.approx(difference, rel=1e-9)
            assert row["low"] == pytest.approx(difference - 2.2414 * error, abs=0.01 * error)
            assert row["high"] == pytest.approx(difference + 2.2414 * error, abs=0.01 * error)


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_hillstroms_effects_with_covariates_are_a_regressions(hillstrom: Any, outcome: str) -> None:
    """CUPED's oracle: outcome on arm and covariates by least squares, with robust errors."""
    table, record = hillstrom
    segment = np.array(table["segment"].to_pylist())
    known = [np.array(table[name], float)
             for name in ("recency", "history", "mens", "womens", "newbie")]  # fmt: skip
    for arm in ("Mens E-Mail", "Womens E-Mail"):
        some = (segment == arm) | (segment == "No E-Mail")
        design = np.column_stack(
            [np.ones(some.sum()), segment[some] == arm, *(k[some] for k in known)]
        )
        design = design.astype(float)
        values = np.array(table[outcome], float)[some]
        inverse = np.linalg.inv(design.T @ design)
        slope = inverse @ design.T @ values
        left = values - design @ slope
        robust = inverse @ (design.T * left**2) @ design @ inverse
        (row,) = [o for o in record["effects"] if (o["measure"], o["arm"]) == (outcome, arm)]
        error = math.sqrt(robust[1, 1])
        assert row["error"] == pytest.approx(error, rel=0.003)
        assert row["difference"] == pytest.approx(slope[1], abs=0.05 * error)


def test_a_table_whose_rows_lost_their_arm_is_not_read() -> None:
    table = pa.table({"arm": ["a", "b", None] * 50, "sale": [1.0, 2.0, 3.0] * 50})
    described = External(arm="arm", control="a", outcomes=("sale",))
    record = testing.read(trials.of_table("t", described, table))
    assert record["withheld"]
    assert record["verdict"]["decision"] == "hold"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"arm": "group"}, "the table must have group"),
        ({"control": "c"}, "control must be one of a, b, got 'c'"),
        ({"shares": {"a": 1}}, "shares must name every arm, got none for b"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(words: dict[str, Any], said: str) -> None:
    table = pa.table({"arm": ["a", "b"], "sale": [1.0, 2.0]})
    described = External.model_validate(
        {"arm": "arm", "control": "a", "outcomes": ["sale"], **words}
    )
    with pytest.raises(ValueError, match=said):
        trials.of_table("t", described, table)


def test_the_page_says_first_what_follows_and_needs_nothing_from_elsewhere() -> None:
    made = page(report(*logs(gain=1.6)))
    text = re.sub(r"<style>.*?</style>", "", made, flags=re.DOTALL)
    order = ("Ship new.", "May it be believed?", "What it did", "Day by day", "For whom")
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "http" not in made
    assert "<script" not in made
    assert made.count("<svg") == made.count('role="img"') == made.count("<title>") - 1
    assert "conversion" in text[: text.index("May it")]


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")
def test_the_page_is_read_on_a_phone_and_by_keyboard(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    (tmp_path / "page.html").write_text(page(report(*logs(gain=1.6))), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        shown = browser.new_page(viewport={"width": 390, "height": 844})
        said: list[str] = []
        shown.on("console", lambda message: said.append(message.text))
        shown.goto((tmp_path / "page.html").as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
        verdict = shown.get_by_text("Ship new.")
        expect(verdict).to_be_in_viewport()
        why = shown.get_by_text("If the counts are off by more than chance allows")
        expect(why).to_be_hidden()
        shown.get_by_text("The arms have the sizes they should").focus()
        shown.keyboard.press("Tab")
        shown.locator("summary", has_text="The arms have the sizes").press("Enter")
        expect(why).to_be_visible()
        pictures = shown.locator("svg")
        assert all(pictures.nth(n).get_attribute("aria-label") for n in range(pictures.count()))
        assert pictures.count() > 10
        assert said == []
        browser.close()


def test_names_on_the_page_are_text_and_never_markup() -> None:
    table = pa.table({"arm": ["<b>a", "<b>c"] * 50, "<i>x": [1.0, 2.0, 3.0, 5.0] * 25})
    described = External(arm="arm", control="<b>c", outcomes=("<i>x",))
    made = page(testing.read(trials.of_table("<u>t", described, table)))
    assert not re.search(r"<(u|i)>|<b>[ac]", made)


def test_the_command_reports_logs_and_tracks_the_same_report_once(
    tmp_path: Path, run_command: Any
) -> None:
    shown, bought = logs(1_000, gain=1.6)
    bought = pa.concat_tables([bought, bought.slice(0, 3)])
    pq.write_table(shown, tmp_path / "shown.parquet")
    csv.write_csv(bought, tmp_path / "bought.csv")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "shop.toml").write_text(SHOP, "utf-8")
    words = ["experiment", "report", "home", "--exposures", tmp_path / "shown.parquet",
             "--outcomes", tmp_path / "bought.csv", "--workspace", workspace,
             "--as-of", DONE.isoformat(), "--out", tmp_path / "page.html",
             "--json", tmp_path / "out.json"]  # fmt: skip
    result = run_command(*words)
    assert result.exit_code == 0, result.output
    assert "Ship new." in result.stdout
    assert result.stdout.index("The arms have the sizes") < result.stdout.index("Ship new.")
    assert "3 outcomes stand more than once: each counts once" in result.stdout
    record = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert "Ship new." in (tmp_path / "page.html").read_text("utf-8")

    tracking = job(workspace).tracking
    (run,) = tracking.runs("experiments")
    assert record["run_id"] == run.id
    assert run.tags["regulars.verdict"] == "ship"
    (orders,) = [one for one in record["effects"] if one["measure"] == "orders"]
    assert run.metrics["orders/new/relative"] == pytest.approx(orders["relative"])
    assert "Ship new." in tracking.fetch(run, "experiment/report.html").read_text("utf-8")
    assert run_command(*words).exit_code == 0
    assert len(tracking.runs("experiments")) == 1


def test_the_command_reports_somebody_elses_table_without_a_shop(
    tmp_path: Path, run_command: Any
) -> None:
    rng = np.random.default_rng(0)
    arm = np.where(rng.random(2_000) < 0.5, "mail", "none")
    sale = rng.random(2_000) < np.where(arm == "mail", 0.2, 0.1)
    place = np.where(rng.random(2_000) < 0.5, "web", "shop")
    pq.write_table(pa.table({"group": arm, "sale": sale, "place": place}), tmp_path / "t.parquet")
    (tmp_path / "t.toml").write_text('arm = "group"\ncontrol = "none"\noutcomes = ["sale"]\n')
    words = ["experiment", "report", "mail", "--table", tmp_path / "t.parquet",
             "--described", tmp_path / "t.toml", "--slice", "place",
             "--workspace", tmp_path / "w", "--json", "-"]  # fmt: skip
    result = run_command(*words)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["verdict"]["headline"] == "Ship mail."
    assert record["run_id"] is None
    assert record["shares"] == ["sale"]
    assert {row["value"] for row in record["slices"]} == {"web", "shop"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["home", "--table", "x", "--exposures", "y"], 2, "want --exposures and --outcomes, or"),
        (["home"], 1, "the server writes them every few minutes"),
        (["nope", "--exposures", "x", "--outcomes", "y"], 1, "(home), got 'nope'"),
        (["home", "--exposures", "gone/*", "--outcomes", "y"], 1, "no file is named by gone/*"),
        (
            ["t", "--table", "gone.parquet", "--arm", "a", "--control", "b"],
            1,
            "outcomes: Field req",
        ),
    ],
)
def test_a_wrong_use_is_told_in_words(
    words: list[str], code: int, said: str, tmp_path: Path, run_command: Any
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP, "utf-8")
    result = run_command("experiment", "report", *words, "--workspace", tmp_path)
    assert result.exit_code == code
    assert said in re.sub(r"[\s│]+", " ", result.stderr)


def test_the_command_has_help_with_an_example(run_command: Any) -> None:
    for words in (["experiment"], ["experiment", "report"]):
        result = run_command(*words, "--help")
        assert result.exit_code == 0
        assert "Example: regulars experiment report" in re.sub(r"\s+", " ", result.stdout)
