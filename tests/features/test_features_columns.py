import numpy as np
import pyarrow as pa
import pytest

from features.columns import column, numbers


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32])
def test_numbers_go_to_arrow_and_back(kind: type) -> None:
    values = np.array([[3, 1], [2, 0]], dtype=kind)[:, 0]  # not contiguous
    there = column(values)
    assert there.equals(pa.array(values))
    np.testing.assert_array_equal(numbers(there, null=-1), values, strict=True)
    assert numbers(there, null=-1).flags.writeable


def test_nulls_and_slices_are_minded() -> None:
    found = pa.array([7, None, 5, None], pa.int32()).slice(1)
    assert numbers(found, null=-1).tolist() == [-1, 5, -1]
    assert len(numbers(column(np.array([], dtype=np.int32)), null=-1)) == 0
