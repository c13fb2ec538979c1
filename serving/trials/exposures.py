"""Exposures: what each answer showed in, parquet files that reports and replays read out.

An answer costs one line of JSON and its place in a queue: a thread that made the lines would take
the interpreter from the answers for far longer than that. The thread takes the queue to a journal,
flushed to the disk several times a second, and turns journals to parquet: of so many answers, after
so many seconds, at the end, and at the next start where there was no end.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.trials.journal import ENDING, Journal, Line, Test, left
from serving.trials.plans import INTERLEAVED, Assigned

log = logging.getLogger("regulars")

MOST = 100_000  # answers that wait for the disk; what comes then is dropped and counted
AT_ONCE = 4_096  # answers between two calls of fdatasync
BUSY = 1_000.0  # answers a second from which on a journal is turned later,
MUCH = 5  # unless it is so many times as long or as old as it should be

_encode = msgspec.json.Encoder().encode


class Exposures:
    """The log of one shop and process; `start` it, and `close` it in the end.

    written: answers on the disk. torn: lines that a kill left half, found at a start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int = MOST,
        answers: int = 100_000,
        seconds: float = 300.0,
        every: float = 0.2,
    ) -> None:
        """answers, seconds: of one journal, before it is turned. every: seconds between flushes."""
        self.folder, self.most, self.answers, self.seconds = folder, most, answers, seconds
        self.every = every
        self.written = self.torn = 0
        self._queue: deque[bytes] = deque()
        self._overflown = self._refused = 0
        self._journal: Journal | None = None
        self._opened = self._flushed = -math.inf
        self._faults: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)

    @property
    def waiting(self) -> int:
        """Answers that wait for the disk."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Answers that are lost: the queue was full, the disk in the end, or they are no text."""
        return self._overflown + self._refused

    @property
    def reason(self) -> str | None:
        """Why answers wait, or journals; None where all is well."""
        return next(iter(self._faults.values()), None)

    def add(
        self,
        request_id: str,
        at: float,
        customer_id: str | None,
        unit: str | None,
        surface: str,
        channel: str,
        assigned: Sequence[Assigned],
        product_ids: Sequence[str],
        propensities: Sequence[float] | None,
        given_above: Sequence[float] | None,
        model: str | Sequence[str],
        teams: Sequence[str] | None = None,
    ) -> None:
        """One answer; what is no text, such as half a surrogate pair, counts as dropped.

        at: unix seconds. unit: None where it is the customer_id. propensities, given_above: a
        chance a product, None where unknown. model: of all products, or one a product. teams: where
        a test is interleaved, the arm that picked each product.
        """
        if len(self._queue) >= self.most:
            self._overflown += 1
            return
        tests: Sequence[Assigned | Test] = assigned
        if teams:
            teams = teams if any(test.arm == INTERLEAVED for test in assigned) else None
            tests = [
                Test(test.experiment, None if test.arm == INTERLEAVED else test.arm)
                for test in assigned
            ]
        one, several = (model, None) if isinstance(model, str) else (None, model)
        try:
            at_micro = round(at * 1e6)
            line = Line(
                request_id, at_micro, customer_id, unit, surface, channel, tests, product_ids,
                propensities, given_above, one, several, teams,
            )  # fmt: skip
            self._queue.append(_encode(line))
        except (ValueError, TypeError, OverflowError):
            self._refused += 1

    def start(self) -> None:
        """Begin to write; first of all turn what an earlier process left."""
        self._thread.start()

    def close(self) -> None:
        """Write all that waits and turn it to parquet; blocks for a second or two."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._end()

    def _run(self) -> None:
        self._turn(found=True)
        while not self._stop.wait(self.every):
            before = self.written
            self._flush()
            journal = self._journal
            if journal is None:
                continue
            age = time.monotonic() - self._opened
            if journal.lines >= self.answers or age >= self.seconds:
                busy = self.written - before >= BUSY * self.every  # who waits for answers, first
                overdue = journal.lines >= MUCH * self.answers or age >= MUCH * self.seconds
                if overdue or not busy:
                    self._turn()
        self._end()

    def _end(self) -> None:
        self._flush()
        self._turn()
        if self._queue:
            self._overflown += len(self._queue)
            log.error("%d answers were not logged: %s", len(self._queue), self.reason)
            self._queue.clear()

    def _flush(self) -> None:
        """All that waits, to the disk; what cannot be written goes on waiting."""
        self._flushed = time.monotonic()
        for _ in range(-(-len(self._queue) // AT_ONCE)):
            some = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
            try:
                self.written += self._open().write(b"\n".join(some) + b"\n")
            except OSError as error:
                self._queue.extendleft(reversed(some))
                self._fault("write", f"exposures cannot be written to {self.folder}: {error}")
                return
        self._fault("write", None)

    def _open(self) -> Journal:
        if self._journal and self._journal.gone:
            self._close()
        if not self._journal:
            stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
            self._journal = Journal(self.folder / f"{stamp}{ENDING}")
            self._opened = time.monotonic()
        return self._journal

    def _close(self) -> None:
        if self._journal:
            self._journal.close()
            self._journal = None

    def _turn(self, *, found: bool = False) -> None:
        """Turn every journal that nobody writes to parquet; answers are flushed in between."""
        self._close()
        if not any(self.folder.glob(f"*{ENDING}")):
            self._fault("turn", None)
            return
        from serving.trials.rows import turn  # Arrow, when it is needed

        try:
            for path in left(self.folder):
                torn = turn(path, pause=self._pause)
                self.torn += torn
                if found:
                    log.info("exposures left in %s are parquet, %d lines torn", path.name, torn)
        except Exception as error:  # whatever lies there, answers are to be logged
            said = f"exposures cannot be turned to parquet in {self.folder}: {error}"
            self._fault("turn", said, error)
        else:
            self._fault("turn", None)

    def _pause(self) -> None:
        if time.monotonic() - self._flushed >= self.every:
            self._flush()

    def _fault(self, what: str, said: str | None, error: Exception | None = None) -> None:
        """Note why something does not work, or that it does; log it when it begins."""
        if said is None:
            self._faults.pop(what, None)
        elif what not in self._faults:
            self._faults[what] = said
            log.error("%s", said, exc_info=None if isinstance(error, OSError) else error)
