"""Files: a location in, its files with stable names and checked bytes out.

A location is a file, a folder, a glob, or a URL of them (file://, s3://, gs://). A source's name
is its path below the folder that was named, so that it stays when the folder moves.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq

from features.sources.errors import BadFile
from features.sources.mapping import Format

Kind = Literal["csv", "parquet", "jsonl"]
SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
BLOCK = 1 << 23


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a location: its source name, and where its bytes are."""

    name: str
    kind: Kind
    system: fs.FileSystem
    path: str


@dataclass(frozen=True, slots=True)
class File:
    """A file on this machine whose bytes were looked at."""

    name: str
    kind: Kind
    path: str
    sha256: str


def find(location: str, format: Format, *, folders: int = 0) -> list[Found]:
    """The files of a location in the order of their names; raises BadFile where there is none.

    `folders`: how many names of folders above stand in a source's name.
    """
    system, path = _system(location)
    if re.search(r"[*?\[]", path):
        whole = PurePosixPath(path)
        fixed = list(whole.parts[: _wild(whole)])
        base = str(PurePosixPath(*fixed)) if fixed else "."
        pattern = re.compile(_glob(PurePosixPath(*whole.parts[_wild(whole) :]).as_posix()))
        names = [name for name in _below(system, base) if pattern.fullmatch(name)]
    else:
        info = system.get_file_info(path)
        base = path if info.type == fs.FileType.Directory else str(PurePosixPath(path).parent)
        if info.type == fs.FileType.Directory:
            names = _below(system, base)
        else:
            names = [PurePosixPath(path).name] if info.type == fs.FileType.File else []
    if not names:
        raise BadFile(f"no file matches {location}")
    above = PurePosixPath(base).parts[-folders:] if folders else ()
    prefix = "".join(f"{name}/" for name in above if name.strip("/."))
    return [
        Found(prefix + name, format.kind or _kind(name), system, f"{base}/{name}")
        for name in sorted(names)
    ]


def check(found: Found, format: Format, *, folder: Path) -> File:
    """The file with its sha256, fetched to `folder` unless it is on this machine.

    Raises BadFile when it is empty, cut short, in another encoding, or no Parquet.
    """
    path, local = found.path, isinstance(found.system, fs.LocalFileSystem)
    if not local:
        place = folder / f"{hashlib.sha256(found.path.encode()).hexdigest()[:16]}-fetched"
        with (
            reading(found.name),
            found.system.open_input_stream(found.path, compression=None) as far,
            place.open("wb") as near,
        ):
            shutil.copyfileobj(far, near, BLOCK)
        path = str(place)
    with Path(path).open("rb") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()
    if Path(path).stat().st_size == 0:
        raise BadFile(f"{found.name} is empty: want at least a header or a row")
    with reading(found.name):
        if found.kind == "parquet":
            pq.ParquetFile(path).close()
        else:
            _check_text(found.name, path, format)
    return File(found.name, found.kind, path, digits)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say which file it was when Arrow cannot read on."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        text = str(error)
        if "ompressed" in text or "inflate" in text or "zlib" in text or "decompress" in text:
            raise BadFile(f"{name} is cut short or damaged: {text}") from error
        raise BadFile(f"{name} cannot be read: {text}") from error


def text_stream(name: str, path: str) -> Any:
    """The bytes of a text file, decompressed as its name's ending says."""
    source = pa.OSFile(path)
    compression = COMPRESSION.get(PurePosixPath(name.lower()).suffix)
    return source if compression is None else pa.CompressedInputStream(source, compression)


def _check_text(name: str, path: str, format: Format) -> None:
    """Read it all once, decode it, and say where that fails."""
    decoder = codecs.getincrementaldecoder(format.encoding)()
    before = 0
    with text_stream(name, path) as stream:
        while True:
            block = stream.read(BLOCK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                place = before - held + error.start
                raise BadFile(
                    f"{name} is not {format.encoding}: byte 0x{error.object[error.start]:02x} at"
                    f" position {place}; want that, or another format.encoding such as cp1252"
                ) from error
            if not block:
                break
            before += len(block)
    if before == 0:
        raise BadFile(f"{name} is empty: want at least a header or a row")


def connect(url: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URL, and the path in it."""
    system, path = fs.FileSystem.from_uri(url)
    return system, str(path)


def _system(location: str) -> tuple[fs.FileSystem, str]:
    if "://" not in location:
        return fs.LocalFileSystem(), str(Path(location).expanduser())
    try:
        system, path = connect(location)
    except (pa.ArrowException, OSError, ValueError) as error:
        # a glob is no URI: the wild part is put behind again
        match = re.match(r"([^*?\[]*/)(.*[*?\[].*)", location)
        if match is None:
            raise BadFile(f"{location} is no place that can be read: {error}") from error
        system, path = connect(match[1])
        path = f"{path.rstrip('/')}/{match[2]}"
    return system, path


def _below(system: fs.FileSystem, base: str) -> list[str]:
    """Files below a folder by their relative paths; names from `.` or `_` on are not data."""
    try:
        infos = system.get_file_info(fs.FileSelector(base, recursive=True))
    except OSError as error:
        raise BadFile(f"{base} cannot be listed: {error}") from error
    start = len(base.rstrip("/")) + 1 if base != "." else 0
    names = [
        info.path[start:].removeprefix("./") for info in infos if info.type == fs.FileType.File
    ]
    return [n for n in names if not any(p.startswith((".", "_")) for p in PurePosixPath(n).parts)]


def _kind(name: str) -> Kind:
    bare = PurePosixPath(name.lower())
    if bare.suffix in COMPRESSION:
        bare = bare.with_suffix("")
    if bare.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise BadFile(
            f"{name}: unsupported suffix {bare.suffix!r}; want one of {known}"
            " (also with .gz or .zst), or a format.kind in the mapping"
        )
    return SUFFIXES[bare.suffix]


def _wild(path: PurePosixPath) -> int:
    return next(i for i, part in enumerate(path.parts) if re.search(r"[*?\[]", part))


def _glob(pattern: str) -> str:
    """A glob as a regular expression: `*` stays in a folder, `**/` goes through folders."""
    rules = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return "".join(
        rules.get(part)
        or (part.replace("[!", "[^") if part.startswith("[") and len(part) > 2 else re.escape(part))
        for part in parts
    )
