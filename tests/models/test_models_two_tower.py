"""Two towers: what is foretold from what, cold products and new customers, kill and resume."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import EVENT_TYPES
from features.synthetic import generate
from models.history import Catalogue, Events, History
from models.networks.checkpoint import Checkpoint, run_of
from models.networks.targets import held_out, row_of, shuffled, targets_of
from models.recommender import Recommender
from models.scorer import ModelError
from models.two_tower import TwoTower

VIEW, CART, GONE, BUY = (
    EVENT_TYPES.index(t) for t in ("view_item", "add_to_cart", "remove_from_cart", "purchase")
)
SMALL: dict[str, Any] = {
    "factors": 8,
    "hidden": 8,
    "epochs": 12,
    "batch": 32,
    "negatives": 16,
    "learning_rate": 0.03,
}


def events_of(*rows: list[tuple[int, int, float]]) -> Events:
    """Of product, type and day, counted on: later is greater."""
    flat = [event for row in rows for event in row]
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    products = np.array([p for p, _, _ in flat], np.int32)
    types = np.array([t for _, t, _ in flat], np.int8)
    days = 100 - np.array([d for _, _, d in flat], np.float32)
    channels = np.full(len(flat), -1, np.int8)
    return Events(starts, products, types, channels, np.full(len(flat), -1, np.int32), days)


def test_targets_are_new_products_and_foretold_from_what_came_strictly_before() -> None:
    events = events_of(
        [(5, VIEW, 1), (6, BUY, 2), (7, BUY, 2), (5, BUY, 3), (8, GONE, 4)],
        [(5, VIEW, 1), (9, VIEW, 2)],
    )
    targets = targets_of(events, 50)
    assert targets.place.tolist() == [0, 1, 2, 5, 6]  # 5 again is not new, 8 was put back
    assert targets.lo.tolist() == [0, 0, 0, 5, 5]
    assert targets.hi.tolist() == [0, 1, 1, 5, 6]  # 6 and 7 are one basket
    assert targets.wanted.tolist() == [True, True, True, False, False]
    assert targets_of(events, 1).lo.tolist() == [0, 0, 0, 5, 5]


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=8), max_size=5))
@settings(deadline=None)
def test_targets_are_those_of_a_slow_reading(rows: list[list[tuple[int, int]]]) -> None:
    rows = [sorted(row, key=lambda event: event[1]) for row in rows]
    events = events_of(*([(p, BUY, d) for p, d in row] for row in rows))
    expected = []
    for row, start in zip(rows, events.starts.tolist(), strict=False):
        for at, (product, day) in enumerate(row):
            if product not in [p for p, _ in row[:at]]:
                before = sum(d < day for _, d in row)
                expected.append((start + at, start + max(0, before - 3), start + before))
    targets = targets_of(events, 3)
    found = zip(targets.place, targets.lo, targets.hi, strict=True)
    assert [tuple(map(int, one)) for one in found] == expected


def test_what_is_held_out_is_in_no_lesson() -> None:
    rows = [[(p, BUY, p) for p in range(r % 3 + 1)] for r in range(90)]
    events = events_of(*rows)
    rest, held = held_out(events, part=0.5, most=100, recent=50, seed=0)
    assert len(held.place) == 30  # half of the 60 with two or more
    customers = row_of(events)[held.place]
    for customer, place in zip(customers, held.place, strict=True):
        left = rest.products[rest.starts[customer] : rest.starts[customer + 1]]
        assert events.products[place] == len(rows[customer]) - 1
        assert left.tolist() == list(range(len(rows[customer]) - 1))
    assert len(rest.products) == len(events.products) - 30
    none, nobody = held_out(events, part=0.1, most=100, recent=50, seed=0)
    assert len(nobody.place) == 0  # 6 customers are too few to stop by
    assert len(none.products) == len(events.products)


def test_shuffling_keeps_each_customer_s_events_and_without_days_all_before_count() -> None:
    events = events_of([(p, BUY, 0) for p in range(40)], [(50, BUY, 0), (51, BUY, 0)])
    again = shuffled(events, np.random.default_rng(0))
    assert again.products[:40].tolist() != list(range(40))
    assert sorted(again.products[:40]) == list(range(40))
    assert sorted(again.products[40:]) == [50, 51]
    unknown = events_of([(p, BUY, np.nan) for p in range(9)], [(1, BUY, np.nan)])
    targets = targets_of(unknown, 50)
    assert targets.hi.tolist() == [*range(9), 9]  # all of what is before it where days are unknown


def shop(customers: int = 60, products: int = 24, *, new: int = 4) -> tuple[pa.Table, pa.Table]:
    """Customers take products of one of two categories, all but the `new` last ones."""
    random = np.random.default_rng(0)
    rows = []
    for c in range(customers):
        old = [p for p in range(products - new) if p % 2 == c % 2]
        rows += [
            (f"c{c:02}", f"p{p:02}", day)
            for day, p in enumerate(random.choice(old, 6, replace=False))
        ]
    events = pa.table(
        {
            "customer_id": [r[0] for r in rows],
            "product_id": [r[1] for r in rows],
            "event_time": pa.array(
                [r[2] * 86_400_000_000 for r in rows], pa.timestamp("us", "UTC")
            ),
            "event_type": ["purchase"] * len(rows),
            "weight": pa.array([1.0] * len(rows), pa.float32()),
        }
    )
    catalogue = pa.table(
        {
            "product_id": [f"p{p:02}" for p in range(products)],
            "category": [("tea", "toys")[p % 2] for p in range(products)],
            "title": [f"{('green', 'red')[p % 2]} {p}" for p in range(products)],
            "price": [None if p % 5 == 0 else 10.0 * (1 + p % 2) for p in range(products)],
        }
    )
    return events, catalogue


EVENTS, CATALOGUE = shop()
BEFORE = CATALOGUE.slice(0, 20)  # as it was in training, the four newest not yet there


def fit(model: TwoTower, catalogue: pa.Table | None = CATALOGUE) -> Recommender:
    return Recommender(model).fit(
        EVENTS.rename_columns(["customer_id", "product_id", "last_time", "event_type", "weight"]),
        catalogue,
        EVENTS,
    )


@pytest.fixture(scope="module")
def fitted_shop() -> Recommender:
    return fit(TwoTower(**SMALL, id_dropout=0.5))


def cold_first(recommender: Recommender, *histories: list[str]) -> list[set[str]]:
    """Of the four cold products, the two ranked first for each history."""
    table = recommender.recommend_for(histories, 2, among=pa.array(["p20", "p21", "p22", "p23"]))
    lists: list[set[str]] = [set() for _ in histories]
    for row in table.to_pylist():
        lists[row["row"]].add(row["product_id"])
    return lists


def test_a_product_without_events_is_ranked_by_its_category(fitted_shop: Recommender) -> None:
    assert cold_first(fitted_shop, ["p00", "p02"], ["p01", "p03"], ["p06"]) == [
        {"p20", "p22"},
        {"p21", "p23"},
        {"p20", "p22"},
    ]


def test_a_product_launched_after_training_is_ranked_after_an_update() -> None:
    recommender = fit(TwoTower(**SMALL, id_dropout=0.5), BEFORE)
    known = recommender.scorer.product_factors.copy()
    assert known.shape == (20, 8)
    recommender.update(
        EVENTS.rename_columns(["customer_id", "product_id", "last_time", "event_type", "weight"]),
        CATALOGUE,
        EVENTS,
    )
    np.testing.assert_array_equal(recommender.scorer.product_factors[:20], known)
    assert cold_first(recommender, ["p00", "p02"], ["p01"]) == [{"p20", "p22"}, {"p21", "p23"}]
    assert recommender.scorer.update(recommender.history) is recommender.scorer  # nothing is new
    assert len(recommender.scorer.product_factors) == 24


def test_what_numpy_answers_is_what_torch_learned(fitted_shop: Recommender) -> None:
    import torch

    from models.networks.targets import Targets
    from models.networks.towers import Before, Towers
    from models.two_tower import _bearing, _scale

    scorer, history = fitted_shop.scorer, fitted_shop.history
    assert isinstance(scorer, TwoTower)
    assert scorer._weights is not None
    events = history.sequence()
    learned = {name: torch.tensor(array) for name, array in scorer._weights.items()}
    bearing = _bearing(history, _scale(history.catalogue))
    sold = np.bincount(events.products, minlength=history.products) > 0
    towers = Towers(learned, events, bearing, sold)
    moved, vectors = towers.vectors(np.arange(history.products), sold)
    np.testing.assert_allclose(vectors[0].detach(), scorer.product_factors, atol=1e-6)
    ends = events.starts[1:]
    whole = Targets(ends, events.starts[:-1], ends, np.ones(len(ends), bool))
    before = Before.of(whole)
    hers = towers.customers(moved, vectors, events.products[before.place].astype(np.int64), before)
    np.testing.assert_allclose(hers.detach(), scorer.customer_factors(history), atol=1e-6)


def test_one_customer_is_read_as_among_many(fitted_shop: Recommender) -> None:
    model, known = fitted_shop.scorer, fitted_shop.history
    history = fitted_shop.history_of([], ["p03"], [f"p{j:02}" for j in range(20)] * 4)
    for some in (known, history, replace(known, events=None), History(known.weights)):
        together = model.customer_factors(some)
        for row in range(min(some.rows, 8)):
            alone = model.customer_factors(some.take(np.array([row])))
            np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_the_chance_to_be_among_those_scored_is_what_drawing_shows() -> None:
    import torch

    from models.networks.lessons import start
    from models.networks.towers import Plan, Towers
    from models.two_tower import _bearing, _scale

    events = events_of(*([(p, BUY, 0)] for p in [0] * 6 + [1] * 3 + [2]))
    history = History(sp.csr_matrix(np.ones((10, 5), np.float32)), events=events)
    model = TwoTower(**{**SMALL, "batch": 3, "negatives": 2})
    plan = Plan(**{name: getattr(model, name) for name in Plan.__dataclass_fields__})
    weights = start(5, 1, factors=8, hidden=8, seed=0)
    learned = {name: torch.tensor(array) for name, array in weights.items()}
    towers = Towers(learned, events, _bearing(history, _scale(None)), np.ones(5, bool))
    said = np.exp(towers.chances(targets_of(events, 9), plan))
    random = np.random.default_rng(0)
    times = np.zeros(5)
    for _ in range(4000):
        drawn = np.append(random.choice(events.products, 3), random.integers(5, size=2))
        times[np.unique(drawn)] += 1
    np.testing.assert_allclose(said, times / 4000, atol=0.03)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_killed_fit_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    tables = fit(TwoTower(**{**SMALL, "epochs": 1})).history
    history = tables if ordered else History(tables.weights, catalogue=tables.catalogue)
    whole = TwoTower(**SMALL).fit(history).arrays()
    save = Checkpoint.save

    def killed(self: Checkpoint, epoch: int, arrays: Any) -> None:
        save(self, epoch, arrays)
        if epoch == 5:
            raise KeyboardInterrupt

    model = TwoTower(**SMALL, checkpoint=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            model.fit(history)
    (kept,) = (tmp_path / "run").iterdir()
    assert kept.name.endswith("-000005")
    epochs = []

    def seen(self: Checkpoint, epoch: int, arrays: Any) -> None:
        epochs.append(epoch)

    monkeypatch.setattr(Checkpoint, "save", seen)
    for name, array in model.fit(history).arrays().items():
        np.testing.assert_array_equal(array, whole[name])
    assert epochs == list(range(6, 13))
    assert not list((tmp_path / "run").iterdir())  # it has ended


def test_a_checkpoint_is_of_its_data_and_hyperparameters_and_whole(tmp_path: Path) -> None:
    ones = History(sp.csr_matrix(np.ones((2, 2), np.float32)))
    other = History(sp.csr_matrix(np.eye(2, dtype=np.float32)))
    names = {run_of(ones, {"a": 1}), run_of(ones, {"a": 2}), run_of(other, {"a": 1})}
    assert len(names) == 3
    kept = Checkpoint(str(tmp_path), run_of(ones, {"a": 1}))
    assert kept.load() is None
    for epoch in (1, 2):
        kept.save(epoch, {"x": np.arange(epoch)})
    (folder,) = tmp_path.iterdir()  # the newest only
    found = kept.load()
    assert found is not None
    assert found[0] == 2
    np.testing.assert_array_equal(found[1]["x"], [0, 1])
    assert Checkpoint(str(tmp_path), run_of(ones, {"a": 2})).load() is None
    (folder / "x.npy").write_bytes(b"half")
    assert kept.load() is None


def test_ids_alone_an_empty_row_and_an_unknown_catalogue_are_answered() -> None:
    weights = sp.csr_matrix(np.kron(np.eye(2), np.ones((12, 6))).astype(np.float32))
    model = TwoTower(**SMALL).fit(History(weights))
    nobody = History(sp.csr_matrix((1, 12), dtype=np.float32))
    assert np.isfinite(model.score(nobody)).all()
    her = History(sp.csr_matrix(([1.0], [0], [0, 1]), (1, 12), dtype=np.float32))
    scores = model.score(her)[0]
    assert scores[1:6].min() > scores[6:].max()
    named = History(weights, catalogue=Catalogue(np.zeros(12, np.int32)))
    assert TwoTower(**SMALL).fit(named).product_factors.shape == (12, 8)
    silent = events_of(*([] for _ in range(24)))
    assert np.isfinite(TwoTower(**SMALL).fit(History(weights, events=silent)).product_factors).all()


def test_a_warm_start_goes_on_and_a_cold_one_begins_anew() -> None:
    model = TwoTower(**{**SMALL, "epochs": 1}, warm_start=True)
    recommender = fit(model, BEFORE)
    first = model.product_factors.copy()
    tables = EVENTS.rename_columns(
        ["customer_id", "product_id", "last_time", "event_type", "weight"]
    )
    recommender.refit(tables, CATALOGUE, EVENTS)
    gone_on = model.product_factors[:20]
    anew = fit(TwoTower(**{**SMALL, "epochs": 1}), BEFORE).scorer.product_factors
    np.testing.assert_array_equal(anew, first)
    assert np.abs(gone_on - first).max() > 1e-3
    moved = np.abs(gone_on - first).mean()
    other = fit(TwoTower(**{**SMALL, "epochs": 1}, seed=1), BEFORE).scorer.product_factors
    assert moved < np.abs(other - first).mean()
    model.factors = 4
    with pytest.raises(ModelError, match="to go on from, got 4 and 8"):
        recommender.refit(tables, CATALOGUE, EVENTS)


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("factors", 0, "factors must be at least 1, got 0"),
        ("id_dropout", 1.0, "id_dropout must be below 1, got 1.0"),
        ("validation", 1.5, "validation must be below 1, got 1.5"),
        ("temperature", 0.0, "temperature must be above 0 and finite, got 0.0"),
        ("correction", float("nan"), "correction must be at least 0, got nan"),
    ],
)
def test_impossible_hyperparameters_are_refused(name: str, value: float, want: str) -> None:
    with pytest.raises(ModelError, match=want):
        TwoTower(**{name: value})


def test_importing_the_model_imports_no_torch() -> None:
    program = "import sys, models.two_tower; assert 'torch' not in sys.modules"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)


def test_in_a_synthetic_shop_cold_products_are_found_far_above_chance(tmp_path: Path) -> None:
    generate(tmp_path / "shop", customers=600, days=90, seed=1)
    wanted = ["customer_id", "product_id", "event_time", "event_type"]
    events = pq.read_table(tmp_path / "shop" / "events", columns=wanted)
    events = events.filter(pc.and_(*(pc.is_valid(events[name]) for name in wanted[:2])))
    catalogue = pq.read_table(tmp_path / "shop" / "products.parquet")
    cold = catalogue["product_id"].take(np.random.default_rng(0).choice(len(catalogue), 60, False))
    unsold = pc.is_in(events["product_id"], cold.combine_chunks())
    known = events.filter(pc.invert(unsold))
    pairs = known.group_by(["customer_id", "product_id"], use_threads=False)
    pairs = pairs.aggregate([("event_time", "max")]).rename_columns([*wanted[:2], "last_time"])
    pairs = pairs.append_column("weight", pa.array(np.ones(len(pairs), np.float32)))
    model = TwoTower(factors=16, hidden=16, epochs=8, batch=128, negatives=256)
    recommender = Recommender(model).fit(pairs, catalogue, known)
    bought = events.filter(pc.and_(unsold, pc.equal(events["event_type"], "purchase")))
    lists = recommender.recommend(recommender.customers, 10, among=cold)
    found = {(r["customer_id"], r["product_id"]) for r in lists.to_pylist()}
    truth = {(r["customer_id"], r["product_id"]) for r in bought.to_pylist()}
    truth = {pair for pair in truth if pair[0] in set(recommender.customers.to_pylist())}
    assert len(truth) > 100
    assert len(truth & found) / len(truth) > 2 * 10 / 60  # by chance, or by popularity, 10 / 60
