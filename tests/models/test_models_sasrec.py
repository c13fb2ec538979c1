"""sasrec: the network in NumPy against torch, packing and losses against slow oracles, and runs."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import CHANNELS, EVENT_TYPES
from models.networks import attention, epochs
from models.networks.attention import first, full_loss, last_states, sampled_loss, states
from models.networks.packed import GAPS, packed, sequences
from models.sasrec import SASRec
from models.scorer import Events, History, ModelError

SMALL: dict[str, Any] = {"factors": 8, "layers": 1, "heads": 2, "dropout": 0.0, "rate": 0.03}


def history(
    rows: list[list[int]],
    *,
    products: int,
    types: list[list[str]] | None = None,
    days: list[list[float]] | None = None,
) -> History:
    """Customers by the products of their events, oldest first."""
    codes = np.array([code for row in rows for code in row], np.int32)
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    who = np.repeat(np.arange(len(rows)), np.diff(starts))
    weights = sp.csr_matrix((np.ones(len(codes), np.float32), (who, codes)), (len(rows), products))
    unknown = np.full(len(codes), -1, np.int8)
    said = unknown
    if types is not None:
        said = np.array([EVENT_TYPES.index(name) for row in types for name in row], np.int8)
    ages = np.full(len(codes), np.nan, np.float32)
    if days is not None:
        ages = np.array([day for row in days for day in row], np.float32)
    events = Events(starts, codes, said, unknown, unknown.astype(np.int32), ages)
    return History(weights, None, None, events)


def circles(customers: int = 40, products: int = 12, *, back: bool = False) -> History:
    """Each customer goes on by one product a step, or back; the next is always known."""
    random = np.random.default_rng(0)
    step = -1 if back else 1
    starts = random.integers(0, products, customers)
    lengths = random.integers(2, 7, customers)
    rows = [
        [int(start + step * i) % products for i in range(length)]
        for start, length in zip(starts, lengths, strict=True)
    ]
    return history(rows, products=products)


def drawn(*, layers: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of a network in which nothing is 0 or 1 by its start."""
    random = np.random.default_rng(seed)
    sizes = {"products": 20, "types": 8, "gaps": 13}
    learned = first(sizes, 8, layers, 2, 4, seed)
    return {
        name: array + 0.3 * random.standard_normal(array.shape, dtype=np.float32)
        for name, array in learned.items()
    }


def some_inputs(random: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Codes of products, types and gaps."""
    sizes = {"products": 20, "types": 8, "gaps": 13}
    return {name: random.integers(0, size, shape) for name, size in sizes.items()}


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array) for name, array in arrays.items()}


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 4, 7])  # below, at and beyond the distances known
def test_numpy_answers_what_the_torch_network_says(layers: int, n: int) -> None:
    learned, inputs = drawn(layers=layers), some_inputs(np.random.default_rng(1), 5, n)
    marks = torch.arange(5)[:, None].expand(5, n)
    want = states(tensors(learned), tensors(inputs), marks, 0.0)[:, -1]
    np.testing.assert_allclose(last_states(learned, inputs), want.numpy(), atol=1e-5)


def test_sequences_packed_into_one_row_do_not_see_each_other() -> None:
    learned, lengths = tensors(drawn()), np.array([3, 1, 4, 2])
    inputs = some_inputs(np.random.default_rng(2), 10)
    starts = np.cumsum(lengths) - lengths
    pack = packed(starts, lengths, 5)
    assert pack.places.shape == (2, 5)  # ten events in ten places
    rows = {name: torch.tensor(codes[pack.places]) for name, codes in inputs.items()}
    told = states(learned, rows, torch.tensor(pack.marks), 0.0).reshape(-1, 8)[pack.filled]
    for start, length in zip(starts, lengths, strict=True):
        one = {
            name: torch.tensor(codes[None, start : start + length])
            for name, codes in inputs.items()
        }
        alone = states(learned, one, torch.zeros(1, length), 0.0)[0]
        np.testing.assert_allclose(told[start : start + length], alone, atol=1e-5)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), max_size=40), st.integers(9, 12))
def test_every_event_stands_once_beside_its_own(lengths: list[int], width: int) -> None:
    sizes = np.array(lengths, np.int64)
    starts = 100 * np.arange(len(lengths))
    pack = packed(starts, sizes, width)
    places, marks = pack.places.reshape(-1)[pack.filled], pack.marks.reshape(-1)[pack.filled]
    want = [(s, 100 * s + i) for s, length in enumerate(lengths) for i in range(length)]
    assert list(zip(marks.tolist(), places.tolist(), strict=True)) == want
    assert len(set(pack.filled.tolist())) == len(want) == (pack.marks >= 0).sum()
    rows = pack.filled // width
    assert all(len(set(rows[marks == s])) == 1 for s in range(len(lengths)))
    used = np.bincount(rows, minlength=len(pack.places))
    assert (np.sort(used)[1:] * 2 > width).all()  # no two rows would go into one


@pytest.mark.parametrize("cells", [1, 7 * 3, 1 << 20])
def test_the_full_softmax_in_chunks_is_cross_entropy(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "CELLS", cells)
    torch.manual_seed(0)
    told, products = torch.randn(10, 4, requires_grad=True), torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(0, 7, (10,))
    results = []
    for loss in (
        full_loss(told, products, targets),
        torch.nn.functional.cross_entropy(told @ products.T, targets),
    ):
        value = loss.detach().numpy()
        results.append((value, *torch.autograd.grad(2 * loss, (told, products))))
    for ours, want in zip(*results, strict=True):
        np.testing.assert_allclose(ours, want, atol=1e-6)


def test_a_sample_of_every_product_is_the_full_softmax() -> None:
    torch.manual_seed(0)
    told, products, targets = torch.randn(10, 4), torch.randn(7, 4), torch.randint(0, 7, (10,))
    want = torch.nn.functional.cross_entropy(told @ products.T, targets)
    sampled = sampled_loss(told, products, targets, torch.arange(7), torch.zeros(7))
    np.testing.assert_allclose(sampled, want, atol=1e-6)


def test_the_correction_makes_a_sample_right_on_average() -> None:
    torch.manual_seed(0)
    told, products, targets = torch.randn(1, 4), torch.randn(7, 4), torch.tensor([2])
    odds = torch.tensor([0.3, 0.05, 0.1, 0.2, 0.1, 0.05, 0.2])
    others = torch.arange(7) != 2
    want = (told @ products[others].T).exp().sum()
    totals = []
    for _ in range(2000):
        codes = torch.multinomial(odds, 8, replacement=True)
        loss = sampled_loss(told, products, targets, codes, (8 * odds[codes]).log())
        totals.append((loss.exp() - 1) * (told @ products[2]).exp())  # what the others weigh
    assert torch.stack(totals).mean() == pytest.approx(want.item(), rel=0.05)


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    torch.manual_seed(0)
    kept = attention._dropped(torch.ones(1001, 100), 0.25)
    assert (kept == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert kept.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("negatives", [0, 6])
@pytest.mark.parametrize("back", [False, True])
def test_the_order_of_events_says_what_comes_next(negatives: int, back: bool) -> None:
    model = SASRec(**SMALL, negatives=negatives, batch=10, epochs=40).fit(circles(back=back))
    asked = history([[3, 4, 5], [8, 7, 6], [2]], products=12)
    want = [4, 5, 1] if back else [6, 7, 3]
    assert model.score(asked).argmax(axis=1).tolist() == want


def test_the_type_of_an_event_says_what_comes_next() -> None:
    rows = [[start, (start + step) % 6] for start in range(6) for step in (1, 2)] * 5
    kinds = [[kind, "purchase"] for _ in range(6) for kind in ("view_item", "purchase")] * 5
    model = SASRec(**SMALL, negatives=0, batch=10, epochs=60)
    model.fit(history(rows, products=6, types=kinds))
    assert set(model.arrays()) >= {"types"}
    assert not {"channels", "gaps"} & set(model.arrays())  # nobody says anything of these
    asked = history([[0], [0]], products=6, types=[["view_item"], ["purchase"]])
    assert model.score(asked).argmax(axis=1).tolist() == [1, 2]
    new = model.score(history([[0]], products=6))  # of no type that she says
    assert set(np.argsort(-new[0])[:2].tolist()) == {1, 2}


def test_what_is_the_same_for_all_events_is_no_input() -> None:
    rows = [[0, 1, 2], [1, 2]]
    days = [[8.0, 4.0, 0.0], [4.0, 0.0]]
    model = SASRec(**SMALL, epochs=1)
    model.fit(history(rows, products=3, types=[["purchase"] * 3, ["purchase"] * 2], days=days))
    assert "types" not in model.arrays()
    assert "gaps" in model.arrays()  # unknown before the first event, four days before others


def test_a_refund_is_read_but_never_foretold() -> None:
    rows, kinds = [[0, 1, 2]] * 20, [["purchase", "refund", "purchase"]] * 20
    model = SASRec(**SMALL, negatives=0, epochs=40).fit(history(rows, products=3, types=kinds))
    asked = history([[0]], products=3, types=[["purchase"]])
    assert model.score(asked).argmax() != 1
    only = history([[0, 1]] * 3, products=2, types=[["purchase", "refund"]] * 3)
    assert np.isfinite(model.fit(only).score(only)).all()


def test_sequences_hold_the_last_events_with_their_gaps() -> None:
    given = sequences(
        history([[0, 1, 2], [], [3]], products=4, days=[[9.0, 5.0, 5.0], [], [2.0]]), 2
    )
    assert given.starts.tolist() == [0, 2, 2, 3]
    assert given.products.tolist() == [1, 2, 3]
    assert given.traits["gaps"].tolist() == [0, 1, 0]
    assert given.ties.tolist() == [0, 0, 1]  # of the same time, in no order
    far = sequences(history([[0, 1]], products=2, days=[[2000.0, 0.0]]), 2)
    assert far.traits["gaps"].tolist() == [0, len(GAPS) + 1]
    assert {name: trait.max() for name, trait in given.traits.items() if name != "gaps"} == {
        "types": 0,
        "channels": 0,
    }
    assert len(CHANNELS) < 127


def test_only_what_has_no_order_is_shuffled() -> None:
    rows, days = [[0, 1, 2, 3, 4, 5]], [[9.0, 5.0, 5.0, 5.0, 1.0, 1.0]]
    timed = sequences(history(rows, products=6, days=days), 9)
    found = {tuple(timed.shuffled(np.random.default_rng(i)).products) for i in range(200)}
    assert len(found) == 12  # 3! orders of one moment, 2 of the other
    assert {(row[0], *sorted(row[1:4]), *sorted(row[4:])) for row in found} == {(0, 1, 2, 3, 4, 5)}
    ordered = sequences(history(rows, products=6), 9)
    assert ordered.shuffled(np.random.default_rng(0)) is ordered
    untimed = sequences(History(sp.csr_matrix(np.ones((2, 3), np.float32))), 9)
    rows_of = {tuple(untimed.shuffled(np.random.default_rng(i)).products) for i in range(200)}
    assert len(rows_of) == 36  # 3! of each customer, never one's products among the other's
    assert all(sorted(row[:3]) == [0, 1, 2] for row in rows_of)


def test_a_basket_is_foretold_from_what_came_before_it_and_not_from_itself() -> None:
    rows, days = [[0, 1, 2, 3], [4, 5]], [[9.0, 5.0, 5.0, 1.0], [2.0, 2.0]]
    given = sequences(history(rows, products=6, days=days), 9)
    assert given.asked.tolist() == [-1, 0, 0, 2, 3, 4]  # 5 after 4: there is nothing before
    assert given.newest.tolist() == [1, 2]
    pairs = [[first, 2 * first + 2, 2 * first + 3] for first in (0, 1)] * 30
    times = [[7.0, 0.0, 0.0]] * 60
    model = SASRec(**SMALL, negatives=0, batch=10, epochs=40)
    model.fit(history(pairs, products=6, days=times))
    scores = model.score(history([[0], [1]], products=6))
    assert [set(np.argsort(-row)[:2].tolist()) for row in scores] == [{2, 3}, {4, 5}]


def test_a_shop_of_single_baskets_learns_what_goes_together() -> None:
    rows = [[0, 1, 2], [3, 4, 5]] * 30
    model = SASRec(**SMALL, negatives=0, batch=10, epochs=40)
    model.fit(history(rows, products=6, days=[[5.0] * 3] * 60))
    scores = model.score(history([[2], [4]], products=6))
    assert [set(np.argsort(-row)[:3].tolist()) for row in scores] == [{0, 1, 2}, {3, 4, 5}]


def test_only_the_last_events_count_and_none_is_no_taste() -> None:
    model = SASRec(**SMALL, length=3, epochs=2).fit(circles())
    asked = history([[0, 1, 2, 3], [9, 9, 1, 2, 3], [], [1, 2, 3]], products=12)
    factors = model.customer_factors(asked)
    np.testing.assert_array_equal(factors[0], factors[3])
    np.testing.assert_array_equal(factors[1], factors[3])
    assert not factors[2].any()


def test_many_customers_are_answered_in_blocks_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SASRec(**SMALL, epochs=1).fit(circles())
    want = model.customer_factors(circles())
    monkeypatch.setattr("models.sasrec.CELLS", 1)
    np.testing.assert_allclose(model.customer_factors(circles()), want, atol=1e-6)


def test_a_run_stops_where_it_no_longer_gains_and_keeps_the_best() -> None:
    random = np.random.default_rng(0)
    noise = history(random.integers(0, 30, (200, 4)).tolist(), products=30)
    model = SASRec(**SMALL, held_out=1.0, patience=3, epochs=50).fit(noise)
    best = model.learned_epochs
    assert best < 40  # nothing to learn: it gave up
    as_far = SASRec(**SMALL, held_out=1.0, patience=50, epochs=best).fit(noise)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(as_far.arrays()[name], array)


@pytest.mark.parametrize("negatives", [0, 4])
@pytest.mark.parametrize("day", [1.0, 0.0])
def test_what_is_held_out_is_not_learned_from(day: float, negatives: int) -> None:
    rows = [[0, 1, 2, end] for end in (3, 4) for _ in range(60)]  # held out: 3 or 4
    other = [[0, 1, 2, 4] for _ in range(120)]
    days = [[3.0, 2.0, day, 0.0]] * 120  # in an order of its own, or in one basket with 2
    one, two = (
        SASRec(**SMALL, negatives=negatives, held_out=1.0, patience=1, epochs=1).fit(
            history(each, products=5, days=days)
        )
        for each in (rows, other)
    )
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(two.arrays()[name], array)


def test_torch_s_own_random_numbers_neither_matter_nor_move() -> None:
    torch.manual_seed(1)
    one = SASRec(**{**SMALL, "dropout": 0.5}, epochs=2).fit(circles())
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    two = SASRec(**{**SMALL, "dropout": 0.5}, epochs=2).fit(circles())
    assert torch.equal(before, torch.random.get_rng_state())
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(two.arrays()[name], array)


def test_a_warm_start_goes_on_and_takes_new_products() -> None:
    model = SASRec(**SMALL, negatives=0, batch=10, epochs=40, warm_start=True).fit(circles())
    model.epochs, model.rate = 1, 1e-6
    held = circles()
    wider = History(
        sp.csr_matrix((held.weights.data, held.weights.indices, held.weights.indptr), (40, 15)),
        events=held.events,
    )
    known = model.product_factors.copy()
    model.fit(wider)
    assert model.product_factors.shape == (15, 8)
    np.testing.assert_allclose(model.product_factors[:12], known, atol=1e-3)
    assert model.product_factors[12:].any(axis=1).all()
    asked = history([[3, 4, 5]], products=15)
    assert model.score(asked)[0, :12].argmax() == 6
    model.heads = 4
    with pytest.raises(ModelError, match="heads and length must be as learned to go on from, got"):
        model.fit(wider)


RUN = """
import numpy as np
import scipy.sparse as sp
from models.sasrec import SASRec
from models.scorer import History

def run(checkpoint):
    weights = sp.csr_matrix(np.random.default_rng(0).random((40, 12)) < 0.4, dtype=np.float32)
    days = np.random.default_rng(1).permutation(weights.nnz).astype(np.float32)
    model = SASRec(factors=8, layers=1, rate=0.03, batch=20, epochs=60, checkpoint=checkpoint)
    return model.fit(History(weights, days)).arrays()
"""


def test_a_killed_run_goes_on_to_the_arrays_of_one_that_was_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = RUN + f"run({str(tmp_path / 'c')!r})"
    ours: dict[str, Any] = {}
    exec(RUN, ours)
    root = Path(str(epochs.__file__)).parents[1]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root) as killed:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            saved = tmp_path.glob("c/[0-9a-f]*-" + 6 * "[0-9]")
            if max((int(path.name[-6:]) for path in saved), default=0) > 2:
                break
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    with caplog.at_level(logging.INFO, "regulars"):
        resumed = ours["run"](str(tmp_path / "c"))
    (message,) = [m for m in caplog.messages if "goes on after epoch" in m]
    assert 3 <= int(message.split()[5]) < 60
    for name, array in ours["run"](None).items():
        np.testing.assert_array_equal(resumed[name], array)


def test_a_checkpoint_of_other_data_or_hyperparameters_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("models.networks.checkpoint.Checkpoint.clear", lambda self: None)
    runs = [(0, circles()), (1, circles()), (0, circles(back=True)), (0, circles())]
    for seed, learned in runs:
        model = SASRec(**SMALL, epochs=2, seed=seed, checkpoint=str(tmp_path)).fit(learned)
        anew = SASRec(**SMALL, epochs=2, seed=seed).fit(learned)
        np.testing.assert_array_equal(model.product_factors, anew.product_factors)
    assert len(list(tmp_path.iterdir())) == 3  # the last run was the first, ended already
    assert [m for m in caplog.messages if "is of other data or hyperparameters" in m][1:] == [
        f"sasrec begins anew: {tmp_path} is of other data or hyperparameters"
    ]


def test_bfloat16_gives_about_the_same_states() -> None:
    learned, inputs = tensors(drawn()), tensors(some_inputs(np.random.default_rng(1), 3, 4))
    marks = torch.zeros(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        half = states(learned, inputs, marks, 0.0)
    np.testing.assert_allclose(half.float(), states(learned, inputs, marks, 0.0), atol=0.05)


def test_one_customer_of_one_event_and_one_product_are_answered() -> None:
    for rows, products in (([[0]], 1), ([[0, 0, 0]], 1), ([[0], []], 2)):
        small = history(rows, products=products)
        for negatives in (0, 4):
            scores = SASRec(**SMALL, negatives=negatives, epochs=2).fit(small).score(small)
            assert np.isfinite(scores).all()


def test_customers_without_events_and_states_far_from_0_are_answered() -> None:
    told = history([[0, 1], [], [1]], products=2)
    nothing = history([[], [], []], products=2).events
    model = SASRec(**SMALL, epochs=2).fit(History(told.weights, events=nothing))
    assert np.isfinite(model.score(told)).all()
    assert not model.fit(told).score(told)[1].any()
    far = {name: 100 * array for name, array in model.arrays().items() if name != "epochs"}
    assert np.isfinite(last_states(far, {"products": np.array([[0, 1]])})).all()


def test_a_rate_that_breaks_the_run_is_named() -> None:
    with pytest.raises(ModelError, match="rate must be small enough to learn with, got 1e\\+38"):
        SASRec(**SMALL | {"rate": 1e38}, epochs=5).fit(circles())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factors": 0}, "factors must be at least 1, got 0"),
        ({"factors": 10, "heads": 4}, "factors must be a multiple of heads, got 10 and 4"),
        ({"dropout": 1.0}, "dropout must be at most 0.95, got 1.0"),
        ({"dropout": float("nan")}, "dropout must be at least 0, got nan"),
        ({"held_out": 1.5}, "held_out must be at most 1, got 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0 and finite, got 0.0"),
        ({"rate": 0.0}, "rate must be above 0 and finite, got 0.0"),
        ({"rate": float("inf")}, "rate must be above 0 and finite, got inf"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"negatives": -1}, "negatives must be at least 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_impossible_hyperparameters_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SASRec(**wrong)
