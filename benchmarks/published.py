"""A public data set in, the figures that papers printed and those of our models beside them out.

    python benchmarks/published.py gowalla [--model NAME] [--json FILE] [--log DIR]

One module of benchmarks/protocols is one data set. Hyperparameters: configs/DATA-NAME.toml, chosen
on a validation part of the training data. Each model runs in a process of its own, so that its
peak memory is its own. Data: $REGULARS_DATA. --log: each model as a run of MLflow in that folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # else features.py here would be the package `features`
    sys.path[0] = str(ROOT)

from benchmarks.protocols.rows import Absent, Row, model, name_of  # noqa: E402
from models.scorer import parameters  # noqa: E402

SETS = ("gowalla", "beauty", "tafeng", "retailrocket", "online-retail-ii", "hillstrom", "cdnow")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=SETS)
    parser.add_argument("--model", help="only configs/DATA-MODEL.toml")
    parser.add_argument("--config", type=Path, help="only this file, in this process")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--log", type=Path, metavar="DIR", help="log to MLflow in this folder")
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="hillstrom: scikit-uplift's")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    try:
        if given.data == "hillstrom":  # no ranking: no configuration
            from benchmarks.protocols import hillstrom

            return hillstrom.show(given.peers, given.json)
        if given.data == "cdnow":
            from benchmarks.protocols import cdnow

            return cdnow.show(given.json)
        configs = [given.config] if given.config else found(given.data, given.model)
        for config in configs:
            of = run(given.data, config) if given.config else alone(given.data, config)
            for line in lines(of):
                print(line, flush=True)
            rows += of
            if given.log:
                log(given.log, config, of)
            if given.json:
                given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except Absent as error:
        parser.error(str(error))


def found(data: str, name: str | None) -> list[Path]:
    """The configurations of a data set, or the one of a name."""
    configs = sorted((ROOT / "configs").glob(f"{data}-*.toml"))
    names = [name_of(config, data) for config in configs]
    if name is None and configs:
        return configs
    if name not in names:
        raise Absent(
            f"configs must hold {data}-{name or '*'}.toml, got for {data}: "
            f"{', '.join(names) or 'none'}"
        )
    return [configs[names.index(name)]]


def run(data: str, config: Path) -> list[Row]:
    """The rows of one model, by the protocol of its data set."""
    name = f"benchmarks.protocols.{data.replace('-', '_')}"
    try:
        protocol = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise Absent(f"{data} must have a protocol, got no module {name}") from error
    rows: list[Row] = protocol.run(config)
    return rows


def alone(data: str, config: Path) -> list[Row]:
    """The same from a process of its own; ends this one where that one fails."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "rows.json"
        command = [sys.executable, __file__, data, "--config", str(config), "--json", str(into)]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path}
        code = subprocess.run(command, stdout=subprocess.DEVNULL, env=env).returncode
        if code:
            raise SystemExit(code)  # it has said why
        rows: list[Row] = json.loads(into.read_text(encoding="utf-8"))
    return rows


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A row as a line to read; where nobody printed a figure, ours stands alone."""
    for row in rows:
        printed = row.get("published")
        beside = " " * 26
        if printed is not None and not math.isnan(printed):
            beside = f"published {printed:.4f} ({row['value'] / printed:6.1%})"
        yield (
            f"{row['data']:12} {row['model']:14} {row['metric']:20} {row['value']:8.4f} {beside} "
            f"{row['seconds']:8.1f} s {row['peak_rss_mb']:7,} MB  {row['source']}"
        )


def log(folder: Path, config: Path, rows: Sequence[Row]) -> None:
    """A run of the experiment published-DATA for each name in the rows, with what was measured."""
    if not rows:
        return
    os.environ["DO_NOT_TRACK"] = "true"  # MLflow's telemetry
    import mlflow
    from mlflow.entities import Metric, Param

    folder.mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(f"sqlite:///{(folder / 'mlflow.db').resolve()}")
    experiment = f"published-{rows[0]['data']}"
    known = client.get_experiment_by_name(experiment)
    place = (folder / "artifacts").resolve().as_uri()
    number = known.experiment_id if known else client.create_experiment(experiment, place)
    scorer, now = model(config), time.time_ns() // 1_000_000
    said = [("kind", scorer.kind), *parameters(scorer).items()]
    for name in dict.fromkeys(row["model"] for row in rows):
        figures: dict[str, float] = {}
        for row in (row for row in rows if row["model"] == name):
            figures |= {of: row[of] for of in ("seconds", "peak_rss_mb")}
            figures[row["metric"]] = row["value"]
            if row.get("published") is not None:
                figures[f"published_{row['metric']}"] = row["published"]
        run = client.create_run(number, run_name=name).info.run_id
        metrics = [Metric(of, float(value), now, 0) for of, value in figures.items()]
        client.log_batch(run, metrics, [Param(of, str(value)) for of, value in said])
        client.set_terminated(run)


if __name__ == "__main__":
    main()
