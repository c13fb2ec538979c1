import time

import psutil

from pipelines.memory import EVERY, watched


def test_the_most_memory_held_meanwhile_is_seen_and_later_work_does_not_bear_it() -> None:
    before = psutil.Process().memory_info().rss / 1e6
    with watched() as large:
        held = bytearray(b"x" * 100_000_000)
        time.sleep(4 * EVERY)
        del held
    with watched() as small:
        pass
    assert large["peak_mb"] > before + 90
    assert small["peak_mb"] < large["peak_mb"] - 50
