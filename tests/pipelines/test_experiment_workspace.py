"""A shop's own server and tables are what its tests are read from, unless files are given."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.schemas import EVENTS, IDENTITIES
from features.tables import Tables
from serving.trials.exposures import Exposures
from serving.trials.plans import read

START = datetime(2026, 3, 1, tzinfo=UTC)
DONE = (START + timedelta(days=22)).isoformat()
SHOP = """[shop]
name = "ours"
[ingest]
mapping = "synthetic"
[experiments.home]
arms = { old = 0.5, new = 0.5 }
start = 2026-03-01T00:00:00Z
end = 2026-03-15T00:00:00Z
horizon_days = 7
surfaces = ["home"]
serve = { new = { bundle = "candidate" } }
[experiments.later]
arms = { old = 0.5, new = 0.5 }
start = 2100-03-01T00:00:00Z
layer = "other"
[experiments.endless]
arms = { old = 0.5, new = 0.5 }
start = 2020-03-01T00:00:00Z
surfaces = ["cart"]
"""
CUSTOMERS = 1_200


def serve(folder: Path) -> dict[str, str]:
    """Log an answer to each customer as the server does; gives the arms."""
    import tomllib

    plans, log = read(tomllib.loads(SHOP)), Exposures(folder)
    arms = {}
    for n in range(CUSTOMERS):
        now = (START + timedelta(days=14 * n / CUSTOMERS)).timestamp()
        assigned = plans.assigned(f"c{n}", "home", now)
        (arms[f"c{n}"],) = (one.arm for one in assigned)
        log.add(f"r{n}", now, f"c{n}", None, "home", "web", assigned, ["p", "q"], None, None, "als")
    log.add("x", now, "guest", None, "cart", "web", (), ["p"], None, None, "als")
    log.close()
    return arms


def ingest(root: Path, arms: dict[str, str]) -> None:
    """Each other customer's purchases were made at the till, with her card."""
    rng = np.random.default_rng(1)
    rows = []
    for n, (customer, arm) in enumerate(arms.items()):
        shown = START + timedelta(days=14 * n / CUSTOMERS)
        for _ in range(rng.poisson(0.8 if arm == "new" else 0.4)):
            rows.append(
                {
                    "event_id": f"e{len(rows)}", "event_type": "purchase", "product_id": "p",
                    "event_time": shown + timedelta(days=float(rng.uniform(0.01, 6))),
                    "channel": "store" if n % 2 else "web", "quantity": 1.0, "unit_price": 5.0,
                    "customer_id": f"card:{n}" if n % 2 else customer, "source": "till",
                    "source_row": len(rows), "order_id": f"o{len(rows)}",
                    "request_id": None if n % 2 else f"r{n}",
                }
            )  # fmt: skip
    links = [
        {"kind": "card", "value": str(n), "customer_id": f"c{n}"} for n in range(1, CUSTOMERS, 2)
    ]
    tables = Tables(root / "tables")
    for name, some, schema in (("events", rows, EVENTS), ("identities", links, IDENTITIES)):
        part = tables.write(name, pa.Table.from_pylist(some, schema))
        tables.commit(name, "first", [part])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "shop.toml").write_text(SHOP, "utf-8")
    return tmp_path


def told(run_command: Any, *words: object) -> Any:
    result = run_command(*words)
    assert result.exit_code == 0, result.output
    return result


def test_the_report_reads_the_servers_folder_and_the_ingested_events(
    workspace: Path, run_command: Any
) -> None:
    arms = serve(workspace / "exposures")
    ingest(workspace, arms)
    words = ["experiment", "report", "home", "--workspace", workspace, "--as-of", DONE]
    result = told(run_command, *words, "--json", workspace / "out.json")
    assert "Ship new." in result.stdout
    record = json.loads((workspace / "out.json").read_text())
    assert record["findings"] == []
    assert all(check["holds"] is not False for check in record["checks"])
    bought = pq.read_table(Tables(workspace / "tables").need("events").paths[0])
    names = [name or "" for name in bought["customer_id"].to_pylist()]
    hers = {f"c{name[5:]}" if name.startswith("card:") else name for name in names}
    (row,) = [one for one in record["effects"] if one["measure"] == "conversion"]
    for arm, mean in (("old", row["control"]), ("new", row["treated"])):
        mine = [customer for customer, one in arms.items() if one == arm]
        assert mean == pytest.approx(sum(one in hers for one in mine) / len(mine))
    given = ["--exposures", workspace / "exposures", "--json", workspace / "again.json"]
    told(run_command, *words, *given)
    assert json.loads((workspace / "again.json").read_text()) == record


def test_declared_tests_are_listed_with_their_state_and_units(
    workspace: Path, run_command: Any
) -> None:
    words = ["experiment", "list", "--workspace", workspace]
    before = told(run_command, *words)
    assert [line.split()[:2] for line in before.stdout.splitlines() if "-03-01" in line] == [
        ["home", "ended"],
        ["later", "planned"],
        ["endless", "running"],
    ]
    arms = serve(workspace / "exposures")
    told(run_command, *words, "--json", workspace / "out.json")
    home, later, endless = json.loads((workspace / "out.json").read_text())
    assert home["units"] == CUSTOMERS
    assert home["arms"] == {arm: list(arms.values()).count(arm) for arm in ("old", "new")}
    assert later["units"] == endless["units"] == 0
    assert endless["surfaces"] == ["cart"]
    (workspace / "shop.toml").write_text(SHOP.split("[experiments")[0])
    assert "no test is declared" in told(run_command, *words).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no exposures in"),
        (["--exposures", "{}/exposures"], "no table events"),
        (["--outcomes", "{}/gone.parquet"], "no exposures in"),
    ],
)
def test_what_is_missing_is_told(
    words: list[str], said: str, workspace: Path, run_command: Any
) -> None:
    if "--exposures" in words:
        serve(workspace / "exposures")
    words = [word.format(workspace) for word in words]
    for command in ("report", "interleaved"):
        result = run_command("experiment", command, "home", *words, "--workspace", workspace)
        assert result.exit_code == 1
        assert said in re.sub(r"\s+", " ", result.stderr)


def test_every_command_has_help_with_an_example(run_command: Any) -> None:
    for words in (["report"], ["interleaved"], ["list"]):
        said = re.sub(r"\s+", " ", told(run_command, "experiment", *words, "--help").stdout)
        assert f"Example: regulars experiment {words[0]}" in said
