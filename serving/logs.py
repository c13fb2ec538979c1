"""Logs: log records in, one line each on stderr out, as text or JSON; never a key, never a body."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from serving.settings import Settings

SLOW = 1.0  # seconds
FAILED = 500
FIELDS = ("request_id", "method", "route", "status", "seconds", "shop", "key", "surface")

log = logging.getLogger("regulars.requests")


def configure(settings: Settings) -> None:
    """Everything that is logged in this process goes to stderr, in the wanted form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if settings.log_format == "json" else Text())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


class Lines:
    """The line of a request: every one at debug; at info those that failed or were slow.

    What a caller did wrong (4xx) is no failure, and what was turned away for load is counted, not
    written: lines would be one more load. Ask `worth` first, it costs nothing.
    """

    __slots__ = ("slow",)

    def __init__(self) -> None:
        self.slow = -1.0 if log.isEnabledFor(logging.DEBUG) else SLOW

    def worth(self, status: int, seconds: float) -> bool:
        """Whether a request gets a line."""
        return seconds > self.slow or status == FAILED

    def write(self, status: int, seconds: float, **fields: str | None) -> None:
        """The line of a finished request; fields: of FIELDS, what is known of it."""
        level = logging.INFO if status == FAILED or seconds > SLOW else logging.DEBUG
        known = {name: value for name, value in fields.items() if value}
        log.log(level, "request", extra={**known, "status": status, "seconds": round(seconds, 6)})


class Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then what the record adds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().rstrip("\n"),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=repr).decode()


class Text(logging.Formatter):
    """For people: time, level, logger, message, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below where there is one."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        message = record.getMessage().rstrip("\n").replace("\n", "\\n").replace("\r", "\\r")
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    known = record.__dict__
    return {name: known[name] for name in FIELDS if known.get(name) is not None}
