"""The simulated tests are what they say, and their script is in nobody's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import live_tests
from models.evaluation.abtest import effects

BENCHMARKS = Path(live_tests.__file__).parent


def test_a_script_beside_it_still_finds_the_standard_librarys_statistics() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import statistics; print(statistics.NormalDist().inv_cdf(0.5))"],
        cwd=BENCHMARKS, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "0.0"


def test_the_simulated_effect_is_the_one_asked_for() -> None:
    differences = [
        effects(live_tests.shop(seed, effect=1.0), [live_tests.REVENUE], control="old")[0].relative
        for seed in range(20)
    ]
    assert np.mean(differences) == pytest.approx(1.0, abs=0.05)


def test_every_rate_stands_beside_what_chance_leaves_around_the_promise() -> None:
    rows = list(live_tests.false_alarms(3, seed=0))
    assert len(rows) == 5
    assert all(0 <= one["called"] <= 3 for one in rows)
    one = live_tests.row("x", 30, 500, 0.05)
    assert one["rate"] == 0.06
    assert one["expected"] == [0.032, 0.07]
