"""The shop that never was: is it a shop, is its truth true, is it the same twice."""

import hashlib
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from features import schemas
from features.synthetic import (
    behaviour,
    generate,
    names,
    people,
    taste,
    true_interest,
    visits,
    write,
)
from features.synthetic import world as worlds
from features.synthetic.season import DAY, Season

END = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS = 1_500


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of 1,500 customers."""
    folder = tmp_path_factory.mktemp("synthetic") / "shop"
    generate(folder, customers=CUSTOMERS, seed=7)
    return folder


@pytest.fixture(scope="module")
def sql(shop: Path) -> duckdb.DuckDBPyConnection:
    """Its files as tables; `known` are events of customers, identities resolved as of the end."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute(f"create table events as from '{shop}/events/*.parquet'")
    for name in ("products", "stock", "suppliers", "identities", "customers"):
        con.execute(f"create table {name} as from '{shop}/{name}.parquet'")
    for name in ("customers", "products", "staples"):
        con.execute(f"create table true_{name} as from '{shop}/truth/{name}.parquet'")
    con.execute("""
        create table known as
        select e.* exclude (customer_id),
               coalesce(two.customer_id, one.customer_id, e.customer_id) as customer_id
        from events e
        left join identities one on e.customer_id = one.kind || ':' || one.value
        left join identities two on one.customer_id = two.kind || ':' || two.value
        where coalesce(two.customer_id, one.customer_id, e.customer_id) not like '%:%'
    """)
    return con


def number(sql: duckdb.DuckDBPyConnection, query: str) -> float:
    """The one number a query answers."""
    row = sql.sql(query).fetchone()
    assert row is not None
    assert row[0] is not None
    return float(row[0])


def checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# --- the same, or not ---


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "CHUNK", 40)
    sums = []
    for processors in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        generate(tmp_path / str(processors), customers=250, seed=3, days=100)
        sums.append(checksums(tmp_path / str(processors)))
    assert len(sums[0]) == 7 + 6 + 2
    assert sums[0] == sums[1]


def test_another_seed_gives_another_shop(tmp_path: Path) -> None:
    for seed in (1, 2):
        generate(tmp_path / str(seed), customers=50, seed=seed, days=60)
    one, two = checksums(tmp_path / "1"), checksums(tmp_path / "2")
    assert one.keys() == two.keys()
    assert not {name for name in one if one[name] == two[name]} - {"suppliers.parquet"}


# --- arguments ---


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"customers": 0}, "customers must be 1 to 100,000,000, got 0"),
        ({"days": 0}, "days must be 1 to 36,500, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"end": datetime(2026, 1, 1)}, "end must have a time zone, got 2026-01-01T00:00:00"),
    ],
)
def test_an_impossible_shop_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        generate(tmp_path / "shop", **({"customers": 1, "seed": 0} | wrong))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="directory must be new or empty, got"):
        generate(tmp_path, customers=1, seed=0)
    with pytest.raises(FileExistsError, match="directory must be new or empty, got"):
        generate(tmp_path / "mine.txt", customers=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_shop_leaves_nothing_to_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "CHUNK", 10)
    real = write.chunk

    def breaks(world: worlds.World, who: range, *, seed: int, number: int) -> write.Chunk:
        if number == 3:
            raise OSError("disk full")
        return real(world, who, seed=seed, number=number)

    monkeypatch.setattr(write, "chunk", breaks)
    with pytest.raises(OSError, match="disk full"):
        generate(tmp_path / "shop", customers=60, seed=0, days=30)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("customers", [1, 2, 7])
@pytest.mark.parametrize("days", [1, 2, 40])
def test_the_smallest_shops_are_shops_too(tmp_path: Path, customers: int, days: int) -> None:
    generate(tmp_path / "shop", customers=customers, seed=5, days=days)
    assert pq.read_metadata(tmp_path / "shop" / "customers.parquet").num_rows == customers
    ds.dataset(tmp_path / "shop" / "events").to_table().validate(full=True)


@given(hours=st.integers(0, 47), offset=st.integers(-12, 14), days=st.integers(1, 9))
def test_the_window_covers_the_days_before_any_end(hours: int, offset: int, days: int) -> None:
    end = (END + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=offset)))
    season = Season.before(end, days)
    assert season.end == end.timestamp() * 1_000_000
    assert season.start % DAY == 0
    assert season.start < season.end <= season.start + days * DAY < season.end + DAY


def test_a_day_cut_short_by_its_end_holds_nothing_later(tmp_path: Path) -> None:
    end = datetime(2025, 6, 10, 15, 30, tzinfo=timezone(timedelta(hours=2)))
    generate(tmp_path / "shop", customers=400, seed=5, days=20, end=end)
    times = ds.dataset(tmp_path / "shop" / "events").to_table()["event_time"].to_pylist()
    assert end - timedelta(hours=8) < max(times) < end
    assert min(times) >= end - timedelta(days=20)


# --- its files ---


def test_files_are_as_the_schemas_say(shop: Path) -> None:
    wanted = pa.schema(
        [f.remove_metadata() for f in schemas.EVENTS if f.name not in ("source", "source_row")]
    )
    for part in sorted((shop / "events").iterdir()):
        assert pq.read_schema(part).remove_metadata().equals(wanted)
        pq.read_table(part).cast(wanted).validate(full=True)
    for name in ("products", "stock", "suppliers", "identities", "customers"):
        table = pq.read_table(shop / f"{name}.parquet")
        assert table.schema.equals(schemas.SCHEMAS[name]), name
        assert table.num_rows > 0


def test_events_of_a_part_are_in_the_order_of_time(shop: Path) -> None:
    for part in sorted((shop / "events").iterdir()):
        times = pq.read_table(part)["event_time"].cast(pa.int64()).to_numpy()
        assert (np.diff(times) >= 0).all()


def test_ids_do_not_meet_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "CHUNK", 30)
    generate(tmp_path / "shop", customers=100, seed=3, days=90)
    con = duckdb.connect()
    con.execute(f"create view events as from '{tmp_path}/shop/events/*.parquet'")
    con.execute(
        f"create view parts as from read_parquet('{tmp_path}/shop/events/*.parquet', filename=true)"
    )
    assert number(con, "select count(distinct filename) from parts") == 4
    assert number(con, "select count(*) - count(distinct event_id) from events") == 0
    for name in ("order_id", "session_id", "customer_id"):
        parts = (
            f"select count(distinct filename) n from parts group by {name} having {name} not null"
        )
        assert number(con, f"select max(n) from ({parts})") == 1, name
    ids = pq.read_table(tmp_path / "shop" / "customers.parquet")["customer_id"].to_pylist()
    assert ids == [f"c{i:08d}" for i in range(100)]


def test_a_chunk_depends_on_no_other() -> None:
    season = Season.before(END, 60)
    world = worlds.make(np.random.default_rng(0), season, customers=500)
    alone = write.chunk(world, range(20, 40), seed=4, number=1)
    write.chunk(world, range(20), seed=4, number=0)
    again = write.chunk(world, range(20, 40), seed=4, number=1)
    assert alone.events.equals(again.events)
    assert alone.truth.equals(again.truth)


def test_memory_is_bounded_by_chunks_however_many_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(map(len, write.chunks(10_000_000, 365))) == 10_000
    assert max(map(len, write.chunks(10_000_000, 3_650))) == 1_000
    assert [i for some in write.chunks(25_001, 365) for i in some] == list(range(25_001))

    monkeypatch.setattr(write, "CHUNK", 5)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    started: list[int] = []
    real = write.chunk

    def counts(world: worlds.World, who: range, *, seed: int, number: int) -> write.Chunk:
        started.append(number)
        return real(world, who, seed=seed, number=number)

    monkeypatch.setattr(write, "chunk", counts)
    world = worlds.make(np.random.default_rng(0), Season.before(END, 30), customers=500)
    made = write._made(tmp_path, world, 500, 0)
    for taken in range(1, 20):
        assert next(made).events.nbytes == 0  # its events lie on disk and nowhere else
        assert len(started) <= taken + 2
    made.close()


# --- what happens in it ---


def test_every_kind_of_event_happens_on_every_kind_of_channel(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    kinds = {row[0] for row in sql.sql("select distinct event_type from events").fetchall()}
    assert kinds == set(schemas.EVENT_TYPES)
    share = dict(
        sql.sql(
            "select channel, count(*) / (select count(*) from events) from events group by 1"
        ).fetchall()
    )
    assert set(share) <= set(schemas.CHANNELS)
    assert {"web", "app", "store", "live"} <= set(share)
    assert min(share[name] for name in ("web", "app", "store", "live")) > 0.02
    assert share.get("call_center", 0) + share.get("marketplace", 0) < 0.05


def test_a_year_is_20_to_40_events_a_customer(sql: duckdb.DuckDBPyConnection) -> None:
    assert 20 <= number(sql, "select count(*) from events") / CUSTOMERS <= 40


def test_nothing_happens_after_the_end_or_off_sale(sql: duckdb.DuckDBPyConnection) -> None:
    assert number(sql, "select count(*) from events where event_time >= '2026-01-01'") == 0
    assert number(sql, "select count(*) from events where event_time < '2025-01-01'") == 0
    early = "from events join products using (product_id) where event_time < launched_at"
    assert number(sql, f"select count(*) {early}") == 0
    launched = "from products where launched_at >= '2025-03-01'"
    assert number(sql, f"select count(*) {launched}") > 20
    assert (
        number(
            sql, f"select count(*) from events where product_id in (select product_id {launched})"
        )
        > 100
    )


def test_events_hold_what_their_kind_needs(sql: duckdb.DuckDBPyConnection) -> None:
    ordered = "event_type in ('purchase', 'refund')"
    for wrong in (
        f"{ordered} != (order_id is not null)",
        f"{ordered} and (coalesce(quantity, 0) < 1 or coalesce(unit_price, 0) <= 0)",
        "event_type = 'view_item' and quantity is not null",
        "product_id is null and event_type != 'view_item_list'",
        "(channel = 'store') != (store_id is not null)",
        "(channel = 'live' and event_type != 'refund') != (live_session_id is not null)",
        f"channel in ('web', 'app', 'live', 'email') and not {ordered} and session_id is null",
        "product_id is not null and product_id not in (select product_id from products)",
    ):
        assert number(sql, f"select count(*) from events where {wrong}") == 0, wrong
    assert number(sql, "select count(*) from events where product_id is null") > 0


def test_a_session_is_one_visit_of_one_person(sql: duckdb.DuckDBPyConnection) -> None:
    worst = sql.sql("""
        select max(people), max(channels), max(orders), max(length)
        from (select count(distinct coalesce(customer_id, '')) people,
                     count(distinct channel) channels, count(distinct order_id) orders,
                     max(event_time) - min(event_time) length
              from events where session_id is not null group by session_id)
    """).fetchone()
    assert worst is not None
    assert worst[:3] == (1, 1, 1)
    assert worst[3] < timedelta(minutes=90)


def test_views_come_before_carts_before_purchases(sql: duckdb.DuckDBPyConnection) -> None:
    sql.execute("""
        create or replace temp table steps as
        select session_id, product_id,
               min(event_time) filter (event_type = 'view_item') as viewed,
               min(event_time) filter (event_type = 'add_to_cart') as carted,
               min(event_time) filter (event_type = 'remove_from_cart') as removed,
               min(event_time) filter (event_type = 'purchase') as bought
        from events where session_id is not null and event_type != 'view_item_list' group by all
    """)
    assert number(sql, "select count(*) from steps where bought is not null") > 1_000
    for wrong in (
        "viewed is null",
        "carted <= viewed",
        "bought <= viewed",
        "bought <= carted",
        "removed <= carted or (removed is not null and carted is null)",
        "removed is not null and bought is not null",
    ):
        assert number(sql, f"select count(*) from steps where {wrong}") == 0, wrong
    firsts = """
        select count(*) from (
            select min(event_time) filter (event_type = 'view_item_list') listed,
                   min(event_time) filter (event_type != 'view_item_list') then_
            from events group by session_id) where listed >= then_
    """
    assert number(sql, firsts) == 0


def test_baskets_hold_several_products_bought_at_one_moment(sql: duckdb.DuckDBPyConnection) -> None:
    sql.execute("""
        create or replace temp table orders as
        select order_id, count(*) as lines, count(distinct product_id) as products,
               count(distinct event_time) as times
        from events where event_type = 'purchase' group by 1
    """)
    assert number(sql, "select count(*) from orders where times > 1 or lines != products") == 0
    assert number(sql, "select avg((lines > 1)::int) from orders") > 0.3
    assert number(sql, "select max(lines) from orders") >= 4


def test_refunds_give_back_some_of_an_earlier_order(sql: duckdb.DuckDBPyConnection) -> None:
    sql.execute("""
        create or replace temp table backs as
        select b.event_time as bought, r.event_time - b.event_time as after,
               r.quantity <= b.quantity and r.unit_price = b.unit_price
               and r.customer_id is not distinct from b.customer_id
               and r.channel = b.channel as fits
        from (from events where event_type = 'refund') r
        left join (from events where event_type = 'purchase') b using (order_id, product_id)
    """)
    refunds = number(sql, "select count(*) from events where event_type = 'refund'")
    assert number(sql, "select count(*) from backs") == refunds
    assert number(sql, "select count(*) from backs where bought is null or not fits") == 0
    assert number(sql, "select count(*) from backs where after < interval 1 day") == 0
    purchases = number(sql, "select count(*) from events where event_type = 'purchase'")
    assert 0.01 < refunds / purchases < 0.1


# --- who they are ---


def test_identities_lead_to_customers(sql: duckdb.DuckDBPyConnection) -> None:
    kinds = {row[0] for row in sql.sql("select distinct kind from identities").fetchall()}
    assert kinds == {"cookie", "app", "loyalty"}
    assert number(sql, "select count(*) - count(distinct kind || value) from identities") == 0
    assert number(sql, "select count(*) from identities where customer_id like 'app:%'") > 20
    strays = """
        select count(*) from identities i
        where customer_id not in (select customer_id from customers)
          and customer_id not in (select kind || ':' || value from identities
                                  where customer_id in (select customer_id from customers))
    """
    assert number(sql, strays) == 0
    assert number(sql, "select count(*) from identities where linked_at >= '2026-01-01'") == 0
    early = "from identities join customers using (customer_id) where linked_at < joined_at"
    assert number(sql, f"select count(*) {early}") == 0


def test_visits_are_known_linked_unlinked_or_nobodys(sql: duckdb.DuckDBPyConnection) -> None:
    share = dict(
        sql.sql("""
            select case when e.customer_id is null then 'nobody'
                        when e.customer_id not like '%:%' then 'known'
                        when i.value is null then 'unlinked' else 'linked' end as name,
                   count(*) / (select count(*) from events) from events e
            left join identities i on e.customer_id = i.kind || ':' || i.value group by 1
        """).fetchall()
    )
    assert 0.5 < share["known"] < 0.8
    assert all(share[name] > 0.03 for name in ("nobody", "linked", "unlinked"))
    unknown = (
        "customer_id not like '%:%' and customer_id not in (select customer_id from customers)"
    )
    assert number(sql, f"select count(*) from events where {unknown}") == 0


def test_linked_visits_follow_the_taste_of_whom_they_are_linked_to(
    shop: Path, sql: duckdb.DuckDBPyConnection
) -> None:
    bought = sql.sql("""
        select k.customer_id, k.product_id from known k join events e using (event_id)
        where e.customer_id like '%:%' and k.event_type = 'view_item' order by event_id
    """).to_arrow_table()
    hers, others = gains(shop, bought)
    assert len(hers) > 500
    assert hers.mean() > others.mean() + 0.5


def gains(shop: Path, chosen: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """True interest of who chose in what she chose, and of somebody else in the same."""
    who = chosen["customer_id"].combine_chunks()
    truth = true_interest(shop, who.unique())
    row = pa.compute.index_in(who, who.unique()).to_numpy()
    products = pq.read_table(shop / "products.parquet")["product_id"]
    column = pa.compute.index_in(chosen["product_id"], products).to_numpy()
    return truth[row, column], truth[np.roll(row, len(row) // 2), column]


# --- is the truth true ---


def test_the_dead_are_silent_and_nobody_comes_before_she_joined(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    late = "from known join true_customers using (customer_id) where event_time >= alive_until"
    assert number(sql, f"select count(*) {late}") == 0
    early = "from known join customers using (customer_id) where event_time < joined_at"
    assert number(sql, f"select count(*) {early}") == 0
    ends = "from true_customers where alive != (alive_until > '2026-01-01')"
    assert number(sql, f"select count(*) {ends}") == 0
    assert number(sql, "select count(*) from true_customers where alive = (stage = 'lapsed')") == 0
    stages = {row[0] for row in sql.sql("select distinct stage from true_customers").fetchall()}
    assert stages == set(schemas.STAGES)
    assert 0.2 < number(sql, "select avg(alive::int) from true_customers") < 0.9


def test_who_is_alive_came_lately_and_who_pauses_did_not(sql: duckdb.DuckDBPyConnection) -> None:
    since = dict(
        sql.sql("""
            select stage, median(extract(day from timestamptz '2026-01-01' - last))
            from true_customers
            join (select customer_id, max(event_time) as last from known group by 1)
            using (customer_id) group by 1
        """).fetchall()
    )
    assert since["active"] < since["at_risk"] < since["lapsed"]
    assert since["active"] < since["cooling"]


def test_taste_explains_what_is_bought(shop: Path, sql: duckdb.DuckDBPyConnection) -> None:
    bought = sql.sql("""
        select distinct customer_id, product_id from known where event_type = 'purchase'
        order by all
    """).to_arrow_table()
    hers, others = gains(shop, bought)
    assert hers.mean() > others.mean() + 0.5  # nats: what others think of the same products
    truth = true_interest(shop, bought["customer_id"].combine_chunks().unique())
    assert hers.mean() > truth.mean() + 2  # what she thinks of all products


def test_choices_are_a_softmax_of_true_interest(shop: Path) -> None:
    """The fast choice by weighed candidates agrees with the slow exact one over all products."""
    season = Season.before(END, 365)
    world = worlds.make(np.random.default_rng(0), season, customers=1_000)
    crowd = people.arrive(np.random.default_rng(1), world, 400)
    known = taste.repertoire(np.random.default_rng(2), world, crowd)
    interest = taste.interest(crowd.taste, crowd.level, world.taste, world.level) + world.appeal
    exact = np.exp(interest - interest.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    who = np.repeat(np.arange(crowd.m), 200)
    drawn = known.draw(np.random.default_rng(3), who)
    wanted = (exact * interest).sum(axis=1).mean()
    assert interest[who, drawn].mean() == pytest.approx(wanted, abs=0.1)
    share = np.bincount(drawn, minlength=world.products) / len(drawn)
    assert np.abs(share - exact.mean(axis=0)).sum() / 2 < 0.12  # total variation
    assert np.abs(share - 1 / world.products).sum() / 2 > 0.3  # which equal shares do not reach


def test_true_interest_keeps_the_asked_order_and_names_the_unknown(shop: Path) -> None:
    asked = pa.array(["c00000900", "c00000003", "c00000900"])
    scores = true_interest(shop, asked)
    assert scores.shape == (3, pq.read_metadata(shop / "products.parquet").num_rows)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(scores[1], true_interest(shop, pa.array(["c00000003"]))[0])
    # the slow way, for one pair
    person = pq.read_table(shop / "truth" / "customers.parquet").slice(3, 1).to_pylist()[0]
    thing = pq.read_table(shop / "truth" / "products.parquet").slice(5, 1).to_pylist()[0]
    by_hand = (
        taste.DRAW * sum(a * b for a, b in zip(person["taste"], thing["taste"], strict=True))
        - taste.THRIFT / 2 * (person["price_level"] - thing["price_level"]) ** 2
        + thing["appeal"]
    )
    assert scores[1, 5] == pytest.approx(by_hand, abs=1e-4)
    with pytest.raises(KeyError, match=r"customers must be customers of .*, got c99999999"):
        true_interest(shop, pa.array(["c00000003", "c99999999"]))


def test_people_alike_in_history_predict_better_than_popularity(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    """A plain factor model of what was seen before December finds December's new purchases."""
    rows = sql.sql("""
        select customer_id, product_id, event_time < '2025-12-01' as before,
               event_type = 'purchase' as bought from known
        where product_id is not null order by event_id
    """).to_arrow_table()
    who = rows["customer_id"].combine_chunks().dictionary_encode()
    what = rows["product_id"].combine_chunks().dictionary_encode()
    i, j = who.indices.to_numpy(), what.indices.to_numpy()
    before = rows["before"].to_numpy(zero_copy_only=False)
    bought = rows["bought"].to_numpy(zero_copy_only=False)
    past = np.zeros((len(who.dictionary), len(what.dictionary)))
    np.add.at(past, (i[before], j[before]), 1.0)
    target = np.zeros(past.shape, dtype=bool)
    target[i[~before & bought], j[~before & bought]] = True
    target &= past == 0
    asked = target.any(axis=1)
    left, size, right = svds(csr_matrix(np.log1p(past)), k=12, v0=np.ones(min(past.shape)))
    personal = (left * size) @ right
    popular = np.broadcast_to((past > 0).sum(axis=0), past.shape)

    def found(scores: np.ndarray) -> float:
        unseen = np.where(past[asked] > 0, -np.inf, scores[asked])
        top = np.argsort(-unseen, axis=1, kind="stable")[:, :20]
        return float(np.take_along_axis(target[asked], top, axis=1).any(axis=1).mean())

    assert found(personal) > 1.3 * found(popular)


def test_replenishment_keeps_its_rhythm(sql: duckdb.DuckDBPyConnection) -> None:
    ratio = sql.sql("""
        select extract(epoch from event_time - lag(event_time) over each) / 86400 / every_days as r
        from known join true_staples using (customer_id, product_id)
        where event_type = 'purchase' window each as (partition by customer_id, product_id
                                                      order by event_time)
        qualify r is not null
    """).fetchnumpy()["r"]
    assert len(ratio) > 200
    assert 0.85 < np.median(ratio) < 1.15
    assert np.mean((ratio > 0.5) & (ratio < 1.5)) > 0.6
    needed = (
        "select count(*) from true_staples join products using (product_id) where not replenishable"
    )
    assert number(sql, needed) == 0


def test_the_regular_order_regularly(sql: duckdb.DuckDBPyConnection) -> None:
    spread = dict(
        sql.sql("""
            with orders as (select customer_id, order_id, min(event_time) as t from known
                            where event_type = 'purchase'
                            and customer_id not in (select customer_id from true_staples)
                            group by all),
            gaps as (select customer_id, extract(epoch from t - lag(t) over each) as gap
                     from orders window each as (partition by customer_id order by t)),
            each_ as (select customer_id, stddev_samp(gap) / avg(gap) as cv from gaps
                      group by 1 having count(gap) >= 4)
            select regularity = 8, median(cv) from each_ join true_customers using (customer_id)
            where regularity = 8 or regularity < 1.5 group by 1
        """).fetchall()
    )
    assert spread[True] < 0.8 * spread[False]


def test_popularity_has_a_long_tail(sql: duckdb.DuckDBPyConnection) -> None:
    views = "select count(*) n from events where event_type = 'view_item' group by product_id"
    products = number(sql, "select count(*) from products")
    top = number(sql, f"select sum(n) from ({views} order by n desc limit {int(products / 10)})")
    total = number(sql, f"select sum(n) from ({views})")
    assert 0.25 < top / total < 0.75
    assert number(sql, f"select count(*) from ({views})") > 0.8 * products


def test_stock_is_counted_before_the_end_and_gone_products_have_none(
    shop: Path, sql: duckdb.DuckDBPyConnection
) -> None:
    last = "observed_at = (select max(observed_at) from stock) and store_id is null"
    products = number(sql, "select count(*) from products where launched_at < '2025-12-31'")
    assert number(sql, f"select count(*) from stock where {last}") == products
    assert number(sql, "select count(*) from stock where observed_at >= '2026-01-01'") == 0
    assert number(sql, "select count(*) from stock where store_id is not null") > products
    none = number(sql, f"select count(*) from stock where {last} and quantity = 0")
    assert 0 < none < 0.15 * products


# --- kernels beside their oracles ---


@given(st.lists(st.integers(0, 10**9 - 1), max_size=20))
def test_numbered_ids_are_what_format_writes(numbers: list[int]) -> None:
    made = names.numbered("ab-", np.array(numbers, dtype=np.int64), 9)
    made.validate(full=True)
    assert made.to_pylist() == [f"ab-{number:09d}" for number in numbers]


def test_a_number_too_long_for_its_id_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers must have at most 2 digits, got 100"):
        names.numbered("x", np.array([1, 100]), 2)


@given(st.lists(st.integers(0, 2**62), unique=True, max_size=50))
def test_scrambled_ids_never_meet(numbers: list[int]) -> None:
    made = names.scrambled("k:", np.array(numbers, dtype=np.int64)).to_pylist()
    assert len(set(made)) == len(numbers)
    assert all(len(text) == 18 and int(text[2:], 16) >= 0 for text in made)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.booleans()), max_size=40))
def test_once_keeps_each_product_of_a_visit_once(rows: list[tuple[int, int, bool]]) -> None:
    visit, product, bought = (np.array([row[i] for row in rows]) for i in range(3))
    items = behaviour._once(
        visit.astype(np.int64), product.astype(np.int64), bought.astype(np.bool_), 6, bits=4
    )
    slow: dict[tuple[int, int], bool] = {}
    for v, p, b in rows:
        slow[v, p] = slow.get((v, p), False) or b
    found = zip(items.visit.tolist(), items.product.tolist(), items.bought.tolist(), strict=True)
    assert {(v, p): b for v, p, b in found} == slow
    assert len(items.visit) == len(slow)
    for v in range(6):
        places = items.place[items.visit == v].tolist()
        assert places == list(range(items.size[v]))


@given(
    span=st.floats(0, 400), mean=st.floats(5, 60), shape=st.floats(1, 14), seed=st.integers(0, 99)
)
def test_renewals_are_running_sums_that_stop_at_the_span(
    span: float, mean: float, shape: float, seed: int
) -> None:
    n = 3
    full = np.full(n, span)
    rows, times = visits.rhythmic(
        np.random.default_rng(seed), np.full(n, mean), np.full(n, shape), span=full, lead=np.ones(n)
    )
    expected = span / mean
    count = int(np.ceil(expected + 5 * np.sqrt(expected / shape) + 3))
    chance = np.random.default_rng(seed)
    slow = []
    for row in range(n):
        now = 0.0
        for gap in chance.standard_gamma(shape, count) * (mean / shape):
            now += gap
            if now < span:
                slow.append((row, now))
    assert rows.tolist() == [row for row, _ in slow]
    np.testing.assert_allclose(times, [now for _, now in slow], rtol=1e-9)


def test_lives_run_slow_stand_still_and_go_on() -> None:
    one = people.People(
        n=1,
        taste=np.ones((1, 1), dtype=np.float32),
        level=np.zeros(1, dtype=np.float32),
        rhythm=np.ones(1),
        regularity=np.ones(1),
        channel=np.zeros(1, dtype=np.int64),
        joined=np.array([10.0]),
        begin=np.array([10.0]),
        slow=np.array([20.0]),
        stop=np.array([50.0]),
        back=np.array([100.0]),
        until=np.array([130.0]),
    )
    assert one.awake().tolist() == [10 + 30 / 3 + 30]
    lived = np.array([0.0, 9.0, 11.0, 19.0, 20.0, 49.0])
    who = np.zeros(len(lived), dtype=np.intp)
    assert one.moment(who, lived).tolist() == [10, 19, 23, 47, 100, 129]


@given(st.integers(1, 800), st.integers(0, 700))
def test_the_calendar_keeps_order_and_both_ends(days: int, shift: int) -> None:
    season = Season.before(END + timedelta(days=shift), days)
    even = np.linspace(0, days, 50)
    there = season.calendar(even)
    assert there[0] == 0
    assert there[-1] == days
    assert (np.diff(there) > 0).all()
    assert np.abs(there - even).max() < 25  # busy weeks pull, they do not reorder a year
