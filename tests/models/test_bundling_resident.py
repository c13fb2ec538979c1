"""Pages that are asked for at once, and nothing else about the arrays."""

import numpy as np
import pyarrow as pa

from models.bundling.files import open_array, save_array
from models.bundling.resident import resident


def faults() -> int:
    """Minor page faults of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_what_is_resident_is_read_without_a_fault_a_page(tmp_path):
    save_array(tmp_path / "x.npy", np.ones((4000, 1024), np.float32))  # 16 MB, 4,000 pages
    array = open_array(tmp_path / "x.npy")
    resident([array])
    before = faults()
    assert array[::1].sum() == array.size
    assert faults() - before < 100


def test_empty_and_plain_arrays_and_columns_stay_as_they_are():
    empty, plain, column = np.empty((0, 3), np.int32), np.arange(5), pa.array(["a", None, "b"])
    resident([empty, plain], [column, pa.nulls(0, pa.string())])
    assert plain.tolist() == [0, 1, 2, 3, 4]
    assert column.to_pylist() == ["a", None, "b"]
