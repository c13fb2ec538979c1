"""One row ranked by itself, and one customer's events read by compiled code, beside the many."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from models.history import Events, History
from models.networks.attention import first, last_states
from models.networks.one import last_state
from models.networks.packed import GAPS, SIZES, sequences
from models.rank import prepare, rank, rank_each, top_k_factors
from models.ranking.dots import LANES
from models.sasrec import SASRec

PRODUCTS, FACTORS, LENGTH = 400, 16, 12
random = np.random.default_rng(0)
Y = random.standard_normal((PRODUCTS, FACTORS), dtype=np.float32)
LEARNED = first({"products": PRODUCTS, **SIZES}, FACTORS, 2, 2, LENGTH, seed=1)
LEARNED["distances"] += random.standard_normal(LEARNED["distances"].shape, dtype=np.float32)
LEARNED["norms"] *= 1.5


class Mean:
    """A customer is the mean of what she took."""

    kind = "mean"

    def __init__(self) -> None:
        self.factors = Y.copy()  # forgotten with the scorer
        prepare(self.factors)

    @property
    def product_factors(self) -> np.ndarray:
        return self.factors

    def customer_factors(self, history: History) -> np.ndarray:
        return (history.weights @ Y).astype(np.float32)


def taken(codes: list[int]) -> History:
    ones, indices = np.ones(len(codes), np.float32), np.array(codes, np.int32)
    return History(sp.csr_matrix((ones, indices, [0, len(codes)]), (1, PRODUCTS)))


@pytest.mark.skipif(not LANES, reason="this CPU multiplies no bytes")
@given(
    codes=st.lists(st.integers(0, PRODUCTS - 1), min_size=1, max_size=30, unique=True),
    without=st.none() | st.lists(st.integers(0, PRODUCTS - 1), max_size=30),
    drop=st.booleans(),
    k=st.integers(1, 30),
)
@settings(max_examples=50, deadline=None)
def test_one_customer_is_ranked_as_among_many(codes, without, drop, k):
    history, scorer = taken(sorted(codes)), Mean()
    given_without = None if without is None else np.array(without, np.int32)
    found = rank(scorer, history, k, drop_seen=drop, without=given_without)
    seen = history.weights if drop else None
    wanted = top_k_factors(scorer.customer_factors(history), Y, k, seen=seen, without=given_without)
    np.testing.assert_array_equal(found.codes, wanted.codes)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5, atol=1e-5)


@given(
    visits=st.lists(
        st.lists(st.integers(0, PRODUCTS - 1), max_size=30, unique=True), min_size=1, max_size=20
    ),
    drop=st.booleans(),
    k=st.sampled_from([1, 10, 30]),
)
@settings(max_examples=50, deadline=None)
def test_visits_of_one_moment_are_ranked_as_each_alone(visits, drop, k):
    histories, scorer = [taken(sorted(visit)) for visit in visits], Mean()
    together = rank_each(scorer, histories, k, drop_seen=drop)
    for history, found in zip(histories, together, strict=True):
        alone = rank(scorer, history, k, drop_seen=drop)
        np.testing.assert_array_equal(found.codes, alone.codes)
        np.testing.assert_array_equal(found.scores, alone.scores)


def events(n: int, seed: int) -> Events:
    draw = np.random.default_rng(seed)
    gaps = draw.choice([*GAPS, 0.0, 0.3, 500.0, np.nan], n).astype(np.float32)
    return Events(
        np.array([0, n]),
        draw.integers(PRODUCTS, size=n).astype(np.int32),
        draw.integers(-1, 7, n).astype(np.int8),
        draw.integers(-1, 8, n).astype(np.int8),
        np.zeros(n, np.int32),
        np.cumsum(gaps)[::-1].astype(np.float32) if n % 2 else gaps,
    )


@pytest.mark.parametrize("missing", [(), ("types",), ("channels", "gaps")])
@pytest.mark.parametrize("n", [1, 2, 5, LENGTH])
def test_the_compiled_network_says_what_the_numpy_one_says(n, missing):
    learned = {name: array for name, array in LEARNED.items() if name not in missing}
    given_events = events(n, seed=n)
    told = sequences(History(sp.csr_matrix((1, PRODUCTS)), events=given_events), LENGTH)
    codes = {"products": told.products, **told.traits}
    inputs = {name: codes[name][None] for name in codes if name in learned}
    parts = (getattr(given_events, name) for name in ("products", "types", "channels", "days"))
    found = last_state(learned, *parts)
    np.testing.assert_allclose(found, last_states(learned, inputs)[0], atol=1e-5)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_one_customer_of_sasrec_scores_as_in_a_batch_whatever_her_length():
    model = SASRec(factors=FACTORS, length=LENGTH)
    model.restore({**LEARNED, "epochs": np.array([1])})
    lengths = [3, 0, 30, 1]
    parts = [events(n, seed=n) for n in lengths]
    whole = Events(
        np.concatenate(([0], np.cumsum(lengths))),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("products", "types", "channels", "orders", "days")
        ),
    )
    history = History(sp.csr_matrix((4, PRODUCTS), dtype=np.float32), events=whole)
    together = model.customer_factors(history)
    for row in range(4):
        alone = model.customer_factors(history.take(np.array([row])))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-4)
