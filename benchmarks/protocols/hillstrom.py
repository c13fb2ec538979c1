"""Hillstrom's randomised e-mail test: uplift models in, Qini and uplift@30% an e-mail arm out.

Kevin Hillstrom's MineThatData challenge (2008): 64,000 customers in thirds, an e-mail of men's
goods, one of women's, none. Target: a visit within two weeks. Each arm is held against no e-mail;
every customer is scored by a model that has not seen her: FOLDS random parts, drawn within arm and
outcome by SEED. All models get the same parts and are judged by the same lines; intervals are
bootstraps over the customers of both arms. No protocol with figures per arm was published; so the
beside is scikit-uplift's every learner over trees and over a logistic regression, of which the best
on the test is shown, an advantage that ours does not have: it is chosen within its training part.

    python benchmarks/published.py hillstrom [--peers PYTHON] [--json FILE]
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.rows import ROOT, Printed, Row, read, rows
from models.evaluation.intervals import numbers
from models.evaluation.uplift import judge
from models.uplift import Uplift

ARMS = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
CONTROL = "No E-Mail"
FOLDS, SEED, RESAMPLES = 3, 0, 500
NUMBERS = ("recency", "history", "mens", "womens", "newbie")
WORDS = ("zip_code", "channel")
PEERS = ROOT / ".peers-uplift" / "bin" / "python"
WHOLE = {"visit": 0.14678, "conversion": 0.00903, "spend": 1.05091}
HELD = "MineThatData 2008"
Floats = npt.NDArray[np.float64]


def run(peers: Path | None = None) -> Iterator[list[Row]]:
    """What holds of the file, then each arm: ours, and the library's where it is installed."""
    table = read("hillstrom.parquet")
    began = time.perf_counter()
    means = {name: float(pc.mean(table[name]).as_py()) for name in WHOLE}
    held = {name: Printed(value, HELD) for name, value in WHOLE.items()}
    yield _rows("the file", means, began, held)
    for arm, segment in ARMS.items():
        both = table.filter(pc.is_in(table["segment"], value_set=pa.array([segment, CONTROL])))
        known, outcome = features(both), numbers(both["visit"])
        contacted = numbers(pc.equal(both["segment"], segment).cast(pa.int8()))
        part = parts(contacted, outcome)
        began = time.perf_counter()
        scores, chosen = ours(known, contacted, outcome, part)
        yield _rows(f"{arm}: {'/'.join(chosen)}", judged(scores, contacted, outcome), began)
        if peers is not None:
            began = time.perf_counter()
            theirs = _peers(peers, known, contacted, outcome, part)
            found = {name: judged(one, contacted, outcome) for name, one in theirs.items()}
            best = max(found, key=lambda name: found[name]["qini"])
            yield _rows(f"{arm}: scikit-uplift {best}, best of {len(found)}", found[best], began)


def features(table: pa.Table) -> Floats:
    """(n, 11): numbers as they are, each word of zip code and channel as a column of 0 and 1."""
    columns = [numbers(table[name].cast(pa.float64())) for name in NUMBERS]
    for name in WORDS:
        words = sorted(table[name].cast(pa.string()).unique().to_pylist())
        columns += [
            numbers(pc.equal(table[name].cast(pa.string()), word).cast(pa.int8())) for word in words
        ]
    return np.stack(columns, axis=1)


def parts(contacted: Floats, outcome: Floats) -> npt.NDArray[np.intp]:
    """(n,): the part of each customer, drawn within arm and outcome."""
    order = np.lexsort((np.random.default_rng(SEED).random(len(outcome)), outcome, contacted))
    part = np.empty(len(outcome), np.intp)
    part[order] = np.arange(len(outcome)) % FOLDS
    return part


def ours(
    known: Floats, contacted: Floats, outcome: Floats, part: npt.NDArray[np.intp]
) -> tuple[Floats, list[str]]:
    """Scores of `models.uplift`, and which learners it chose, one a part."""
    scores, chosen = np.empty(len(outcome)), set()
    for one in range(FOLDS):
        inside = part != one
        model = Uplift(folds=3, seed=SEED).fit(known[inside], contacted[inside], outcome[inside])
        scores[~inside] = model.change(known[~inside])
        chosen.add(str(model.chosen))
    return scores, sorted(chosen)


def judged(scores: Floats, contacted: Floats, outcome: Floats) -> dict[str, Any]:
    """The figures by name, an interval's ends as `NAME low` and `NAME high`."""
    found = judge(scores, contacted, outcome, seed=SEED, shares=(0.3,), resamples=RESAMPLES)
    every = {
        "qini": found.qini,
        "uplift_at_30_percent": found.at[0.3],
        "auuc": found.auuc,
        "effect": found.effect,
    }
    return {
        f"{name}{end}": value
        for name, one in every.items()
        for end, value in (("", one.mean), (" low", one.low), (" high", one.high))
    }


def _peers(
    python: Path, known: Floats, contacted: Floats, outcome: Floats, part: npt.NDArray[np.intp]
) -> dict[str, Floats]:
    """Scores of every learner of scikit-uplift, from an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        np.savez(given, known=known, contacted=contacted, outcome=outcome, part=part)
        script = Path(__file__).with_name("hillstrom_peers.py")
        subprocess.run([str(python), str(script), str(given), str(made)], check=True)
        with np.load(made) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _rows(
    name: str, figures: dict[str, Any], began: float, held: dict[str, Printed] | None = None
) -> list[Row]:
    seconds = time.perf_counter() - began
    plain = {key: value for key, value in figures.items() if not key.endswith((" low", " high"))}
    made = rows("hillstrom", name, plain, held or {}, seconds=seconds, fit_seconds=seconds)
    for row in made:
        row["low"] = figures.get(f"{row['metric']} low")
        row["high"] = figures.get(f"{row['metric']} high")
    return made


def line(row: Row) -> str:
    """A row to read: the figure with its interval, or beside what was published."""
    beside = ""
    if row["low"] is not None and not math.isnan(row["low"]):
        beside = f"{row['low']:8.4f} to {row['high']:7.4f}"
    elif row["published"] is not None:
        beside = f"published {row['published']:.5f} ({row['source']})"
    return (
        f"hillstrom {row['model']:58} {row['metric']:21} {row['value']:8.4f}  {beside:30} "
        f"{row['seconds']:6.1f} s {row['peak_rss_mb']:6,} MB"
    )


def show(peers: Path | None, into: Path | None) -> None:
    """Print every row as it is known; at the end write them as JSON where wanted."""
    peers = peers or (PEERS if PEERS.exists() else None)
    if peers is None:
        print("no scikit-uplift beside: `make peers`, or --peers PYTHON", flush=True)
    every: list[Row] = []
    for some in run(peers):
        every += some
        for row in some:
            print(line(row), flush=True)
    if into is not None:
        into.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
