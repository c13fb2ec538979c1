"""The publication log: one record a publication in, a chain that shows every later change out.

A record holds the hash of the one before it, so that an edited, removed or reordered line shows.
The log is written first and is the word on what serves: pointer and alias follow it. LogError is
raised where the chain does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from features.artifact import canonical, write_text

START = "0" * 64


class LogError(RuntimeError):
    """A publication log whose chain does not hold."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk along the log found: the records that hold, and what is wrong with the rest.

    torn: the last line was cut by a kill; nothing relied on it and it may be dropped.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    torn: bool = False

    @property
    def last(self) -> dict[str, Any] | None:
        """The newest record that holds."""
        return self.records[-1] if self.records else None


def walk(path: Path) -> Chain:
    """Check every record against the one before it; never raises for what the file holds."""
    if not path.exists():
        return Chain()
    data = path.read_bytes()
    lines = data.split(b"\n")
    torn = lines.pop() != b""
    chain = Chain(torn=torn)
    previous = START
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            said, sequence, before = record["hash"], record["sequence"], record["previous"]
        except (ValueError, KeyError, TypeError):
            chain.problems.append(f"line {number} is no record")
            break
        if sequence != number:
            chain.problems.append(f"line {number} says it is record {sequence}")
        if before != previous:
            chain.problems.append(f"record {number} does not follow the one before it")
        if said != _hash(record):
            chain.problems.append(f"record {number} was changed after it was written")
        if chain.problems:
            break
        chain.records.append(record)
        previous = said
    if torn:
        chain.problems.append(f"the last line ({len(lines) + 1}) was cut while being written")
    return chain


def records(path: Path) -> list[dict[str, Any]]:
    """All records; raises LogError when the chain does not hold."""
    chain = walk(path)
    if chain.problems:
        raise LogError(f"{path}: {chain.problems[0]}; see `regulars doctor`")
    return chain.records


def append(path: Path, content: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """Add one record, on disk when this returns; raises LogError on a chain that does not hold.

    The caller holds the workspace's `publish` lock.
    """
    before = records(path)
    record = {
        **content,
        "sequence": len(before) + 1,
        "at": at.isoformat(),
        "previous": before[-1]["hash"] if before else START,
    }
    record["hash"] = _hash(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(canonical(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return record


def drop_torn(path: Path) -> None:
    """Take away a last line that a kill cut short."""
    data = path.read_bytes()
    write_text(path, data[: data.rfind(b"\n") + 1].decode())


def _hash(record: dict[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "hash"}
    return hashlib.sha256(canonical(content).encode()).hexdigest()
