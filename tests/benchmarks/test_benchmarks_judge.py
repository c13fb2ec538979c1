"""The judging benchmark: what is drawn, and that our two ways give the same figures."""

import numpy as np
import pytest

from benchmarks import judge, judge_ways


def test_products_of_a_customer_are_distinct_but_for_one_that_every_other_bought() -> None:
    listed, true, known = judge.draw(np.random.default_rng(0), 40, 100, 5)
    assert (listed.shape, true.shape, known.shape) == ((40, 100), (40, 5), (40, judge.KNOWN))
    for row in range(40):
        every = set(listed[row]) | set(true[row]) | set(known[row])
        assert len(every) == 100 + 5 + judge.KNOWN - (row % 2 == 0)


def test_our_ways_from_tables_and_from_arrays_agree() -> None:
    drawn = [c.astype(np.int32) for c in judge.draw(np.random.default_rng(0), 40, 20, 5)]
    tables, arrays = (way(*drawn)() for way in (judge_ways.tables, judge_ways.arrays))
    assert list(tables) == list(arrays) == list(judge_ways.NAMES)
    assert tables == pytest.approx(arrays, abs=1e-12)
    assert tables["recall"] == pytest.approx(0.1)  # one of five, every other customer
    assert tables["hit_rate"] == pytest.approx(0.5)
