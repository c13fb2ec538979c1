"""API keys: a shop's `keys.json` in, its keys out; new secrets in, their hashes on disk.

A key reads `rk_ID_SECRET`. The secret is 32 random bytes, so that one sha256 keeps it: there is
nothing to guess, and a slow hash would only slow the server down. The file holds no secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from features.artifact import ArtifactError, write_text

Scope = Literal["storefront", "events", "operator", "supplier"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ID = slice(3, 11)  # where the id stands in a key
LENGTH = 55
LONGEST = 256  # characters of a name or a supplier's id

Rate = Annotated[float, Meta(gt=0, le=1_000_000)]


class KeysError(ArtifactError):
    """A file of keys that cannot be read, or a key that cannot be meant."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key without its secret.

    sha256: of the whole key's ASCII, hexadecimal. rate: requests a second, and as many at once;
    None is no limit. supplier_id: whose stock a key of scope `supplier` may change.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    name: Annotated[str, Meta(max_length=LONGEST)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    rate: Rate | None
    supplier_id: Annotated[str, Meta(min_length=1, max_length=LONGEST)] | None
    created: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


def read(path: Path) -> tuple[Key, ...] | None:
    """The keys of a file; None where there is no file, which is not the same as no keys."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {error.strerror}") from error
    try:
        keys = msgspec.json.decode(text, type=_File).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysError(f"{path} is not a file of keys: {error}") from None
    if len({key.id for key in keys}) < len(keys):
        raise KeysError(f"{path} holds two keys of one id")
    return keys


def add(
    path: Path,
    *,
    scopes: Sequence[str],
    now: datetime,
    name: str = "",
    rate: float | None = None,
    supplier_id: str | None = None,
) -> tuple[Key, str]:
    """Add a key; gives it and its secret, which nobody can ask for again.

    Whoever may write at the same time holds a lock around it.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        got = ", ".join(map(repr, unknown)) or "none"
        raise KeysError(f"scope must be of {', '.join(SCOPES)}, got {got}")
    if ("supplier" in scopes) != (supplier_id is not None):
        raise KeysError("scope supplier and a supplier's id go together, got one of them")
    present = read(path) or ()
    taken = {key.id for key in present}
    while (id := secrets.token_hex(4)) in taken:
        pass
    secret = f"rk_{id}_{secrets.token_urlsafe(32)}"
    given = {
        "id": id,
        "name": name,
        "sha256": hashed(secret.encode()).hex(),
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "rate": rate,
        "supplier_id": supplier_id,
        "created": now.isoformat(timespec="seconds"),
    }
    try:
        key = msgspec.convert(given, Key)
    except msgspec.ValidationError as error:
        want, _, field = str(error).partition(" - at `$.")
        raise KeysError(f"{field.rstrip('`')}: {want}") from None
    _write(path, (*present, key))
    return key, secret


def revoke(path: Path, id: str) -> Key:
    """Take a key away; a file without keys stays, so that nobody is let in."""
    present = read(path) or ()
    found = next((key for key in present if key.id == id), None)
    if found is None:
        raise KeysError(f"{path} holds no key {id!r}; `regulars keys list` shows the ids")
    _write(path, tuple(key for key in present if key is not found))
    return found


def hashed(secret: bytes) -> bytes:
    """What stands on disk instead of a key: 32 bytes."""
    return hashlib.sha256(secret).digest()


def looks_like_one(secret: bytes) -> bool:
    """Whether these could be a key's bytes; says nothing about whether it is one."""
    return re.fullmatch(rb"rk_[0-9a-f]{8}_[0-9A-Za-z_-]{43}", secret) is not None


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    encoded = msgspec.json.encode(_File(1, keys))
    write_text(path, msgspec.json.format(encoded, indent=2).decode() + "\n")
