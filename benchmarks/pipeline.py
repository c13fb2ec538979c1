"""The pipeline at size: synthetic events in, rows per second and peak memory of every step out.

    python benchmarks/pipeline.py --sizes 1,10,50 --json pipeline.json

A shop that never was of about so many million events is written once, outside the clock. Each
step then runs in a process of its own on one workspace: ingest of all its files, all feature
tables, als trained on them, als judged on one fold of 28 days (features at the cut, fit, lists and
figures of at most `judge.customers` customers). Rows per second count events; memory is the
process's peak resident set.

Beside the features stand the same tables hand-written in Polars on the same events, where `make
peers` made its environment. Beside each larger size stands the smaller one: time should grow no
faster than the data.  ratio: above 1, ours is better, or better than the limit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS_PER_CUSTOMER = 34.4
ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / ".peers" / "bin" / "python"
if sys.path[0] == str(ROOT / "benchmarks"):  # its features.py would be the package `features`
    sys.path[0] = str(ROOT)
STEPS = ("ingest", "features", "train als", "judge als")


def main() -> None:
    asked = argparse.ArgumentParser(description="Rows per second and memory of the pipeline.")
    asked.add_argument("--sizes", default="1,10,50", help="millions of events")
    asked.add_argument("--folder", type=Path, help="keep the shops here; default: a temporary one")
    asked.add_argument("--json", type=Path)
    asked.add_argument("--step", choices=("synthesize", *STEPS), help=argparse.SUPPRESS)
    asked.add_argument("--customers", type=int, help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.step:
        print(json.dumps(one_step(options.step, options.folder, options.customers)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        found = {
            float(size): measure(root, float(size), keep=options.folder is not None)
            for size in options.sizes.split(",")
        }
    rows = rows_of(found)
    width = max(len(row["case"]) for row in rows)
    print(f"{'case':{width}}  {'ours':>12}  {'other':>12}  {'ratio':>6}  unit, other")
    for row in rows:
        other = "" if row["other"] is None else f"{row['other']:,.1f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(
            f"{row['case']:{width}}  {row['ours']:12,.1f}  {other:>12}  {ratio:>6}  "
            f"{row['unit']}{', ' if row['other_name'] else ''}{row['other_name']}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(root: Path, millions: float, *, keep: bool) -> dict[str, dict[str, float]]:
    """Each step's events, seconds and peak MB, each in a process of its own."""
    folder = root / f"{millions:g}m"
    customers = max(100, round(millions * 1e6 / EVENTS_PER_CUSTOMER))
    found = {step: _apart(step, folder, customers) for step in ("synthesize", *STEPS)}
    if PEER.exists():
        found["polars"] = _polars(folder)
    if not keep:
        shutil.rmtree(folder)
    return found


def rows_of(found: dict[float, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Speed and memory of every size and step, and how time grew from size to size."""
    rows: list[dict[str, Any]] = []
    for size, steps in found.items():
        events = steps["ingest"]["events"]
        for step in STEPS:
            taken = steps[step]
            case = f"{size:g} million events, {step}"
            speed = _row(case, events / taken["seconds"], "rows per second")
            if step == "features" and "polars" in steps:
                other = events / steps["polars"]["seconds"]
                ratio = speed["ours"] / other
                speed |= {"other": other, "other_name": "Polars", "ratio": ratio}
            rows.append(speed)
            rows.append(_row(f"{case}, memory", taken["peak_mb"], "MB", limit=4096))
    sizes = sorted(found)
    for small, large in itertools.pairwise(sizes):
        for step in STEPS:
            grew = found[large][step]["seconds"] / found[small][step]["seconds"]
            data = found[large]["ingest"]["events"] / found[small]["ingest"]["events"]
            row = _row(f"{small:g} to {large:g} million, {step}: time grew", grew, "times")
            rows.append(row | {"other": data, "other_name": "data grew", "ratio": data / grew})
    return rows


def _row(case: str, ours: float, unit: str, limit: float | None = None) -> dict[str, Any]:
    return {
        "case": case,
        "ours": ours,
        "other": limit,
        "other_name": "" if limit is None else "the limit",
        "ratio": None if limit is None else limit / ours,
        "unit": unit,
    }


def _apart(step: str, folder: Path, customers: int) -> dict[str, float]:
    """One step in a process of its own, so that its peak is its own."""
    words = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(
        [*words, "--customers", str(customers)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(f"{folder.name} {step}: {done.stdout.strip()}", file=sys.stderr)
    loaded: dict[str, float] = json.loads(done.stdout)
    return loaded


def _polars(folder: Path) -> dict[str, float]:
    """The feature tables by hand, from the same events."""
    from pipelines.build import last_event
    from pipelines.workspace import Workspace

    tables = Workspace(folder / "workspace").tables
    links = tables.current("identities")
    job = {
        "events": tables.need("events").paths,
        "identities": links.paths[0] if links is not None and links.paths else None,
        "as_of": last_event(tables).isoformat(),
        "out": str(folder / "polars"),
    }
    (folder / "polars").mkdir()
    (folder / "polars.json").write_text(json.dumps(job))
    words = [
        str(PEER),
        str(ROOT / "benchmarks" / "polars_features.py"),
        str(folder / "polars.json"),
    ]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout)
    print(f"{folder.name} polars: {said['seconds']:.3f} s", file=sys.stderr)
    return {"seconds": said["seconds"], "peak_mb": said["peak_rss_mb"]}


def one_step(step: str, folder: Path, customers: int) -> dict[str, float]:
    """Do one step; imports and opening of the workspace are outside the clock."""
    from pipelines import steps
    from pipelines.workspace import Workspace

    Workspace(folder / "workspace").enter()
    shop = folder / "shop"
    if step == "synthesize":
        made = steps.synthesize(shop, customers=customers, seed=0)
        return {"seconds": made["seconds"], "peak_mb": _peak(), "events": 0}
    job = steps.job(
        folder / "workspace",
        mapping="synthetic",
        given=str(shop),
        overrides=("judge.folds=1",),
    )
    work: dict[str, Callable[[], Any]] = {
        "ingest": lambda: steps.take_in(job),
        "features": lambda: steps.build_features(job),
        "train als": lambda: steps.train_models(job, ["als"]),
        "judge als": lambda: steps.judge_models(job, steps.train_models(job, ["als"])),
    }
    if step.endswith("als"):
        job.tracking.experiment("recommendations")
    start = time.perf_counter()
    work[step]()
    seconds = time.perf_counter() - start
    events = job.workspace.tables.need("events").rows
    return {"seconds": round(seconds, 3), "peak_mb": _peak(), "events": events}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
