"""The Redis store: events in, shared by servers that see each other's at once.

A write is as durable as Redis: acknowledged when Redis has it, on its disk as `appendonly` and
`appendfsync` say. One Redis or one with replicas, no cluster: a script's keys lie together.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from serving.state import scripts
from serving.state.events import Event, line, timed
from serving.state.exported import MOST, numbered, path_of, write
from serving.state.person import EMPTY, Person, Step, reduced
from serving.state.store import COMPACT, KEPT_SECONDS, Added, Change, StoreError

PERSON_SECONDS = 0.05  # how long an answer waits for a person
REST_SECONDS = 1.0  # after a failure nobody asks for so long
WRITE_SECONDS = 5.0
CONNECTIONS = 64
PAGE = 1_000
HEAD = 16  # digits of a sequence number
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")
_steps = msgspec.json.Decoder(list[Step])


class Redis:
    """Customer state shared by several servers; `name` keeps shops apart."""

    def __init__(self, url: str, *, name: str = "regulars") -> None:
        self._url, self._name = url, name
        self._client: Any = None
        self._failed: str | None = None
        self._rests_until = 0.0

    @property
    def degraded(self) -> str | None:
        """What does not work."""
        return self._failed

    async def start(self) -> None:
        """Make ready; a Redis that does not answer yet is waited for by nobody, see `degraded`."""
        import redis.asyncio as client
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            pool: Any = client.BlockingConnectionPool.from_url(
                self._url,
                max_connections=CONNECTIONS,
                timeout=WRITE_SECONDS,
                socket_timeout=WRITE_SECONDS,
                socket_connect_timeout=1.0,
                retry=Retry(NoBackoff(), 1),  # a connection that Redis closed is made anew
            )
        except ValueError as error:
            raise StoreError(f"{self._said} is no address of a Redis: {error}") from error
        self._client = client.Redis(connection_pool=pool)
        try:
            await self._do(lambda redis: redis.ping())
        except StoreError:
            return

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()
            await self._client.connection_pool.disconnect()
            self._client = None

    async def add(self, events: Sequence[Event], *, now: float) -> Added:
        """Take events in; in Redis when this returns."""
        told: list[Any] = [now]
        for event in events:
            event = timed(event, now)
            assert event.event_time is not None
            time = round((event.event_time - EPOCH).total_seconds() * 1e6)
            told += [event.event_id, event.customer_id or "", time, line(event)]
        new = sum(await self._script(scripts.ADD, *told)) if events else 0
        return Added(new, len(events) - new)

    def peek(self, customer_id: str) -> Person | None:
        """None: others may have written; ask `person`."""
        del customer_id
        return None

    async def person(self, customer_id: str) -> Person:
        """What she did; EMPTY at once while Redis rests, soon when it does not answer."""
        if asyncio.get_running_loop().time() < self._rests_until:
            return EMPTY
        try:
            async with asyncio.timeout(PERSON_SECONDS):
                members = await self._do(lambda redis: redis.zrange(self._of(customer_id), 0, -1))
        except TimeoutError:
            self._fail(f"no answer within {PERSON_SECONDS:g} s")
            return EMPTY
        except (StoreError, UnicodeEncodeError):
            return EMPTY
        if not members:
            return EMPTY
        steps = _steps.decode(b"[" + b",".join(member[HEAD:] for member in members) + b"]")
        return reduced(steps, max(int(member[:HEAD]) for member in members))

    async def forget(self, customer_id: str) -> int:
        """Erase her events: from what is remembered of her and, one by one, from the stream."""
        mine, gone, after = customer_id.encode(), 0, "-"
        await self._do(lambda redis: redis.delete(self._of(customer_id)))
        while found := await self._range(after, "+"):
            hers = [(id, said[b"b"]) for id, said in found if said[b"c"] == mine]
            if hers:
                await self._erase(hers)
                gone += len(hers)
            after = f"({found[-1][0].decode()}"
        return gone

    async def change(
        self, topic: str, entries: Sequence[tuple[str, bytes | None]], *, by: str, now: float
    ) -> int:
        """Set or remove keys, all or none; the topic's new version."""
        told: list[Any] = [topic, int(topic in COMPACT)]
        for key, value in entries:
            told += [key, msgspec.msgpack.encode((key, value, by, now))]
        return int(await self._script(scripts.CHANGE, *told))

    async def changes(self, topic: str, after: int) -> list[Change]:
        """Changes with a greater version, oldest first."""
        key = self._key(f"log:{topic}")
        members = await self._do(lambda redis: redis.zrangebyscore(key, f"({after}", "+inf"))
        return [_change(member) for member in members]

    async def values(self, topic: str) -> tuple[int, dict[str, bytes]]:
        """The version and each key's value."""
        last = await self._do(lambda redis: redis.hvals(self._key(f"last:{topic}")))
        found = [_change(member) for member in last]
        version = max((change.version for change in found), default=0)
        return version, {change.key: change.value for change in found if change.value is not None}

    async def export(self, folder: Path, *, now: float) -> list[Path]:
        """Write what no file holds yet; one server at a time, the others find nothing to do."""
        if self._client is None:
            raise StoreError(f"{self._said} is not open")
        lock = self._client.lock(self._key("exporting"), timeout=600, blocking=False)
        if not await self._do(lambda _: lock.acquire()):
            return []
        files = []
        fresh = secrets.randbits(31)
        await self._do(lambda redis: redis.setnx(self._key("store"), fresh))
        try:
            while plan := await self._script(scripts.PLAN, MOST):
                name, after, upto = map(int, plan)
                path = path_of(folder, name, after, upto)
                if await self._file(path, after, upto):
                    files.append(path)
            while await self._script(scripts.PRUNE, now - KEPT_SECONDS, PAGE) == PAGE:
                pass
        finally:
            await self._do(lambda _: lock.release())
        return files

    async def _file(self, path: Path, after: int, upto: int) -> bool:
        """Write the events of a plan, whether there are any left of them, and mark it done."""
        lines: list[str] = []
        while after < upto and (found := await self._range(f"({after}-0", str(upto))):
            for id, said in found:
                after = int(id.split(b"-")[0])
                lines.append(numbered(after, said[b"b"].decode()))
        if lines:
            await asyncio.to_thread(write, "\n".join(lines), path)
        await self._do(lambda redis: redis.set(self._key("exported"), upto))
        return bool(lines)

    async def _erase(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Take entries, id and body, out of the stream and their event_ids out of the known."""
        ids = [msgspec.json.decode(body)["event_id"] for _, body in entries]
        await self._do(lambda redis: redis.xdel(self._key("events"), *(id for id, _ in entries)))
        await self._do(lambda redis: redis.hdel(self._key("ids"), *ids))

    def _key(self, name: str) -> str:
        return f"{self._name}:{name}"

    def _of(self, customer_id: str) -> str:
        return f"{self._name}:of:{customer_id}"

    async def _range(self, low: str, high: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """A page of the stream."""
        events = self._key("events")
        found: list[Any] = await self._do(lambda redis: redis.xrange(events, low, high, count=PAGE))
        return found

    async def _script(self, script: str, *told: Any) -> Any:
        return await self._do(lambda redis: redis.eval(script, 1, self._name, *told))

    async def _do(self, what: Callable[[Any], Awaitable[T]]) -> T:
        """What Redis gives; raises StoreError when it does not."""
        from redis.exceptions import RedisError

        if self._client is None:
            raise StoreError(f"{self._said} is not open")
        try:
            given = await what(self._client)
        except (RedisError, OSError) as error:
            self._fail(str(error))
            raise StoreError(self._failed) from error
        self._failed = None
        self._rests_until = 0.0
        return given

    def _fail(self, why: str) -> None:
        self._failed = f"{self._said} does not answer: {why}"
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS

    @property
    def _said(self) -> str:
        """The address without what is secret in it."""
        return self._url.split("://")[0] + "://" + self._url.split("://")[-1].split("@")[-1]


def _change(member: bytes) -> Change:
    key, value, by, at = msgspec.msgpack.decode(member[HEAD:])
    return Change(int(member[:HEAD]), key, value, by, at)
