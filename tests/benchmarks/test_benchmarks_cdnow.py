"""CDNOW's sample in, the parameters that the papers print out."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.lifetime_pictures import reliability, weeks
from benchmarks.protocols import cdnow
from benchmarks.protocols.rows import DATA
from models.lifetime import returning, rhythm, spend
from models.lifetime.outlook import came, known_at

needs_data = pytest.mark.skipif(
    not (DATA / "cdnow_sample.parquet").exists(),
    reason="cdnow_sample.parquet is not in REGULARS_DATA",
)


@needs_data
def test_parameters_are_the_printed_ones_to_three_digits() -> None:
    table, every = cdnow.data()
    known = known_at(every, cdnow.CUT).histories
    assert int(known.customers.sum()) == 2_357
    bg = rhythm.fit(known, prior=0)
    assert bg.log_likelihood == pytest.approx(-9_582.4, abs=0.05)  # as printed
    found = {name: round(getattr(bg, name), 3) for name in ("r", "alpha", "a", "b")}
    assert found == cdnow.PUBLISHED["BG/NBD"]
    gg = spend.fit(*cdnow.repeats(table, every), prior=0)
    found = {name: round(getattr(gg, name), 2) for name in ("p", "q", "v")}
    assert found == cdnow.PUBLISHED["Gamma-Gamma"]
    weak = rhythm.fit(known)
    assert weak.r == pytest.approx(bg.r, rel=0.01)  # the prior is hardly felt


@needs_data
def test_the_holdout_is_foretold_better_than_by_simple_rules() -> None:
    _, every = cdnow.data()
    known = known_at(every, cdnow.CUT)
    actual = came(every, known.who, after=cdnow.CUT, until=cdnow.END)
    bg = rhythm.fit(known.histories, prior=0)
    ways = cdnow.ways(known, bg, bg)
    off = {name: float(np.mean((of - actual) ** 2)) for name, of in ways.items()}
    assert off.pop("BG/NBD") < 0.7 * min(off.values())
    expected, came_by = cdnow.tracked(every, bg)
    assert len(expected) == len(came_by) == 78
    assert expected[-1] == pytest.approx(came_by[-1], rel=0.05)
    assert came_by[-1] - came_by[38] == actual.sum()
    fresh = returning.expected_of_new(bg, days=[0.0, 7.0, 70.0])
    assert fresh[0] == 0
    assert fresh[1] < fresh[2]


def test_pictures_say_themselves_in_words() -> None:
    drawn = weeks([1.0, 2.0], [1.0, 4.0], cut=1, title="a & b")
    assert 'aria-label="a &amp; b: after 2 weeks 4 came, 2 were expected"' in drawn
    drawn = reliability([("june", [(0.1, 0.2, 5), (0.5, 0.5, 5)])])
    assert drawn.count("<circle") == 2
    assert "0.10 foretold, 0.20 came" in drawn
