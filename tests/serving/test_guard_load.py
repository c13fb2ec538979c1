"""Load: what is turned away, and that nothing is where a server is only busy for a moment."""

import asyncio
import time

from serving.guard import Load, overloaded
from serving.guard.load import LONG, MANY, SHED
from serving.metrics import Process


def test_so_many_requests_at_once_and_no_more():
    load = Load(2, Process())
    assert [load.enter(0.0) for _ in range(3)] == [True, True, False]
    load.leave()
    assert load.enter(0.0)
    assert (load.process.running, load.process.shed) == (2, 1)


def test_a_request_that_costs_more_counts_as_many_and_is_still_taken_when_nothing_runs():
    load = Load(4, Process())
    assert load.enter(0.0, 10)
    assert not load.enter(0.0)
    load.leave(10)
    assert load.enter(0.0)


def test_a_turn_that_began_many_and_lasts_long_begins_no_more():
    load = Load(1000, Process())
    load.tick(0.0)
    for at in range(MANY + 20):
        now = LONG * 2 * at / (MANY + 20)
        taken = load.enter(now)
        assert taken == (at < MANY or now <= LONG)
        if taken:
            load.leave()
    load.tick(1.0)
    assert load.enter(1.0), "the next turn begins anew"


def test_one_long_pause_turns_nobody_away():
    load = Load(1000, Process())
    load.tick(0.0)
    assert all(load.enter(10.0) for _ in range(MANY))


def test_a_server_whose_loop_is_not_watched_only_counts():
    load = Load(1000, Process())
    assert all(load.enter(1e9) for _ in range(MANY * 2))


def test_the_watch_says_how_late_the_loop_is():
    load = Load(8, Process())

    async def main():
        watching = asyncio.create_task(load.ticking())
        await asyncio.sleep(0.03)
        time.sleep(0.1)
        await asyncio.sleep(0.03)
        watching.cancel()

    asyncio.run(main())
    assert load.process.lag > 0.05


def test_a_crowd_turned_away_is_one_line_of_the_log(caplog):
    load = Load(1, Process())

    async def main():
        watching = asyncio.create_task(load.ticking())
        await asyncio.sleep(0)
        load.enter(0.0)
        for _ in range(5):
            load.enter(0.0)
            await asyncio.sleep(0.02)
        watching.cancel()

    asyncio.run(main())
    assert caplog.text.count("too much to do") == 1


def test_who_is_turned_away_is_told_when_to_come_again():
    refused = overloaded()
    assert (refused.status, refused.headers) == (503, {"retry-after": "1"})
    assert (b"retry-after", b"1") in SHED.headers
    assert (b"content-length", str(len(SHED.body)).encode()) in SHED.headers
    assert refused.detail.encode() in SHED.body
