"""Write: a size and a seed in, a shop's folder of parquet files out; all of it is seen or none."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.artifact import sync
from features.schemas import CHANNELS as CHANNEL_WORDS
from features.schemas import CUSTOMERS, EVENT_TYPES, EVENTS, IDENTITIES, TIME
from features.synthetic import behaviour, catalogue, identities, people, taste, truth, visits, words
from features.synthetic import world as worlds
from features.synthetic.identities import Names
from features.synthetic.names import coded, numbered
from features.synthetic.season import Season

CHUNK = 10_000  # customers made at once, in a year
MOST = 100_000_000
YEARS = 100
STRIDE = 10_000_000  # events, visits and people of a chunk: fewer than this
COLUMNS = [field for field in EVENTS if field.name not in ("source", "source_row")]
FORMAT = {"compression": "zstd", "compression_level": 1, "dictionary_pagesize_limit": 1 << 23}
REPEATED = [field.name for field in COLUMNS if field.name not in ("event_id", "event_time")]


def generate(
    directory: Path,
    *,
    customers: int,
    seed: int,
    days: int = 365,
    end: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> None:
    """Make a shop that never was: `days` days of it before `end`, in `directory`.

    The same arguments give the same bytes, on any number of threads (with the same releases of
    numpy and pyarrow on the same kind of processor). Memory does not grow with `customers`. Raises
    ValueError for arguments out of range, FileExistsError for a directory that holds something.
    """
    _check(customers, seed, days, end)
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"directory must be new or empty, got {directory}")
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    try:
        _fill(beside, customers, seed, Season.before(end, days))
        beside.replace(directory)
        sync(directory.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def chunks(customers: int, days: int) -> list[range]:
    """Which customers are made together: so many that a chunk's events fit in memory at ease."""
    size = max(1, min(CHUNK, CHUNK * 365 // days))
    return [range(low, min(low + size, customers)) for low in range(0, customers, size)]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What some customers did and are."""

    events: pa.Table
    customers: pa.Table
    identities: pa.Table
    truth: pa.Table
    staples: pa.Table


def chunk(world: worlds.World, who: range, *, seed: int, number: int) -> Chunk:
    """The customers `who` of a world, from a stream of chance that is the chunk's own."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, number)))
    crowd = people.arrive(rng, world, len(who))
    known = taste.repertoire(rng, world, crowd)
    needs = visits.staples(rng, world, crowd, known)
    plan = visits.plan(rng, world, crowd, needs)
    items = behaviour.meet(rng, world, plan, known)
    happened = behaviour.happen(rng, world, crowd, plan, items)
    ids = numbered("c", np.arange(who.start, who.stop), 8)
    names = identities.name(rng, world, crowd, ids=ids, first=number * STRIDE)
    used = identities.used(rng, crowd, plan, names)
    store = rng.integers(0, world.stores, crowd.m)[plan.who]  # one goes to one's own

    country = rng.choice(len(words.COUNTRIES), crowd.n, p=[p for _, p in words.COUNTRIES])
    joined = np.floor(world.season.calendar(crowd.joined[: crowd.n])).astype(np.int64)
    about = [
        ids,
        coded(country, pa.array([c for c, _ in words.COUNTRIES])).cast(pa.string()),
        pa.array(world.season.micros(joined)).cast(TIME),
    ]
    return Chunk(
        events=_events(world, plan, happened, names, used, store, number),
        customers=pa.table(about, schema=CUSTOMERS),
        identities=identities.links(names),
        truth=truth.of_customers(world, crowd, ids),
        staples=truth.of_staples(world, needs, ids),
    )


def _events(
    world: worlds.World,
    plan: visits.Visits,
    happened: behaviour.Happened,
    names: Names,
    used: worlds.Ints,
    store: worlds.Ints,
    number: int,
) -> pa.Table:
    """Events by time in the columns of schemas.EVENTS; ids as dictionaries, to be written fast."""
    n, visit, kind = len(happened.time), happened.visit, happened.kind
    channel = plan.channel[visit]
    ordered = np.isin(kind, (behaviour.BUY, behaviour.REFUND))
    online = ~np.isin(channel, behaviour.SILENT) & (kind != behaviour.REFUND)
    broadcast = np.where(online, plan.broadcast[visit], -1)
    numbers = number * STRIDE + np.arange(len(plan.who))
    broadcasts = np.arange(int(plan.broadcast.max(initial=-1)) + 1)
    columns = [
        numbered("e", number * STRIDE + np.arange(n), 13),
        pa.array(happened.time).cast(TIME),
        coded(kind, pa.array(EVENT_TYPES)),
        coded(
            np.array([CHANNEL_WORDS.index(c) for c in people.CHANNELS])[channel],
            pa.array(CHANNEL_WORDS),
        ),
        coded(used[visit], names.words, none=True),
        coded(happened.product, world.ids, none=True),
        pa.array(happened.quantity, from_pandas=True),
        pa.array(happened.price, from_pandas=True),
        coded(np.where(ordered, visit, -1), numbered("o", numbers, 13), none=True),
        coded(np.where(online, visit, -1), numbered("v", numbers, 13), none=True),
        coded(
            np.where(channel == visits.STORE, store[visit], -1), catalogue.stores(world), none=True
        ),
        coded(broadcast, numbered("live-", broadcasts, 5), none=True),
        pa.nulls(n, pa.string()),
    ]
    fields = [f.with_type(c.type) for f, c in zip(COLUMNS, columns, strict=True)]
    return pa.table(columns, schema=pa.schema(fields))


def _fill(folder: Path, customers: int, seed: int, season: Season) -> None:
    """Write everything below a folder."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    world = worlds.make(rng, season, customers=customers)
    (folder / "events").mkdir(parents=True)
    (folder / "truth").mkdir()
    pq.write_table(catalogue.products(world), folder / "products.parquet", **FORMAT)
    pq.write_table(catalogue.suppliers(world), folder / "suppliers.parquet", **FORMAT)
    pq.write_table(catalogue.stock(rng, world), folder / "stock.parquet", **FORMAT)
    pq.write_table(truth.of_products(world), folder / "truth" / "products.parquet", **FORMAT)
    with ExitStack() as open_files:

        def writer(path: str, schema: pa.Schema) -> pq.ParquetWriter:
            return open_files.enter_context(pq.ParquetWriter(folder / path, schema, **FORMAT))

        customers_file = writer("customers.parquet", CUSTOMERS)
        identities_file = writer("identities.parquet", IDENTITIES)
        truth_file = writer("truth/customers.parquet", truth.CUSTOMERS)
        staples_file = writer("truth/staples.parquet", truth.STAPLES)
        for made in _made(folder / "events", world, customers, seed):
            customers_file.write_table(made.customers)
            identities_file.write_table(made.identities)
            truth_file.write_table(made.truth)
            staples_file.write_table(made.staples)


def _made(folder: Path, world: worlds.World, customers: int, seed: int) -> Iterator[Chunk]:
    """Every chunk, in order, its events written; no more exist at a time than workers and one."""

    def make(number: int, who: range) -> Chunk:
        made = chunk(world, who, seed=seed, number=number)
        # without Arrow's schema in the file its dictionaries are read back as strings
        path = folder / f"part-{number:06d}.parquet"
        pq.write_table(
            made.events,
            path,
            store_schema=False,
            row_group_size=STRIDE,
            use_dictionary=REPEATED,
            **FORMAT,
        )
        return replace(made, events=made.events.schema.empty_table())

    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Chunk]] = deque()
        for number, who in enumerate(chunks(customers, world.season.days)):
            waiting.append(pool.submit(make, number, who))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check(customers: int, seed: int, days: int, end: datetime) -> None:
    """Raise ValueError for an argument that no shop can have."""
    if not 1 <= customers <= MOST:
        raise ValueError(f"customers must be 1 to {MOST:,}, got {customers}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if not 1 <= days <= 365 * YEARS:
        raise ValueError(f"days must be 1 to {365 * YEARS:,}, got {days}")
    if end.tzinfo is None or end.utcoffset() is None:
        raise ValueError(f"end must have a time zone, got {end.isoformat()}")
