import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundling import rows
from models.bundling.rows import RowOf, slots


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True), st.text())
def test_a_row_is_what_a_dict_says(ids, asked):
    column = pa.array(ids, pa.string())
    row_of, said = RowOf(slots(column), column), {id: row for row, id in enumerate(ids)}
    for id in [*ids, *ids, asked, asked + "x"]:
        assert row_of.get(id) == said.get(id)
        assert row_of.get(id, -1) == said.get(id, -1)
        assert (id in row_of) == (id in said)
    assert len(row_of) == len(ids)


def test_ids_whose_hashes_collide_stand_one_behind_the_other(monkeypatch):
    monkeypatch.setattr(rows, "_hash", lambda _: 7)
    column = pa.array([f"c{i}" for i in range(5)])
    table = slots(column)
    assert len(table) == 16
    row_of = RowOf(table, column)
    assert [row_of.get(f"c{i}") for i in range(6)] == [0, 1, 2, 3, 4, None]


def test_rows_of_a_slice_are_of_the_slice():
    column = pa.array(["gone", "ann", "bob"]).slice(1)
    assert RowOf(slots(column), column).get("bob") == 1


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(rows, "KEPT", 2)
    column = pa.array(["ann", "bob", "eve"])
    row_of = RowOf(slots(column), column)
    assert [row_of.get(id) for id in ("ann", "bob", "eve", "ann", "bob")] == [0, 1, 2, 0, 1]
    assert len(row_of._kept) <= 2


def test_half_a_character_is_unknown():
    column = pa.array(["ann"])
    assert RowOf(slots(column), column).get("\ud800", -1) == -1


@pytest.mark.parametrize(
    "table", [[], [0, 1], [0, 1, -1], [0, 0, -1, -1], [0, 1, -2, -1], [0, 2, -1, -1]]
)
def test_a_table_that_is_not_of_these_ids_is_refused(table):
    with pytest.raises(ValueError, match="not those of 2 customers"):
        RowOf(np.array(table, np.int32), pa.array(["ann", "bob"]))
