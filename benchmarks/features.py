"""Feature tables: seconds, rows a second and peak memory, beside the same written in Polars.

    make peers
    .venv/bin/python benchmarks/features.py --sizes 1,10 --json features.json

Sizes are millions of synthetic events, about thirty a customer. Each side runs in a process of its
own on the same files, ours and the other in turn; row counts and sums of every number must agree.
"A day more" is ours adding the last day to the tables of the day before, beside both sides from
nothing. JSON: a list of {case, ours, other, other_name, ratio, unit};
ratio: above 1, ours is better.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".peers" / "bin" / "python"
END = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = END - timedelta(days=1)
EVENTS_A_CUSTOMER = 30
if sys.path[0] == str(ROOT / "benchmarks"):  # else this file would be the package `features`
    sys.path[0] = str(ROOT)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--sizes", default="1,10", help="millions of events, such as 1,10,50")
    options.add_argument("--json", type=Path, help="write the rows to this file")
    options.add_argument("--repeat", type=int, default=1, help="runs of each; the best counts")
    options.add_argument("--scratch", type=Path, help="keep generated events in this folder")
    options.add_argument("--without-polars", action="store_true")
    options.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.job:
        print(json.dumps(ours(json.loads(asked.job.read_text()))))
        return
    if not asked.without_polars and not PEER.exists():
        raise SystemExit(f"{PEER} is missing: run `make peers`, or add --without-polars")
    with tempfile.TemporaryDirectory(prefix="regulars-benchmark-") as scratch:
        folder = asked.scratch or Path(scratch)
        rows: list[dict[str, Any]] = []
        for size in [float(size) for size in asked.sizes.split(",")]:
            rows += measure(folder, size, asked.repeat, polars=not asked.without_polars)
        if asked.json:
            asked.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(scratch: Path, size: float, repeat: int, *, polars: bool) -> list[dict[str, Any]]:
    """One size: both sides from nothing, ours by a day."""
    store, events = shop(scratch / f"{size:g}m", size)
    builds, others, steps = [], [], []
    job = {"root": str(store), "as_of": END.isoformat()}
    for _ in range(repeat):
        forget(store)
        builds.append(child([sys.executable, __file__, "--job"], job))
        if polars:
            others.append(child([str(PEER), str(ROOT / "benchmarks" / "polars_features.py")], job))
            agree(builds[-1]["sums"], others[-1]["sums"])
        forget(store)
        child([sys.executable, __file__, "--job"], {**job, "as_of": BEFORE.isoformat()})
        steps.append(child([sys.executable, __file__, "--job"], job))
        if steps[-1]["sums"] != builds[-1]["sums"] or not steps[-1]["base"]:
            raise SystemExit("the step by a day is not the build from nothing")
    case = f"{size:g} million events"
    whole, step = best(builds, "seconds"), best(steps, "seconds")
    other, memory = (best(others, name) if others else None for name in ("seconds", "peak_rss_mb"))
    rate = None if other is None else events / other
    rows = [
        row(f"{case}: from nothing", whole, other, "s"),
        row(f"{case}: rows a second", events / whole, rate, "1/s"),
        row(f"{case}: peak memory", best(builds, "peak_rss_mb"), memory, "MB"),
        row(f"{case}: a day more", step, other, "s"),
        row(f"{case}: peak memory of a day", best(steps, "peak_rss_mb"), memory, "MB"),
        {**row(f"{case}: a day, not all", step, whole, "s"), "other_name": "ours from nothing"},
    ]
    for line in rows:
        beside = "-" if line["other"] is None else f"{line['other']:,.1f}"
        ratio = "-" if line["ratio"] is None else f"{line['ratio']:.2f}"
        print(
            f"{line['case']:56} {line['ours']:>12,.1f} {line['unit']:4} "
            f"{line['other_name']} {beside} (ratio {ratio})",
            flush=True,
        )
    return rows


def row(case: str, mine: float, other: float | None, unit: str) -> dict[str, Any]:
    """One line of the table; ratio: above 1, ours is better."""
    ratio = None if other is None else mine / other if unit == "1/s" else other / mine
    return {
        "case": case,
        "ours": mine,
        "other": other,
        "other_name": "Polars",
        "ratio": ratio,
        "unit": unit,
    }


def best(runs: list[dict[str, Any]], name: str) -> float:
    """The least of several runs."""
    return min(float(run[name]) for run in runs)


def shop(folder: Path, size: float) -> tuple[Path, int]:
    """A store with a synthetic shop's events, its last day in a part of its own, and the links."""
    from features.schemas import EVENTS, IDENTITIES
    from features.synthetic import generate
    from features.tables import Tables

    store = Tables(folder / "tables")
    if store.current("events") is None:
        print(f"making {size:g} million events", file=sys.stderr)
        raw = folder / "raw"
        shutil.rmtree(folder, ignore_errors=True)
        generate(raw, customers=round(size * 1e6 / EVENTS_A_CUSTOMER), seed=1, end=END)
        parts, lasts = [], []
        for path in sorted((raw / "events").glob("*.parquet")):
            rows = pq.read_table(path)
            n = len(rows)
            rows = rows.append_column("source", pa.repeat(path.name, n))
            rows = rows.append_column("source_row", pa.array(range(1, n + 1), pa.int64()))
            rows = rows.select(EVENTS.names).cast(EVENTS)
            last = pc.greater(rows["event_time"], pa.scalar(BEFORE, rows["event_time"].type))
            lasts.append(rows.filter(last))
            parts.append(adopted(store, "events", rows.filter(pc.invert(last)), "event_time"))
        parts.append(adopted(store, "events", pa.concat_tables(lasts), "event_time"))
        links = pq.read_table(raw / "identities.parquet").cast(IDENTITIES)
        store.commit("identities", "synthetic", [adopted(store, "identities", links, "linked_at")])
        store.commit("events", "synthetic", parts)
        shutil.rmtree(raw)
    return store.root, store.need("events").rows


def adopted(store: Any, table: str, rows: pa.Table, time: str) -> Any:
    """Rows as a part with the range of its times."""
    path = store.beside(table)
    pq.write_table(rows, path, compression="zstd", compression_level=1, row_group_size=131_072)
    return store.adopt(table, path, time=time)


def forget(store: Path) -> None:
    """No feature table was ever built."""
    for name in ("interactions", "customer_features", "product_features", "baskets"):
        shutil.rmtree(store / name, ignore_errors=True)


def child(command: list[str], job: dict[str, Any]) -> dict[str, Any]:
    """Run one side in a process of its own."""
    from features.tables import Tables

    store = Tables(Path(job["root"]))
    identities = store.current("identities")
    with tempfile.TemporaryDirectory(dir=store.root.parent) as out:
        told = {
            **job,
            "events": store.need("events").paths,
            "identities": None if identities is None else identities.paths[0],
            "out": out,
        }
        file = Path(out) / "job.json"
        file.write_text(json.dumps(told))
        done = subprocess.run([*command, str(file)], stdout=subprocess.PIPE, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """Build all tables, in this process."""
    from features.build import build
    from features.tables import Tables

    start = time.perf_counter()
    made = build(Tables(Path(job["root"])), as_of=datetime.fromisoformat(job["as_of"]))
    seconds = time.perf_counter() - start
    peak = peak_rss_mb()
    base = made["baskets"].manifest["about"]["base"]
    return {
        "seconds": seconds,
        "cpu": time.process_time(),
        "peak_rss_mb": peak,
        "base": base,
        "sums": sums(made),
    }


def sums(made: dict[str, Any]) -> dict[str, float]:
    """What both sides must agree on: rows of each table and the sum of each number in it."""
    found: dict[str, float] = {}
    for name, snapshot in made.items():
        found[f"{name}.rows"] = float(snapshot.rows)
        for path in snapshot.paths:
            for batch in pq.ParquetFile(path).iter_batches(1 << 20):
                for field in batch.schema:
                    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                        value = pc.sum(batch[field.name].cast(pa.float64())).as_py() or 0.0
                        key = f"{name}.{field.name}"
                        found[key] = found.get(key, 0.0) + value
    return found


def agree(mine: dict[str, float], others: dict[str, float]) -> None:
    """Stop where the two sides did not build the same tables."""
    state = ("interactions.browsing", "interactions.buying")  # ours are whole numbers at an anchor
    for name in sorted(mine.keys() & others.keys() - set(state)):
        if not math.isclose(mine[name], others[name], rel_tol=1e-4, abs_tol=1e-6):
            raise SystemExit(f"{name}: ours {mine[name]}, Polars {others[name]}")
    if len(mine.keys() & others.keys()) < 60:
        raise SystemExit("too few columns in common")


def peak_rss_mb() -> float:
    """The most memory this process had at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
