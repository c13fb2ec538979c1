"""Those who had drifted away and came back are judged, shown and guarded beside all the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.returns import AWAY
from pipelines import judgement
from pipelines.gate import Decision, Enough, Entry, decide
from pipelines.guardrails import Rail
from pipelines.settings import Shop, read
from pipelines.steps import job

N, BACK = 400, 120  # judged, and of them had drifted away
TEXT = '[shop]\nname = "s"\n[ingest]\nmapping = "synthetic"\n[judge]\nresamples = 200\n'
BASE = np.random.default_rng(0).uniform(0.1, 0.3, N)
HITS = np.where(np.arange(N) < BACK, (np.arange(N) % 2).astype(float), np.nan)


def entry(name: str, *, gain: float, hits: Any = HITS) -> Entry:
    values = BASE + gain + np.random.default_rng(1).normal(0, 0.02, N)
    table = pa.table(
        {
            "customer_id": [f"c{i:03}" for i in range(N)],
            "ndcg_at_10": values,
            "return_hit_rate_at_10": pa.array(hits, from_pandas=True),
        }
    )
    return Entry(name, f"run-{name}", f"recipe-{name}", float(values.mean()), table)


def ask(candidate: Entry, *overrides: str) -> Decision:
    shop: Shop = read(TEXT, source="test", overrides=overrides)
    return decide(
        [entry("popularity", gain=0.0), candidate],
        champion=None,
        enough=Enough(5_000, 100),
        gate=shop.gate,
        judge=shop.judge,
    )


def rail(decision: Decision) -> Rail | None:
    found = [one for one in decision.rails["als"] if one.name == "return_hit_rate@10"]
    return found[0] if found else None


def test_a_model_that_wins_and_loses_those_who_came_back_is_refused() -> None:
    worse = np.where(np.arange(N) % 8 == 1, HITS, HITS * 0)  # a quarter of the hits is left
    decision = ask(entry("als", gain=0.08, hits=worse))
    found = rail(decision)
    assert found is not None
    assert found.n == BACK
    assert found.holds is False
    assert decision.model == "popularity"
    assert any("return_hit_rate@10" in reason for reason in decision.reasons["als"])


def test_a_model_that_keeps_them_passes_and_a_shop_may_tolerate_a_loss() -> None:
    kept = ask(entry("als", gain=0.08))
    assert kept.model == "als"
    assert rail(kept).holds is True  # type: ignore[union-attr]
    assert rail(ask(entry("als", gain=0.08), "gate.slices.lifecycle_stage=1")) is None


def test_a_run_that_was_judged_before_has_no_such_guardrail() -> None:
    one = entry("als", gain=0.08)
    old = Entry(
        one.name,
        one.run_id,
        one.recipe,
        one.mean,
        one.per_customer.drop_columns(["return_hit_rate_at_10"]),
    )
    assert rail(ask(old)) is None


def test_only_those_who_had_drifted_away_have_the_figure(ran: Any) -> None:
    tracking = job(ran.workspace.root).tracking
    runs = [run for run in tracking.runs() if "regulars.judged" in run.tags]
    assert runs
    for run in runs:
        table = judgement.per_customer(tracking, run)
        rows = judgement.slices(tracking, run)
        rows = rows.filter(pc.equal(rows["metric"], "return_hit_rate_at_10"))
        counts = {
            row["value"]: row["n"] for row in rows.to_pylist() if row["slice"] == "lifecycle_stage"
        }
        # Stages are those of the newest fold, so somebody active now was away at an older cut.
        assert sum(counts.get(stage, 0) for stage in AWAY) > 0
        known = pc.is_valid(table["return_hit_rate_at_10"])
        assert 0 < pc.sum(known.cast(pa.int64())).as_py() < table.num_rows
        page = tracking.fetch(run, "judgement/report.html").read_text("utf-8")
        assert "For those who came back after drifting away: 0." in page
