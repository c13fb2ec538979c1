import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models import bundle
from models.recommender import Recommender
from pipelines import judge, log, steps
from pipelines.doctor import examine
from pipelines.steps import job
from pipelines.workspace import Workspace

AT = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def fresh(shop: Workspace) -> Workspace:
    """The shop before anything was trained or published: files and tables only."""
    import shutil

    shop.database.unlink()
    shutil.rmtree(shop.artifacts)
    shutil.rmtree(shop.bundles)
    return shop


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a model was fitted and a bundle written."""
    count: Counter[str] = Counter()
    fit, write = Recommender.fit, bundle.write

    def counted_fit(self: Recommender, *arguments: Any, **named: Any) -> Recommender:
        count["fit"] += 1
        return fit(self, *arguments, **named)

    def counted_write(*arguments: Any, **named: Any) -> str:
        count["bundle"] += 1
        return write(*arguments, **named)

    monkeypatch.setattr(Recommender, "fit", counted_fit)
    monkeypatch.setattr(bundle, "write", counted_write)
    return count


def nightly(workspace: Workspace) -> dict[str, Any]:
    from pipelines import flows

    found: dict[str, Any] = flows.nightly(
        workspace=str(workspace.root),
        input=str(next((workspace.root / "synthetic").glob("[0-9]*"))),
    )
    return found


def test_a_night_that_failed_in_judging_goes_on_from_there(
    fresh: Workspace,
    work: Counter[str],
    prefect_server: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> None:
            raise OSError("the disk is full")

        patch.setattr(judge, "summarise", fail)
        with pytest.raises(OSError, match="the disk is full"):
            nightly(fresh)
    # 4 models trained, then 4 on each of 2 folds, by the step and by its one retry
    assert work == {"fit": 4 + 8 + 8}
    work.clear()
    found = nightly(fresh)
    assert work == {"fit": 8, "bundle": 1}
    assert all(one["reused"] for one in found["trained"].values())
    work.clear()
    again = nightly(fresh)
    assert not work
    assert again["published"]["bundle"] == found["published"]["bundle"]
    assert again["published"]["reused"]
    assert len(log.records(fresh.bundles / "log.jsonl")) == 1


KILLED = """
import os, signal, sys
from pipelines import judge, steps, train

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

work = steps.job(sys.argv[1])
if sys.argv[2] == "train":
    log = train._log
    train._log = lambda *a, **k: kill() if len(work.tracking.runs()) > 2 else log(*a, **k)
trained = steps.train_models(work)
judge.backtest = kill
steps.judge_models(work, trained)
"""


def killed(workspace: Workspace, where: str) -> None:
    """Run the steps in a process of their own that is killed in the midst of one."""
    environment = {**os.environ, **workspace.environment()}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace.root), where],
        env={**environment, "PYTHONPATH": str(root)},
        cwd=workspace.root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_training_killed_at_the_third_model_keeps_the_first_two(
    fresh: Workspace, work: Counter[str]
) -> None:
    killed(fresh, "train")
    open_job = job(fresh.root)
    states = Counter(run.status for run in open_job.tracking.runs())
    assert states == {"FINISHED": 2, "RUNNING": 1}
    found = examine(fresh, fix=True, at=AT, shop="synthetic")
    assert "stopped_run" in {one["code"] for one in found}
    assert all(one["mended"] for one in found if one["code"] != "version")
    states = Counter(run.status for run in open_job.tracking.runs())
    assert states == {"FINISHED": 2, "KILLED": 1}
    trained = steps.train_models(open_job)
    assert work == {"fit": 2}
    assert [one["reused"] for one in trained["models"].values()] == [True, True, False, False]


def test_judging_killed_after_training_trains_nothing_again(
    fresh: Workspace, work: Counter[str]
) -> None:
    killed(fresh, "judge")
    open_job = job(fresh.root)
    trained = steps.train_models(open_job)
    assert not work
    judged = steps.judge_models(open_job, trained)
    assert work == {"fit": 8}
    assert judged["reused"] == []
    assert steps.judge_models(open_job, trained)["reused"] == sorted(trained["models"])
    assert work == {"fit": 8}


def test_another_protocol_is_judged_anew_on_the_same_runs(
    shop: Workspace, work: Counter[str]
) -> None:
    one_fold = job(shop.root, overrides=["judge.folds=1"])
    trained = steps.train_models(one_fold)
    assert not work
    judged = steps.judge_models(one_fold, trained)
    assert work == {"fit": 4}
    assert len(judged["folds"]) == 1


def test_another_hyperparameter_trains_that_model_only(shop: Workspace, work: Counter[str]) -> None:
    other = job(shop.root, overrides=["models.als.factors=9"])
    trained = steps.train_models(other)["models"]
    assert {name for name, one in trained.items() if not one["reused"]} == {"als"}
    assert work == {"fit": 1}


def test_a_training_killed_at_its_second_epoch_goes_on_with_the_third(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.networks.checkpoint import Checkpoint

    sets = ["epochs=4", "factors=8", "patience=0", "layers=1"]
    work = job(shop.root, overrides=[f"models.sasrec.{one}" for one in sets])
    kept, save = [], Checkpoint.save
    stop: list[int] = [2]

    def counted(self: Checkpoint, epoch: int, arrays: Any) -> None:
        save(self, epoch, arrays)
        kept.append(epoch)
        if epoch in stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", counted)
    with pytest.raises(KeyboardInterrupt):
        steps.train_models(work, ["sasrec"])
    checkpoints = shop.root / "checkpoints"
    assert len(list(checkpoints.iterdir())) == 1
    stop.clear()
    done = steps.train_models(work, ["sasrec"])["models"]["sasrec"]
    assert kept == [1, 2, 3, 4]
    assert not done["reused"]
    assert not list(checkpoints.iterdir())
