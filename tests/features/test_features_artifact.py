"""Artifacts verified in the background."""

from pathlib import Path

import pytest

from features.artifact import Damaged, Missing, begin, checking, staged, verify


def test_what_was_begun_is_found_once_and_then_looked_at_anew(tmp_path: Path) -> None:
    with staged(tmp_path / "one", {"name": "one"}) as beside:
        (beside / "a.txt").write_text("good")
    begin(tmp_path / "one")
    assert verify(tmp_path / "one")["name"] == "one"
    (tmp_path / "one" / "a.txt").write_text("evil")
    with pytest.raises(Damaged, match=r"a\.txt is not what"):
        verify(tmp_path / "one")
    begin(tmp_path / "one")
    with pytest.raises(Damaged, match=r"a\.txt is not what"):
        verify(tmp_path / "one")


def test_what_is_not_there_is_missing_when_it_is_asked_for(tmp_path: Path) -> None:
    begin(tmp_path / "none")
    with pytest.raises(Missing):
        verify(tmp_path / "none")


def test_what_is_waited_for_later_is_damaged_later_and_stays_so(tmp_path: Path) -> None:
    with staged(tmp_path / "one", {"name": "one"}) as beside:
        (beside / "small.txt").write_text("good")
        (beside / "large.txt").write_text("good" * 1000)
    (tmp_path / "one" / "large.txt").write_text("evil" * 1000)
    found = checking(tmp_path / "one")
    assert found.wait(but={"large.txt"})["name"] == "one"
    for _ in range(2):
        with pytest.raises(Damaged, match=r"large\.txt is not what"):
            found.wait()
    with pytest.raises(Damaged):
        found.wait(but={"large.txt"})  # what is known to be damaged is so for everybody
