from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.artifact import Damaged, Missing
from features.ids import IdMap, UnknownId

ids = st.lists(st.text(max_size=3), unique=True, max_size=30)


def test_codes_are_the_places_of_sorted_distinct_ids() -> None:
    known = IdMap.of(pa.array(["b", "a", None, "b", "c"]))
    assert known.ids.to_pylist() == ["a", "b", "c"]
    assert known.codes(["c", "a", "z", "a"]).tolist() == [2, 0, -1, 0]
    assert known.codes(["c"]).dtype == np.int32
    assert (known.code("b"), known.code("z"), len(known), "a" in known) == (1, -1, 3, True)


@given(st.lists(st.text(max_size=2)))
def test_the_order_of_rows_does_not_matter(rows: list[str]) -> None:
    assert IdMap.of(rows) == IdMap.of(rows[::-1])


@given(ids, ids)
def test_an_extended_map_keeps_every_code(old: list[str], new: list[str]) -> None:
    before = IdMap(old)
    after = before.extended(new)
    assert after.codes(old).tolist() == list(range(len(old)))
    assert set(after.ids.to_pylist()) == set(old) | set(new)


@given(ids, st.lists(st.text(max_size=3) | st.none(), max_size=40))
def test_a_batch_agrees_with_single_lookups(known: list[str], asked: list[str | None]) -> None:
    places = IdMap(known)
    want = [-1 if id is None else places.code(id) for id in asked]
    assert places.codes(pa.array(asked, pa.string())).tolist() == want


def test_a_few_of_many_ids_are_found_like_all_of_them() -> None:
    many = IdMap([f"c{n:04d}" for n in range(2000)])
    some = pa.array(["c0007", None, "x", "c1999"])
    assert many.codes(some).tolist() == [7, -1, -1, 1999]
    assert many.codes(many.ids).tolist() == list(range(2000))


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()]
)
def test_every_kind_of_string_column_is_taken(kind: pa.DataType) -> None:
    column = pa.array(["b", "a", None]).cast(kind)
    assert IdMap(["a", "b"]).codes(column).tolist() == [1, 0, -1]
    assert IdMap(["a", "b"]).codes(pa.chunked_array([column, column])).tolist() == [1, 0, -1] * 2


def test_no_ids_give_no_codes() -> None:
    assert IdMap(["a"]).codes(pa.array([])).tolist() == []
    assert IdMap([]).codes(["a"]).tolist() == [-1]
    assert IdMap(["a"]).codes(pa.chunked_array([], pa.string())).tolist() == []


def test_codes_go_back_to_ids() -> None:
    assert IdMap(["b", "a"]).take(np.array([1, 1, 0])).to_pylist() == ["a", "a", "b"]


def test_ids_must_be_strings_distinct_and_known() -> None:
    with pytest.raises(TypeError, match="ids must be strings, got int64"):
        IdMap(["a"]).codes(pa.array([1]))
    with pytest.raises(TypeError, match="got the string 'abc'"):
        IdMap(["a"]).codes("abc")
    with pytest.raises(ValueError, match="ids must be distinct, got 1 repeated of 2"):
        IdMap(["a", "a"])
    with pytest.raises(ValueError, match="ids must not be null, got 1 nulls"):
        IdMap(pa.array(["a", None]))
    with pytest.raises(UnknownId, match=r"got 2 unknown such as \['x', 'y'\]"):
        IdMap(["a"]).codes(["x", "a", "y"], unknown="raise")


def test_saved_ids_come_back(tmp_path: Path) -> None:
    for known in (IdMap(["b", "", "ä"]), IdMap([])):
        path = tmp_path / f"{len(known)}.arrow"
        known.save(path)
        assert IdMap.load(path) == known


def test_a_damaged_or_missing_file_of_ids_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no ids in .*gone\.arrow"):
        IdMap.load(tmp_path / "gone.arrow")
    (tmp_path / "bad.arrow").write_bytes(b"not arrow, but long enough to be looked at")
    with pytest.raises(Damaged, match=r"bad\.arrow"):
        IdMap.load(tmp_path / "bad.arrow")
