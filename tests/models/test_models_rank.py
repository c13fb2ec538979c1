import math
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import models.rank
from models.rank import Ranked, cosine, prepare, rank, top_k, top_k_factors
from models.ranking import coarse
from models.ranking.dots import LANES
from models.scorer import History, ModelError, Scores

Floats = npt.NDArray[np.float32]


def slow_top_k(
    scores: Floats, k: int, seen: sp.csr_matrix | None, among: set[int], without: set[int]
) -> list[list[tuple[int, float]]]:
    """Each row's allowed products sorted by score, then by code: what every kernel must give."""
    lists = []
    for row, line in enumerate(scores.tolist()):
        hidden = without | (set() if seen is None else set(seen[row].indices.tolist()))
        allowed = [
            (code, score)
            for code, score in enumerate(line)
            if code in among and code not in hidden
            if not math.isnan(score) and score != -math.inf
        ]
        lists.append(sorted(allowed, key=lambda pair: (-pair[1], pair[0]))[:k])
    return lists


def as_lists(ranked: Ranked) -> list[list[tuple[int, float]]]:
    rows = zip(ranked.codes.tolist(), ranked.scores.tolist(), strict=True)
    return [[(c, s) for c, s in zip(*row, strict=True) if c >= 0] for row in rows]


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, int, int, dict[str, object]]:
    """Rows, products, k and masks; few values and many products, so that most of them tie."""
    rows, products = draw(st.integers(0, 4)), draw(st.sampled_from([1, 2, 7, 40, 700]))
    k = draw(st.sampled_from([1, 2, 3, 10, 80]))
    some = st.lists(st.integers(0, products - 1), max_size=12) | st.just(range(products // 2))
    codes = (some | st.just(range(1, products))).map(lambda c: np.array(c, dtype=np.int32))
    masks: dict[str, object] = {
        "among": draw(st.none() | codes),
        "without": draw(st.none() | codes),
        "seen": None,
    }
    if draw(st.booleans()):
        taken = np.zeros((rows, products), dtype=np.float32)
        for row in range(rows):
            taken[row, draw(some)] = 1
        masks["seen"] = sp.csr_matrix(taken)
    return rows, products, k, masks


def wanted(scores: Floats, k: int, masks: dict[str, object]) -> list[list[tuple[int, float]]]:
    sets = {
        name: set(np.asarray(masks[name]).tolist()) if masks[name] is not None else None
        for name in ("among", "without")
    }
    everything = set(range(scores.shape[1]))
    among = everything if sets["among"] is None else sets["among"]
    seen = masks["seen"]
    assert seen is None or isinstance(seen, sp.csr_matrix)
    return slow_top_k(scores, k, seen, among, sets["without"] or set())


@settings(max_examples=150, deadline=None)
@given(questions(), st.data())
def test_scores_are_ranked_as_by_the_slow_oracle(
    question: tuple[int, int, int, dict[str, object]], data: st.DataObject
) -> None:
    rows, products, k, masks = question
    value = st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.5, math.nan, math.inf, -math.inf])
    scores = data.draw(arrays.arrays(np.float32, (rows, products), elements=value, fill=value))
    before = scores.copy()
    ranked = top_k(scores, k, **masks)  # type: ignore[arg-type]
    assert as_lists(ranked) == wanted(scores, k, masks)
    assert ranked.codes.shape == ranked.scores.shape == (rows, k)
    np.testing.assert_array_equal(scores, before)


WAYS = {
    "few": {},
    "floats": {"rank.MANY": 0, "ranking.many.LONG": 1 << 20},
    "small tiles": {
        "rank.MANY": 0,
        "ranking.many.LONG": 1 << 20,
        "ranking.many.COLUMNS": 16,
        "ranking.many.ROWS": 2,
    },
    "bytes": {
        "rank.MANY": 0,
        "ranking.many.LONG": 1,
        "ranking.many.WIDE": 1,
        "ranking.many.SPARSE": 1,
        "ranking.many.JOB": 2,
    },
}


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank as many rows are, whatever their number."""
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(f"models.{name}", value)


def ways(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", names or tuple(WAYS), indirect=True)


several = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ways()
@several
@given(questions(), st.integers(0, 2**32 - 1), st.sampled_from([2, 9]))
def test_factors_are_ranked_as_their_scores_in_every_way(
    way: None, question: tuple[int, int, int, dict[str, object]], seed: int, f: int
) -> None:
    rows, products, k, masks = question
    random = np.random.default_rng(seed)
    left = random.integers(-1, 2, (rows, f)).astype(np.float32)  # whole numbers: exact products
    right = random.integers(-2, 3, (products, f)).astype(np.float32)
    ranked = top_k_factors(left, right, k, **masks)  # type: ignore[arg-type]
    assert as_lists(ranked) == wanted(left @ right.T, k, masks)


@ways("few", "floats", "bytes")
@pytest.mark.parametrize("spread", [0.0, 1.5])  # of the products' lengths
def test_unequal_scores_are_ranked_as_by_the_slow_oracle(way: None, spread: float) -> None:
    random = np.random.default_rng(3)
    left = random.standard_normal((70, 30), dtype=np.float32)
    right = random.standard_normal((3000, 30), dtype=np.float32)
    right *= np.exp(spread * random.standard_normal((3000, 1))).astype(np.float32)
    right[5:9] = right[4]  # equal ones: the lower code first
    left[3:5], left[7, 1:] = right[4], 0
    seen = sp.random(70, 3000, 0.02, format="csr", dtype=np.float32, random_state=1)
    exact = left.astype(np.float64) @ right.T.astype(np.float64)
    ranked = top_k_factors(left, right, 20, seen=seen)
    want = slow_top_k(exact, 20, seen, set(range(3000)), set())
    assert [[c for c, _ in row] for row in as_lists(ranked)] == [[c for c, _ in r] for r in want]
    np.testing.assert_allclose(ranked.scores, [[s for _, s in r] for r in want], rtol=1e-4)


@ways("few", "floats", "bytes")
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30])
def test_factors_that_are_no_numbers_are_never_ranked(way: None, wrong: float) -> None:
    random = np.random.default_rng(4)
    left = random.integers(1, 3, (9, 4)).astype(np.float32)
    right = random.integers(1, 3, (500, 4)).astype(np.float32)
    right[7], left[2] = wrong, wrong
    with np.errstate(all="ignore"):
        scores = left @ right.T
        ranked = top_k_factors(left, right, 10)
    assert as_lists(ranked) == slow_top_k(scores, 10, None, set(range(500)), set())


@ways("floats", "bytes")
def test_where_all_scores_are_equal_the_lowest_codes_are_best(way: None) -> None:
    ranked = top_k_factors(np.ones((5, 4), np.float32), np.ones((5000, 4), np.float32), 3)
    assert ranked.codes.tolist() == [[0, 1, 2]] * 5
    nothing = top_k_factors(np.zeros((5, 4), np.float32), np.ones((5000, 4), np.float32), 3)
    assert nothing.codes.tolist() == [[0, 1, 2]] * 5


def test_many_scores_are_ranked_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(5).integers(0, 999, (300, 2500)).astype(np.float32)
    scores[:, 7], scores[4] = np.nan, np.nan
    seen = sp.random(300, 2500, 0.05, format="csr", dtype=np.float32, random_state=1)
    without = np.arange(0, 2500, 5)
    few = top_k(scores, 50, seen=seen, without=without)
    monkeypatch.setattr("models.rank.MANY", 0)
    scores.flags.writeable = False
    many = top_k(scores, 50, seen=seen, without=without)
    assert as_lists(many) == as_lists(few)


def test_prepared_factors_give_one_row_the_same_and_are_forgotten_with_their_array() -> None:
    random = np.random.default_rng(6)
    left = random.standard_normal((1, 32), dtype=np.float32)
    right = random.standard_normal((4000, 32), dtype=np.float32)
    third, most = np.arange(0, 4000, 3), np.arange(3, 3500)
    masks = [{}, {"among": third}, {"without": most}, {"among": third, "without": most}]
    before = [top_k_factors(left, right, 20, **mask) for mask in masks]
    prepare(right)
    after = [top_k_factors(left, right, 20, **mask) for mask in masks]
    assert len(models.rank._READY) == (LANES > 0)
    for one, two in zip(before, after, strict=True):
        assert one.codes.tolist() == two.codes.tolist()
        np.testing.assert_allclose(one.scores, two.scores, rtol=1e-5)
    del right
    assert not models.rank._READY


@pytest.mark.skipif(not LANES, reason="this CPU does not multiply bytes")
@pytest.mark.parametrize("shape", ["normal", "one factor", "uneven", "tiny"])
def test_what_rounding_to_bytes_took_is_within_the_bound(shape: str) -> None:
    random = np.random.default_rng(7)
    left, right = (random.standard_normal((n, 31), dtype=np.float32) for n in (40, 100))
    if shape == "one factor":
        left[:, 1:], right[:, 1:] = 0, 0
    elif shape == "uneven":
        left, right = left**9, right**9
    elif shape == "tiny":
        left, right = left * np.float32(1e-9), right * np.float32(1e-9)
    ready = coarse.prepare(right)
    assert ready is not None
    (octets, starts, steps, lengths), hard = coarse.rounded(ready, left)
    theirs = ready.octets.transpose(0, 1, 3, 2, 4).reshape(-1, octets.shape[1]).astype(np.int64)
    sums = octets[:40].astype(np.int64) @ theirs.T + starts[:40, None]  # (40, whole tiles)
    estimate = (sums * ready.scales.astype(np.float64))[:, ready.place] * steps[:40, None]
    bound = ready.errors[ready.place] * (lengths * steps)[:40, None].astype(np.float64)
    off = np.abs(left.astype(np.float64) @ right.T.astype(np.float64) - estimate)
    assert not hard.any()
    assert (off <= bound).all()


def test_equal_scores_at_the_boundary_go_to_the_lower_code() -> None:
    scores = np.zeros((1, 1000), dtype=np.float32)
    scores[0, [3, 500]] = 1
    assert top_k(scores, 5).codes.tolist() == [[3, 500, 0, 1, 2]]


def test_fewer_allowed_than_k_is_padded() -> None:
    ranked = top_k(np.array([[1, 2, 3]], dtype=np.float32), 3, among=np.array([1], dtype=np.int32))
    assert ranked.codes.tolist() == [[1, -1, -1]]
    assert ranked.scores.tolist() == [[2, -math.inf, -math.inf]]


def test_an_empty_candidate_set_gives_only_padding() -> None:
    nothing = np.array([], dtype=np.int32)
    factors = np.ones((3, 2), dtype=np.float32)
    assert top_k(np.ones((1, 3), np.float32), 2, among=nothing).codes.tolist() == [[-1, -1]]
    assert top_k_factors(factors[:1], factors, 2, among=nothing).codes.tolist() == [[-1, -1]]


def test_wrong_questions_are_refused() -> None:
    scores = np.ones((1, 3), dtype=np.float32)
    with pytest.raises(ModelError, match="k must be at least 1, got 0"):
        top_k(scores, 0)
    with pytest.raises(ModelError, match="codes must be from 0 to 2, got 1 to 3"):
        top_k(scores, 1, among=np.array([3, 1], dtype=np.int32))
    with pytest.raises(ModelError, match=r"seen must have the shape of the scores \(1, 3\)"):
        top_k(scores, 1, seen=sp.csr_matrix((2, 3)))


def test_cosine_of_a_zero_row_is_zero() -> None:
    factors = np.array([[3, 0], [0, 0], [1, 1]], dtype=np.float32)
    alike = cosine(factors, np.array([0, 1], dtype=np.int32))
    np.testing.assert_allclose(alike, [[1, 0, math.sqrt(0.5)], [0, 0, 0]], rtol=1e-6)


class Plain:
    """A scorer that gives each row the same scores."""

    def score(self, history: History) -> Scores:
        return np.repeat(np.arange(history.products, dtype=np.float32)[None], history.rows, 0)


class ByFactors(Plain):
    """The same, by factors."""

    def customer_factors(self, history: History) -> Scores:
        return np.ones((history.rows, 1), dtype=np.float32)

    @property
    def product_factors(self) -> Scores:
        return np.arange(6000, dtype=np.float32)[:, None]


@pytest.mark.parametrize("scorer", [Plain(), ByFactors()])
def test_a_customer_without_history_gets_nothing(scorer: Plain) -> None:
    weights = sp.csr_matrix(([1.0], ([1], [5999])), shape=(3, 6000), dtype=np.float32)
    ranked = rank(scorer, History(weights), 2)  # type: ignore[arg-type]
    assert ranked.codes.tolist() == [[-1, -1], [5998, 5997], [-1, -1]]
    kept = rank(scorer, History(weights), 2, drop_seen=False)  # type: ignore[arg-type]
    assert kept.codes.tolist() == [[-1, -1], [5999, 5998], [-1, -1]]


@pytest.mark.parametrize("scorer", [Plain(), ByFactors()])
def test_all_scores_are_never_in_memory_at_once(scorer: Plain) -> None:
    rows, products = 6000, 6000
    weights = sp.eye(rows, products, dtype=np.float32, format="csr")
    tracemalloc.start()
    ranked = rank(scorer, History(weights), 10)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ranked.codes[:-1, 0] == products - 1).all()
    assert peak < rows * products * 4 / 2, f"{peak / 1e6:.0f} MB, all scores are 144"
