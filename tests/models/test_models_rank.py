import math
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import models.rank
from models.rank import Ranked, cosine, rank, top_k, top_k_factors
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


@settings(max_examples=150, deadline=None)
@given(questions(), st.integers(0, 2**32 - 1), st.sampled_from([(1 << 20, 8192), (64, 16)]))
def test_factors_are_ranked_as_their_scores_in_tiles_of_any_size(
    question: tuple[int, int, int, dict[str, object]], seed: int, tiles: tuple[int, int]
) -> None:
    rows, products, k, masks = question
    random = np.random.default_rng(seed)
    left = random.integers(-1, 2, (rows, 2)).astype(np.float32)  # whole numbers: exact products
    right = random.integers(-2, 3, (products, 2)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.rank, "CELLS", tiles[0])
        patch.setattr(models.rank, "TILE", tiles[1])
        ranked = top_k_factors(left, right, k, **masks)  # type: ignore[arg-type]
    assert as_lists(ranked) == wanted(left @ right.T, k, masks)


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
    rows, products = 3000, 6000
    weights = sp.eye(rows, products, dtype=np.float32, format="csr")
    tracemalloc.start()
    ranked = rank(scorer, History(weights), 10)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ranked.codes[:, 0] == products - 1).all()
    assert peak < rows * products * 4 / 2, f"{peak / 1e6:.0f} MB, all scores are 72"
