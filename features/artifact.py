"""Artifacts: files written beside and renamed, a manifest with checksums, one pointer to them.

ArtifactError
├── Missing     no such artifact, pointer or file
└── Damaged     a file that is not what its manifest says
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


class ArtifactError(RuntimeError):
    """Something on disk that is not as it was written."""


class Missing(ArtifactError):
    """No such artifact, pointer or file."""


class Damaged(ArtifactError):
    """A file that is not what its manifest says."""


PIECE = 4 << 20  # bytes: a smaller one has a thread ask for the interpreter all the time


def canonical(value: Any) -> str:
    """JSON with one spelling for one value: sorted keys, no spaces; what ids are hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """16 hexadecimal digits that name a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    found, piece = hashlib.sha256(), memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:  # not mapped: its truncation would end the process
        while size := file.readinto(piece):
            found.update(piece[:size])
    return found.hexdigest()


def _sums(paths: Iterable[Path]) -> dict[Path, str]:
    """The sha256 of each file, of several at once."""
    largest_first = sorted(paths, key=lambda path: -path.stat().st_size)
    with _behind() as pool:
        return dict(zip(largest_first, pool.map(sha256, largest_first), strict=True))


def _behind() -> ThreadPoolExecutor:
    """Threads that wait where another one of the process, such as a server's, has work."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), initializer=_behind_others)


def _behind_others() -> None:
    """Let this thread wait where another one of the process, such as a server's, has work."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def write_text(path: Path, text: str) -> None:
    """Replace a file's text; a reader sees the old or the new, a crash leaves one of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a value as readable JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def sync(directory: Path) -> None:
    """Make renames in a directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def files(directory: Path) -> dict[str, dict[str, Any]]:
    """Each file below a directory but its manifest, with size and sha256."""
    paths = [p for p in sorted(directory.rglob("*")) if p.is_file() and p != directory / MANIFEST]
    sums = _sums(paths)
    return {
        path.relative_to(directory).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": sums[path],
        }
        for path in paths
    }


@contextlib.contextmanager
def staged(directory: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """Fill a directory beside the wanted one; on success add the manifest and rename.

    The caller may add to `manifest` until the block ends; `files` is added here. On an error
    nothing of the wanted name appears. An existing directory of that name is left as it is:
    names are hashes of content.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    beside.mkdir()
    try:
        yield beside
        manifest["files"] = files(beside)
        write_json(beside / MANIFEST, manifest)
        with contextlib.suppress(OSError):
            beside.rename(directory)
        if not directory.is_dir():
            raise ArtifactError(f"could not put {directory} in place")
        sync(directory.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class Checking:
    """A directory being compared with its manifest in the background, small files first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._manifest: dict[str, Any] = {}
        self._sums: dict[str, Future[str]] = {}
        self._trouble: ArtifactError | None = None
        try:
            self._manifest = _manifest(directory)
        except ArtifactError as error:
            self._trouble = error
            return
        said = self._manifest["files"]
        pool = _behind()
        for name in sorted(said, key=lambda name: int(said[name]["bytes"])):
            self._sums[name] = pool.submit(sha256, directory / name)
        pool.shutdown(wait=False)

    def wait(self, *, but: Collection[str] = ()) -> dict[str, Any]:
        """The manifest, when every file was found to be what it says, or every one but these."""
        if self._trouble is not None:
            raise self._trouble
        for name, sum in self._sums.items():
            if name not in but and sum.result() != self._manifest["files"][name]["sha256"]:
                for other in self._sums.values():
                    other.cancel()
                self._trouble = Damaged(f"{self.directory / name} is not what its manifest says")
                raise self._trouble
        return self._manifest


_BEGUN: dict[Path, Checking] = {}


def begin(directory: Path) -> None:
    """Begin to verify what is opened soon: the next `checking` or `verify` gives what is found."""
    _BEGUN[directory.resolve()] = Checking(directory)


def checking(directory: Path) -> Checking:
    """What was begun, once, or begun now."""
    return _BEGUN.pop(directory.resolve(), None) or Checking(directory)


def verify(directory: Path) -> dict[str, Any]:
    """The manifest of a directory, after every file was found to be what it says."""
    return checking(directory).wait()


def _manifest(directory: Path) -> dict[str, Any]:
    """The manifest, whose files are there and as long as it says."""
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Missing(f"{directory} has no {MANIFEST}") from error
    except ValueError as error:
        raise Damaged(f"{directory / MANIFEST} is not JSON: {error}") from error
    for name, said in manifest["files"].items():
        path = directory / name
        if not path.is_file():
            raise Missing(f"{path} is gone, the manifest names it")
        if path.stat().st_size != said["bytes"]:
            raise Damaged(f"{path} is not what its manifest says")
    return manifest


def point(pointer: Path, name: str) -> None:
    """Swap a pointer file to a name, atomically."""
    write_text(pointer, name + "\n")


def pointed(pointer: Path) -> str | None:
    """The name a pointer file holds; None where there is no pointer."""
    try:
        return pointer.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
