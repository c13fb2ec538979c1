"""Campaigns of a small shop: who is chosen, who is not and why, what was done is measured."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.schemas import SCHEMAS
from pipelines import activate, activation_page, activation_past, activation_report, audience, steps
from pipelines.activation_reasons import span
from pipelines.activation_rules import ActivationError
from pipelines.build import last_event
from pipelines.settings import SettingsError
from pipelines.steps import Job

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 300 with a published bundle."""
    root = tmp_path_factory.mktemp("activation") / "shop"
    files = steps.synthetic_folder(root, customers=300, seed=0)
    steps.synthesize(files, customers=300, seed=0)
    job = steps.job(root, mapping="synthetic", given=str(files))
    steps.take_in(job)
    steps.build_features(job)
    run_id = steps.train_models(job, only=["popularity"])["models"]["popularity"]["run_id"]
    steps.publish_run(job, run_id, at=datetime(2026, 1, 1, tzinfo=UTC), why="test", override=True)
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "shop"))


def of(place: Path, *overrides: str, as_of: datetime | None = None) -> Job:
    return steps.job(place, overrides=overrides, as_of=as_of)


def run(job: Job) -> tuple[dict[str, Any], pa.Table]:
    done = activate.run(job.workspace, job.shop, as_of=job.as_of)
    return done, job.workspace.tables.get("activation", done["snapshot"]).read()


def given(job: Job, table: str, rows: list[dict[str, Any]]) -> None:
    """A table as an ingest would leave it."""
    tables = job.workspace.tables
    part = tables.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))
    tables.commit(table, tables.id(table, rows=str(rows)), [part])


def test_everybody_is_contacted_held_out_or_left_out_with_the_reason(place: Path) -> None:
    done, rows = run(of(place))
    counts = done["counts"]
    assert rows.num_rows == counts["customers"] > 100
    assert counts["contact"] > 10 * counts["holdout"] / 5 > 0
    left = rows.filter(pc.is_null(rows["arm"]))
    assert left.num_rows == sum(counts["left_out"].values())
    assert left["left_out"].null_count == left["left_out_reason"].null_count == 0
    assert set(left["left_out"].to_pylist()) <= {
        "comes_anyway", "beyond_hope", "not_worth_it", "no_consent", "nothing_to_offer",
    }  # fmt: skip
    chosen = rows.filter(pc.is_valid(rows["arm"])).sort_by("rank")
    assert chosen["rank"].to_pylist() == list(range(1, chosen.num_rows + 1))
    gain = pc.subtract(chosen["expected_value_with"], chosen["expected_value_without"])
    assert (np.diff(gain.to_numpy()) <= 0).all()
    for row in chosen.to_pylist():
        assert 1 <= len(set(row["products"])) == len(row["products"]) <= 5
        assert row["reason"]
        assert row["best_channel"] in ("email", "app", "call_center")
        assert row["stage"] in ("cooling", "at_risk", "lapsed")


def test_a_repeated_campaign_is_found_and_a_changed_one_of_the_day_keeps_its_arms(
    place: Path,
) -> None:
    first, rows = run(of(place))
    again, _ = run(of(place))
    assert (again["snapshot"], again["reused"]) == (first["snapshot"], True)
    few, fewer = run(of(place, "activation.budget=5"))
    assert few["counts"]["contact"] == 5
    assert few["counts"]["left_out"]["over_budget"] > 0
    before = dict(zip(rows["customer_id"].to_pylist(), rows["arm"].to_pylist(), strict=True))
    kept = fewer.filter(pc.is_valid(fewer["arm"])).to_pylist()
    assert all(row["arm"] == before[row["customer_id"]] for row in kept)
    assert len(activation_past.campaigns(of(place).workspace.tables)) == 1


def test_a_campaign_of_the_past_knows_nothing_later(place: Path) -> None:
    end = last_event(of(place).workspace.tables)
    early = of(place, as_of=end - 60 * DAY)
    _, rows = run(early)
    current = early.workspace.tables.current("customer_features")
    assert current is not None
    assert current.as_of == end  # a look back leaves the newest the newest
    first = pq.read_table(next((place / "synthetic").rglob("customers.parquet")))
    assert rows.num_rows < first.num_rows
    assert pc.max(rows["days_since_last_order"]).as_py() < 365 - 60
    assert pc.min(rows["days_since_last_order"]).as_py() >= 0


def test_who_was_chosen_rests_also_where_she_was_held_out(place: Path) -> None:
    end = last_event(of(place).workspace.tables)
    _, before = run(of(place, as_of=end - 10 * DAY))
    done, after = run(of(place))
    chosen = set(before.filter(pc.is_valid(before["arm"]))["customer_id"].to_pylist())
    now = after.filter(pc.is_in(after["customer_id"], value_set=pa.array(sorted(chosen))))
    assert set(now["left_out"].to_pylist()) == {"contacted_recently"}
    assert now["left_out_reason"][0].as_py() == "was chosen 10 days ago and rests for 4 weeks"
    assert done["counts"]["left_out"]["contacted_recently"] == len(chosen)


def test_consent_is_required_unless_the_shop_says_otherwise(place: Path) -> None:
    wants = 'activation.consent="required"'
    with pytest.raises(ActivationError, match=r"no table consents in .* and .* is required"):
        run(of(place, wants))
    job = of(place, wants)
    _, rows = run(of(place))
    a, b, c = rows.filter(pc.is_valid(rows["arm"]))["customer_id"].to_pylist()[:3]
    day = datetime(2025, 1, 1, tzinfo=UTC)
    given(job, "consents", [
        {"customer_id": a, "channel": "call_center", "given": True, "observed_at": day},
        {"customer_id": b, "channel": "email", "given": True, "observed_at": day},
        {"customer_id": b, "channel": "email", "given": False, "observed_at": day + DAY},
        {"customer_id": c, "channel": "email", "given": True, "observed_at": day + 900 * DAY},
    ])  # fmt: skip
    _, asked = run(job)
    found = {row["customer_id"]: row for row in asked.to_pylist()}
    assert found[a]["best_channel"] == "call_center"
    assert {found[b]["left_out"], found[c]["left_out"]} == {"no_consent"}
    assert pc.sum(pc.is_valid(asked["arm"])).as_py() == 1
    _, assumed = run(of(place))
    refused = {row["customer_id"]: row["best_channel"] for row in assumed.to_pylist()}
    assert refused[b] != "email"  # a no holds also where a yes is assumed


def test_what_the_shop_sent_itself_counts_as_contact(place: Path) -> None:
    job = of(place)
    _, rows = run(job)
    one = rows.filter(pc.equal(rows["arm"], "contact"))["customer_id"][0].as_py()
    at = last_event(job.workspace.tables) - 3 * DAY
    given(job, "contacts", [{"customer_id": one, "contacted_at": at}])
    _, rows = run(job)
    mine = rows.filter(pc.equal(rows["customer_id"], one)).to_pylist()[0]
    assert mine["left_out"] == "contacted_recently"


def test_products_that_are_gone_are_not_offered(place: Path) -> None:
    job = of(place)
    _, rows = run(job)
    shown = sorted({id for ids in rows["products"].to_pylist() for id in ids})
    at = last_event(job.workspace.tables)
    gone = shown[: len(shown) // 2]
    stock = job.workspace.tables.need("stock").read()
    counted = [
        {"product_id": id, "store_id": store, "quantity": 0.0, "observed_at": at}
        for id in gone
        for store in [*set(stock["store_id"].to_pylist()), None]
    ]
    given(job, "stock", counted)
    _, rows = run(job)
    offered = {id for ids in rows["products"].to_pylist() for id in ids}
    assert offered
    assert not offered & set(gone)


def test_the_list_that_leaves_the_house_holds_no_one_held_out(
    place: Path, run_command: Any, tmp_path: Path
) -> None:
    to = tmp_path / "wake.csv"
    result = run_command(
        "activate", "--workspace", place, "--out", to, "--json", tmp_path / "done.json"
    )
    assert result.exit_code == 0, result.output
    done = json.loads((tmp_path / "done.json").read_text())
    lines = to.read_text().splitlines()
    assert len(lines) == 1 + done["counts"]["contact"]
    rows = of(place).workspace.tables.get("activation", done["snapshot"]).read()
    held = rows.filter(pc.equal(rows["arm"], "holdout"))["customer_id"].to_pylist()
    assert held
    assert not any(f'"{id}"' in line for line in lines for id in held)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("activation.budget=0", "budget: want at least 1 contact a campaign, .* got 0"),
        ("activation.holdout=0", "holdout: at least 0.01 are held out: .* got 0"),
        ("activation.rest_days=7", "rest_days must be at least horizon_days .28., got 7"),
        ('activation.channels=["fax"]', "'fax' is not"),
        ("activation.budgets=3", "activation.budgets is no setting"),
    ],
)
def test_a_campaign_that_cannot_be_meant_is_refused_in_words(
    place: Path, override: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        of(place, override)


def test_without_a_bundle_it_says_what_to_do(place: Path, run_command: Any) -> None:
    (place / "bundles" / "current").unlink()
    result = run_command("activate", "--workspace", place)
    assert result.exit_code == 1
    assert "`regulars publish` first" in result.output


def test_nobody_to_contact_is_a_campaign_too(place: Path) -> None:
    done, rows = run(of(place, "activation.cost=1e9"))
    assert done["counts"]["contact"] == done["counts"]["holdout"] == 0
    assert done["warnings"][-1] == "nobody is worth a contact today: see left_out"
    assert "not_worth_it" in rows["left_out"].to_pylist()
    with pytest.raises(ActivationError, match="no campaign can be measured before"):
        activation_report.run(of(place).workspace, of(place).shop)


def test_a_report_measures_campaigns_whose_time_is_over(
    place: Path, run_command: Any, tmp_path: Path
) -> None:
    job = of(place, "activation.holdout=0.4")
    end = last_event(job.workspace.tables)
    with pytest.raises(ActivationError, match="no campaign was made"):
        activation_report.run(job.workspace, job.shop)
    for days in (90, 60, 5):
        run(of(place, "activation.holdout=0.4", as_of=end - days * DAY))
    record, units = activation_report.run(job.workspace, job.shop)
    assert [one["contact"] + one["holdout"] for one in record["campaigns"]] == [
        units.filter(pc.equal(units["campaign"], day)).num_rows
        for day in sorted(set(units["campaign"].to_pylist()))
    ]
    assert record["waiting"] == 1
    assert {one["measure"] for one in record["effects"]} == {"returned", "revenue", "orders"}
    brought = record["brought"]["returned"]
    assert brought["low"] < brought["mean"] < brought["high"]
    assert record["ranking"]["qini"]["low"] < record["ranking"]["qini"]["high"]
    page = activation_page.page(record)
    assert "Whom the contact changed" in page
    assert "a live test" not in page.split("</h1>")[0]
    to = tmp_path / "report.html"
    result = run_command("activate", "report", "--workspace", place, "--out", to)
    assert result.exit_code == 0, result.output
    assert "customers who came back because of the contacts" in result.output
    assert to.read_text().startswith("<!doctype html>")


def test_those_held_out_and_written_to_all_the_same_are_found(place: Path) -> None:
    job = of(place, "activation.holdout=0.4")
    end = last_event(job.workspace.tables)
    done, rows = run(of(place, "activation.holdout=0.4", as_of=end - 60 * DAY))
    held = rows.filter(pc.equal(rows["arm"], "holdout"))["customer_id"].to_pylist()
    sent = [
        {"customer_id": id, "contacted_at": end - 59 * DAY, "campaign": done["campaign"]}
        for id in held[: len(held) // 2]
    ]
    given(job, "contacts", sent)
    record, _ = activation_report.run(job.workspace, job.shop)
    check = next(one for one in record["checks"] if one["code"] == "untouched")
    assert check["holds"] is False
    assert record["verdict"]["headline"] == "The campaigns cannot be measured: a check failed."
    assert record["ranking"] is None


def test_an_audience_leaves_out_who_bought_it_lately(place: Path) -> None:
    job = of(place)
    end = last_event(job.workspace.tables)
    bought = job.workspace.tables.need("interactions").read(["product_id", "last_purchase_time"])
    late = bought.filter(pc.greater(bought["last_purchase_time"], pa.scalar(end - 20 * DAY)))
    product = late["product_id"][0].as_py()
    found, told = audience.run(job.workspace, job.shop, product, n=50)
    assert told["kind"] == "product"
    assert not told["personal"]  # popularity knows no one
    assert told["left_out"]["bought_lately"] >= 1
    assert set(found["product_id"].to_pylist()) == {product}
    assert found["rank"].to_pylist() == list(range(1, found.num_rows + 1))
    assert (np.diff(found["score"].to_numpy()) <= 0).all()
    products = job.workspace.tables.need("products").read(["category", "supplier_id"]).to_pylist()
    for kind, column in (("category", "category"), ("supplier", "supplier_id")):
        _, told = audience.run(job.workspace, job.shop, products[0][column], n=5)
        assert (told["kind"], told["customers"]) == (kind, 5)
    with pytest.raises(ActivationError, match="no product, category or supplier is called 'x'"):
        audience.run(job.workspace, job.shop, "x", n=5)


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "1 day"), (1, "1 day"), (13, "13 days"), (35, "5 weeks"), (150, "5 months"),
     (800, "2 years")],
)  # fmt: skip
def test_days_are_said_as_one_says_them(days: float, said: str) -> None:
    assert span(days) == said


def test_a_shop_of_30_has_its_list_and_a_report_that_does_not_boast(tmp_path: Path) -> None:
    files = tmp_path / "files"
    steps.synthesize(files, customers=30, seed=1)
    job = steps.job(tmp_path / "shop", mapping="synthetic", given=str(files))
    steps.take_in(job)
    steps.build_features(job)
    run_id = steps.train_models(job, only=["popularity"])["models"]["popularity"]["run_id"]
    steps.publish_run(job, run_id, at=datetime(2026, 1, 1, tzinfo=UTC), why="test", override=True)
    done = activate.run(job.workspace, job.shop, as_of=last_event(job.workspace.tables) - 40 * DAY)
    assert done["how"] == "assumed"
    assert done["counts"]["customers"] <= 30
    record, _ = activation_report.run(job.workspace, job.shop)
    assert not record["verdict"]["headline"].startswith("The contacts bring")
    assert activation_page.page(record)
    assert activation_page.lines(record)
