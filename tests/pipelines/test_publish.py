from datetime import UTC, datetime
from typing import Any

import pytest

from features.artifact import pointed
from pipelines import log, publish
from pipelines.registry import RegistryError
from pipelines.steps import job
from pipelines.tracking import Tracking
from pipelines.workspace import Workspace

AT = datetime(2026, 2, 1, tzinfo=UTC)
WHY = "read its lists"


def state(workspace: Workspace, tracking: Tracking) -> tuple[str | None, str | None, str]:
    """What pointer, champion and log each call the version that serves."""
    bundle = pointed(workspace.bundles / "current")
    by_bundle = {v.tags.get(publish.BUNDLE): v.number for v in tracking.registry.versions()}
    champion = tracking.registry.alias(publish.CHAMPION)
    last = log.records(workspace.bundles / "log.jsonl")[-1]
    return by_bundle.get(bundle), champion.number if champion else None, last["version"]


@pytest.fixture
def published(shop: Workspace) -> tuple[Workspace, Tracking, str]:
    """The shop with a second version, of another model that the gate holds, as candidate."""
    work = job(shop.root)
    first = work.tracking.registry.alias(publish.CHAMPION)
    assert first is not None
    run = next(r for r in work.tracking.runs() if r.id != first.run_id)
    made = publish.run(shop, work.shop, work.tracking, run_id=run.id)
    return shop, work.tracking, made["version"]


def test_a_candidate_does_not_serve_before_it_is_promoted(
    published: tuple[Workspace, Tracking, str],
) -> None:
    workspace, tracking, version = published
    candidate = tracking.registry.alias(publish.CANDIDATE)
    assert candidate is not None
    assert candidate.number == version == "2"
    assert state(workspace, tracking) == ("1", "1", "1")


def test_promote_and_rollback_move_pointer_alias_and_log_together(
    published: tuple[Workspace, Tracking, str],
) -> None:
    workspace, tracking, _ = published
    record = publish.promote(workspace, tracking, at=AT, why=WHY, override=True)
    assert (record["action"], record["why"]) == ("promote", "read its lists")
    assert state(workspace, tracking) == ("2", "2", "2")
    assert tracking.registry.alias(publish.CANDIDATE) is None
    publish.rollback(workspace, tracking, at=AT)
    assert state(workspace, tracking) == ("1", "1", "1")
    with pytest.raises(publish.PublishError, match="version 1 is the first"):
        publish.rollback(workspace, tracking, at=AT)
    publish.promote(workspace, tracking, at=AT, version="2", why=WHY, override=True)
    assert state(workspace, tracking) == ("2", "2", "2")
    actions = [record["action"] for record in log.records(workspace.bundles / "log.jsonl")]
    assert actions == ["promote", "promote", "rollback", "promote"]


@pytest.mark.parametrize("broken", ["point", "tag_version", "name_version", "forget_name"])
def test_a_promotion_cut_short_anywhere_is_finished_by_repeating_it(
    published: tuple[Workspace, Tracking, str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    workspace, tracking, _ = published

    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = publish if broken == "point" else type(tracking.registry)
        patch.setattr(target, broken, cut)
        with pytest.raises(KeyboardInterrupt):
            publish.promote(workspace, tracking, at=AT, why=WHY, override=True)
    publish.promote(workspace, tracking, at=AT)
    assert state(workspace, tracking) == ("2", "2", "2")
    assert len(log.records(workspace.bundles / "log.jsonl")) == 2


def test_promoting_what_serves_adds_no_record(ran: Any, shop: Workspace) -> None:
    tracking = job(shop.root).tracking
    publish.promote(shop, tracking, at=AT, version="1")
    assert len(log.records(shop.bundles / "log.jsonl")) == 1


def test_a_damaged_bundle_is_not_promoted_and_nothing_moves(
    published: tuple[Workspace, Tracking, str],
) -> None:
    workspace, tracking, version = published
    bundle = tracking.registry.version(version).tags[publish.BUNDLE]
    (workspace.bundles / bundle / "popular.npy").write_bytes(b"")
    with pytest.raises(publish.PublishError, match=r"version 2 cannot serve: .*popular\.npy"):
        publish.promote(workspace, tracking, at=AT)
    assert state(workspace, tracking) == ("1", "1", "1")


def test_a_version_that_does_not_exist_is_named(shop: Workspace) -> None:
    with pytest.raises(RegistryError, match="synthetic has no version 9"):
        publish.promote(shop, job(shop.root).tracking, at=AT, version="9")


def test_publishing_a_run_again_finds_its_version_and_bundle(shop: Workspace) -> None:
    work = job(shop.root)
    first = work.tracking.registry.alias(publish.CHAMPION)
    assert first is not None
    assert first.run_id is not None
    again = publish.run(shop, work.shop, work.tracking, run_id=first.run_id)
    assert (again["version"], again["reused"]) == ("1", True)
    assert len(work.tracking.registry.versions()) == 1


def test_a_lost_bundle_is_made_again_with_the_same_id(shop: Workspace) -> None:
    import shutil

    work = job(shop.root)
    first = work.tracking.registry.alias(publish.CHAMPION)
    assert first is not None
    assert first.run_id is not None
    before = first.tags[publish.BUNDLE]
    shutil.rmtree(shop.bundles / before)
    again = publish.run(shop, work.shop, work.tracking, run_id=first.run_id)
    assert (again["bundle"], again["reused"]) == (before, False)
    assert publish.sound(shop, before) is None


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("p1", None),
        ("p1 p2", "1"),
        ("p1 p2 p3 r2", "1"),
        ("p1 p2 r1", None),
        ("p1 p2 r1 p3", "1"),
        ("p1 p2 p1", "2"),
    ],
)
def test_the_version_before_is_the_one_that_served_then(history: str, expected: str | None) -> None:
    records = [
        {"action": "promote" if word[0] == "p" else "rollback", "version": word[1]}
        for word in history.split()
    ]
    assert publish.before(records) == expected
