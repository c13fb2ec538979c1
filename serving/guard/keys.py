"""Keys: the shops' files of keys and a request's headers in, who asks out; or 401, 403, 429."""

from __future__ import annotations

import hmac
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features import keys as files
from features.keys import ID, SCOPES, Key, KeysError, hashed
from serving.guard.headers import Given, secret
from serving.guard.rates import Bucket
from serving.metrics import Process
from serving.place import Place
from serving.problems import Refused

log = logging.getLogger("regulars")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key, the shop it belongs to, what it may do.

    key_id: "" where the server is open. supplier: whose products alone she may change; None for
    an operator, who may change all.
    """

    key_id: str
    shop: str
    scopes: frozenset[str]
    supplier: str | None


class _Entry:
    """One key as a request finds it."""

    __slots__ = ("bucket", "caller", "digest", "key", "scopes")

    def __init__(self, key: Key, place: Place, bucket: Bucket | None) -> None:
        self.key, self.bucket = key, bucket
        self.digest = bytes.fromhex(key.sha256)
        self.scopes = frozenset(key.scopes)
        operator = "operator" in self.scopes
        if operator:
            self.scopes |= {"supplier"}
        self.caller = Caller(key.id, place.name, self.scopes, None if operator else key.supplier_id)


class Guard:
    """Admits callers by their keys; reads a shop's file anew when it changes.

    open: no shop has a file of keys and there is one shop; everybody may do everything. `now` is
    any clock that never falls, in seconds, the same for every call.
    """

    def __init__(self, places: Sequence[Place], process: Process, *, now: float) -> None:
        self.places, self.process = tuple(places), process
        self._entries: dict[bytes, _Entry] = {}
        self._stamps: dict[Path, tuple[int, int, int] | None] = {}
        self._all: Caller | None = None
        self._read(now)

    @property
    def open(self) -> bool:
        """Whether everybody is let in."""
        return self._all is not None

    def admit(self, given: Given, needed: str, now: float, *, basic: bool = False) -> Caller:
        """Who asks; raises Refused: 401 no or a wrong key, 403 another scope, 429 over the rate.

        basic: the request only reads, so that for the operator's pages HTTP Basic will do.
        """
        if self._all is not None:
            return self._all
        basic = basic and needed == "operator"
        sent = secret(given, basic=basic)
        if sent is None:
            raise self._unknown("no_key", "this server wants an API key", basic)
        entry = self._entries.get(sent[ID])
        # What is compared are hashes: how long it takes says nothing about the key.
        if entry is None or not hmac.compare_digest(hashed(sent), entry.digest):
            raise self._unknown("wrong_key", "the API key is not one of this server's", basic)
        if needed not in entry.scopes:
            self.process.refuse(entry.caller.shop, "scope", entry.key.id)
            has = ", ".join(entry.key.scopes)
            raise Refused(403, f"this needs a key of scope {needed}, {entry.key.id} has {has}")
        if entry.bucket is not None and (wait := entry.bucket.take(now)):
            self.process.refuse(entry.caller.shop, "rate", entry.key.id)
            raise Refused(
                429,
                f"key {entry.key.id} may ask {entry.key.rate:g} times a second",
                headers={"retry-after": str(math.ceil(wait))},
            )
        return entry.caller

    def look(self, now: float) -> None:
        """Read the files of keys that changed; whatever is wrong, the keys known stay known."""
        try:
            if self._stamps != {place.keys: _stamp(place.keys) for place in self.places}:
                self._read(now)
        except KeysError as error:
            if self.process.keys_trouble != str(error):
                log.error("the keys stay as they were: %s", error)
            self.process.keys_trouble = str(error)
        else:
            self.process.keys_trouble = None

    def _read(self, now: float) -> None:
        stamps = {place.keys: _stamp(place.keys) for place in self.places}
        entries: dict[bytes, _Entry] = {}
        without = []
        for place in self.places:
            keys = files.read(place.keys)
            if keys is None:
                without.append(place)
            for key in keys or ():
                id = key.id.encode()
                if id in entries:
                    raise KeysError(
                        f"key {key.id} stands in two shops, {entries[id].caller.shop} and "
                        f"{place.name}: revoke it in one"
                    )
                entries[id] = _Entry(key, place, self._bucket(key, now))
        if without and (len(self.places) > 1 or self._entries):
            missing = ", ".join(str(place.keys) for place in without)
            raise KeysError(f"there is no {missing}; `regulars keys add` makes one")
        self._all = Caller("", self.places[0].name, frozenset(SCOPES), None) if without else None
        self._entries, self._stamps = entries, stamps

    def _bucket(self, key: Key, now: float) -> Bucket | None:
        """A key's bucket; the one it has where its rate is as before."""
        if key.rate is None:
            return None
        before = self._entries.get(key.id.encode())
        if before is not None and before.bucket is not None and before.key.rate == key.rate:
            return before.bucket
        return Bucket(key.rate, now=now)

    def _unknown(self, why: str, detail: str, basic: bool) -> Refused:
        self.process.refuse("", why, "")
        challenge = 'Bearer realm="regulars"'
        if basic:  # a browser asks a person then; from a storefront's page it must not
            challenge += ', Basic realm="regulars", charset="UTF-8"'
        return Refused(401, detail, headers={"www-authenticate": challenge})


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.debug("%s: %s", path, os.strerror(error.errno or 0))
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
