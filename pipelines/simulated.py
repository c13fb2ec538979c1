"""Simulated shops: a size and a seed in, customers with known wants and fitted policies out.

The shop that never was goes through the same ingest, features and models as a real one. Models are
fitted once, on the day before; from then on only what is known of customers grows, as in the
server between two trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp

from features.artifact import Missing
from features.build import build
from features.parameters import FeatureParameters
from features.schemas import CHANNELS, EVENT_TYPES
from features.sequences import sequences
from features.synthetic import true_interest
from models import scorer
from models.evaluation import metrics
from models.evaluation.reactions import Crowd
from models.evaluation.simulate import Asked, Done, Policy
from models.history import Codes, Events, History
from models.recommender import Recommender
from pipelines import steps
from pipelines.build import first_event, last_event
from pipelines.folds import HISTORY, available, catalogue, cuts, fold_data
from pipelines.progress import step
from pipelines.settings import Shop
from pipelines.workspace import Workspace

SAID = {"popular": "popularity"}  # what a policy may be called besides its model's name
LIST = 10


@dataclass(frozen=True, slots=True)
class Simulated:
    """A shop on the eve of the simulation. before: (n,) weight of what is known of each customer.

    offline: policy -> mean ndcg_at_10 on the last weeks of the log.
    """

    crowd: Crowd
    policies: dict[str, Policy]
    before: npt.NDArray[np.float64]
    offline: dict[str, float]


def make(
    folder: Path, names: Sequence[str], *, customers: int, seed: int, overrides: Sequence[str] = ()
) -> Simulated:
    """A shop in a folder of its own, all of it kept there: the next call finds the tables."""
    given = steps.synthesize(folder / "files", customers=customers, seed=seed)["directory"]
    sets = ("judge.folds=1", *overrides)
    job = steps.job(folder, mapping="synthetic", overrides=sets, given=given)
    place, shop = job.workspace, job.shop
    recipes = {name: shop.recipe(SAID.get(name, name)) for name in names}
    steps.take_in(job)
    offline = _offline(place, shop, recipes)
    as_of = last_event(place.tables)
    with step("features"):
        made = build(place.tables, as_of=as_of, parameters=shop.features)
    tables = (
        made["interactions"].read(HISTORY),
        catalogue(place.tables).drop_columns("launched_at"),
        sequences(place.tables, until=as_of),
    )
    fitted = {}
    for name, (kind, parameters) in recipes.items():
        with step(f"train {name}"):
            fitted[name] = Recommender(scorer.make(kind, parameters)).fit(*tables)
    known = next(iter(fitted.values())).customers
    ids, crowd = _crowd(Path(given), place, known)
    products = _product_ids(Path(given))
    policies = {
        name: served(one, ids, products, crowd, features=shop.features, seen=shop.recommend.seen)
        for name, one in fitted.items()
    }
    one = next(iter(fitted.values()))
    before = np.asarray(one.history.take(one.customer_map.codes(ids)).weights.sum(axis=1)).ravel()
    return Simulated(crowd, policies, before.astype(np.float64), offline)


def served(
    model: Recommender,
    customers: pa.Array,
    products: pa.Array,
    crowd: Crowd,
    *,
    features: FeatureParameters,
    seen: Any = "keep",
) -> Policy:
    """What a fitted model answers customers of the crowd, by what the shop has seen of them since.

    customers, products: the crowd's ids by row and code. A place that the model leaves empty is
    filled with popular products, as the server does.
    """
    row, code = model.customer_map.codes(customers), model.product_map.codes(products)
    back = np.full(len(model.products), -1, np.int32)
    back[code[code >= 0]] = np.flatnonzero(code >= 0)
    on_sale = np.isfinite(crowd.interest).any(axis=0) & (code >= 0)
    among = np.sort(code[on_sale]).astype(np.int32)
    weight = np.asarray(model.history.weights.sum(axis=0)).ravel()
    popular = among[np.argsort(-weight[among], kind="stable")]

    def policy(asked: Asked) -> Codes:
        history = grown(model.history, row, code, asked, features)
        lists = model.rank(history, LIST, among=among, seen=seen).codes
        for short in np.flatnonzero((lists < 0).any(axis=1)):
            found = lists[short][lists[short] >= 0]
            hers = history.weights.indices[slice(*history.weights.indptr[short : short + 2])]
            never = np.concatenate([found, hers]) if seen == "drop" else found
            rest = popular[~np.isin(popular, never)][: LIST - len(found)]
            lists[short, : len(found) + len(rest)] = np.concatenate([found, rest])
        return np.where(lists >= 0, back[lists], -1).astype(np.int32)

    return policy


def grown(
    base: History, row: Codes, code: Codes, asked: Asked, features: FeatureParameters
) -> History:
    """The histories of the customers asked for, with what they did since and a day's age a day.

    row, code: the crowd's customers and products in the model's terms, -1 for one it cannot know.
    """
    known, done = base.take(row[asked.rows]), asked.done
    place = np.full(len(row), -1, np.int64)
    place[asked.rows] = np.arange(len(asked.rows))
    mine = (place[done.who] >= 0) & (code[done.product] >= 0)
    new = done.those(mine)
    who, what = place[new.who], code[new.product].astype(np.int64)
    age = (asked.day - new.day).astype(np.float32)
    worth = np.where(new.bought, features.weights.purchase, features.weights.view_item)

    matrix, width = known.weights, known.products
    old = np.repeat(np.arange(known.rows), np.diff(matrix.indptr)) * width + matrix.indices
    half = features.half_life_days
    weights = np.concatenate([matrix.data * 0.5 ** (asked.day / half), worth * 0.5 ** (age / half)])
    key, group = np.unique(np.concatenate([old, who * width + what]), return_inverse=True)
    sums = np.bincount(group, weights, len(key)).astype(np.float32)
    kept = sums > 0
    indptr = np.searchsorted(key[kept] // width, np.arange(known.rows + 1))
    days = None
    if known.last_days is not None:
        days = np.full(len(key), np.inf, np.float32)
        np.minimum.at(days, group, np.concatenate([known.last_days + asked.day, age]))
        days = days[kept]
    return replace(
        known,
        weights=sp.csr_matrix(
            (sums[kept], (key[kept] % width).astype(np.int32), indptr), (known.rows, width)
        ),
        last_days=days,
        events=None if known.events is None else _followed(known.events, who, what, new, asked.day),
    )


def _followed(events: Events, who: Any, what: Any, new: Done, day: int) -> Events:
    """Events of some customers, each followed by her new ones, in the order they were done."""
    rows = len(events.starts) - 1
    owner = np.repeat(np.arange(rows), np.diff(events.starts))
    orders = np.zeros(rows, np.int64)
    np.maximum.at(orders, owner, events.orders + 1)
    visits, back = np.unique(new.visit[new.bought], return_inverse=True)
    of = np.zeros(len(visits), np.int64)
    of[back] = who[new.bought]
    turn = np.argsort(np.lexsort((visits, of)))  # place of each visit by customer, then time
    nth = turn - np.searchsorted(np.sort(of), of)
    number = np.full(len(who), -1, np.int64)
    number[new.bought] = (orders[of] + nth)[back]
    kinds = [EVENT_TYPES.index("view_item"), EVENT_TYPES.index("purchase")]
    types = np.where(new.bought, kinds[1], kinds[0]).astype(np.int8)
    web = np.full(len(who), CHANNELS.index("web"), np.int8)
    order = np.argsort(np.concatenate([owner, who]), kind="stable")

    def both(old: Any, late: Any) -> Any:
        return np.concatenate([old, late.astype(old.dtype)])[order]

    return Events(
        np.searchsorted(np.sort(np.concatenate([owner, who])), np.arange(rows + 1)),
        both(events.products, what),
        both(events.types, types),
        both(events.channels, web),
        both(events.orders, number),
        both(events.days + day, day - new.day),
    )


def _product_ids(given: Path) -> pa.Array:
    """Product ids in the order of the truth."""
    truth = pq.read_table(given / "truth" / "products.parquet", columns=["product_id"])
    return truth["product_id"].combine_chunks()


def _crowd(given: Path, place: Workspace, known: pa.Array) -> tuple[pa.Array, Crowd]:
    """Those who are truly still customers and whom the shop knows, with what they want."""
    truth = given / "truth"
    people = pq.read_table(
        truth / "customers.parquet", columns=["customer_id", "alive", "rhythm_days"]
    )
    people = people.filter(pc.and_(people["alive"], pc.is_in(people["customer_id"], known)))
    ids = people["customer_id"].combine_chunks()
    if not len(ids):
        raise Missing(f"no customer of {given} is known and alive: take more customers")
    goods = pq.read_table(truth / "products.parquet", columns=["product_id", "replenish_days"])
    order = goods["product_id"].combine_chunks()
    listed = pq.read_table(given / "products.parquet")
    listed = listed.take(pc.index_in(order, listed["product_id"].combine_chunks()))
    as_of = last_event(place.tables)
    launched = pc.fill_null(pc.less_equal(listed["launched_at"], pa.scalar(as_of)), False)
    stocked = available(place.tables, order, at=as_of)
    on_sale = launched if stocked is None else pc.and_(launched, pc.is_in(order, stocked))
    interest = true_interest(given, ids)
    interest[:, ~np.asarray(on_sale)] = -np.inf
    supplier = listed["supplier_id"].combine_chunks().dictionary_encode().indices
    return ids, Crowd(
        interest=interest,
        rhythm=people["rhythm_days"].to_numpy(),
        price=listed["price"].to_numpy(),
        lasts=goods["replenish_days"].to_numpy(),
        supplier=supplier.to_numpy().astype(np.int64),
    )


def _offline(
    place: Workspace, shop: Shop, recipes: Mapping[str, tuple[str, dict[str, Any]]]
) -> dict[str, float]:
    """Mean ndcg of each policy on the last window of the log, as `judge` reckons it."""
    tables = place.tables
    fold = cuts(shop, last_event(tables), first_event(tables))[-1]
    with step("offline: data"):
        data = fold_data(tables, shop, fold, number=0, events=True)
    found = {}
    for name, (kind, parameters) in recipes.items():
        with step(f"offline: {name}"):
            fitted = Recommender(scorer.make(kind, parameters)).fit(
                data.interactions, data.products, data.events
            )
            lists = fitted.recommend(
                data.customers, LIST, among=data.among, seen=shop.recommend.seen
            )
            rows = metrics.per_customer(lists, data.truth, known=data.known, k=LIST)
        found[name] = float(pc.mean(rows["ndcg_at_10"]).as_py())
    return found
