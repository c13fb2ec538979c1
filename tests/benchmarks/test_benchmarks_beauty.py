"""The protocol of Amazon Beauty on a shop that fits on the screen."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.protocols import beauty

# Ten customers who go round five products; the file's rows are in no order.
USERS = [user for user in range(10) for _ in range(4)]
SHOP = pa.table(
    {
        "user": USERS,
        "position": [0, 1, 2, 3] * 10,
        "item": [(user + place) % 5 for user in range(10) for place in range(4)],
    }
).take(np.random.default_rng(0).permutation(40))


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beauty, "read", lambda name: SHOP)


def test_each_customer_s_last_event_is_the_truth_and_the_others_are_known_in_order() -> None:
    known, truth = beauty.tables()
    assert known.num_rows == 30
    assert known.filter(pc.equal(known["customer_id"], "7"))["product_id"].to_pylist() == [
        "2",
        "3",
        "4",
    ]
    assert truth["customer_id"].to_pylist() == [str(user) for user in range(10)]
    assert truth["product_id"].to_pylist() == [str((user + 3) % 5) for user in range(10)]


def test_a_hit_counts_once_and_by_its_place() -> None:
    ranked = np.array([[3, 1, 2], [0, 1, 2], [4, -1, -1]], np.int32)
    found = beauty.figures(ranked, np.array([1, 0, -1], np.int32))  # the last: a product unknown
    assert found["hit_rate_at_10"] == pytest.approx(2 / 3)
    assert found["ndcg_at_10"] == pytest.approx((1 / np.log2(3) + 1) / 3)


def test_sasrec_is_run_for_three_seeds_and_refitted_for_as_many_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "beauty-sasrec.toml"
    config.write_text("[models.sasrec]\nfactors = 8\nepochs = 3\nheld_out = 1.0\n")
    fits: list[dict[str, Any]] = []
    fit = beauty.fit

    def counted(scorer: Any, *tables: pa.Table) -> beauty.Fitted:
        fits.append({"seed": scorer.seed, "held_out": scorer.held_out, "epochs": scorer.epochs})
        return fit(scorer, *tables)

    monkeypatch.setattr(beauty, "fit", counted)
    rows = beauty.run(config)
    assert [one["seed"] for one in fits] == [0, 1, 2, 0, 1, 2]
    assert [one["held_out"] for one in fits] == [1.0] * 3 + [0.0] * 3
    assert all(one["epochs"] <= 3 for one in fits)
    assert [(row["model"], row["metric"]) for row in rows] == [
        ("sasrec", "hit_rate_at_10"),
        ("sasrec", "ndcg_at_10"),
        ("sasrec refitted", "hit_rate_at_10"),
        ("sasrec refitted", "ndcg_at_10"),
    ]
    for row in rows:
        assert row["value"] == pytest.approx(np.mean(row["seeds"]), abs=1e-5)
        assert row["spread"] == pytest.approx(np.std(row["seeds"], ddof=1), abs=1e-4)


def test_another_model_is_run_once(tmp_path: Path) -> None:
    config = tmp_path / "beauty-popularity.toml"
    config.write_text("[models.popularity]\n")
    rows = beauty.run(config)
    assert [row["model"] for row in rows] == ["popularity"] * 2
    assert rows[0]["spread"] == 0
