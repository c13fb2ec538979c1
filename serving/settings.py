"""Settings: environment variables in, one frozen record out; the only place that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PREFIX = "REGULARS_"

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class SettingsError(ValueError):
    """An environment variable that cannot be meant."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server runs; a field `name` is read from `REGULARS_NAME`."""

    bundles: Path = Path("workspace/bundles")
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    poll_seconds: Seconds = 0.5  # how often the pointer is looked at
    retry_seconds: Seconds = 10.0  # when a refused bundle is tried again
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 26)] = 1 << 20
    shutdown_seconds: Seconds = 10.0  # how long running requests may take to end


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment; raises SettingsError that names the variable."""
    given = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.__struct_fields__
        if environment.get(PREFIX + name.upper())
    }
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, Settings, strict=False, dec_hook=_path)
        except msgspec.ValidationError as error:
            want = str(error).split(" - at ")[0]
            raise SettingsError(f"{PREFIX}{name.upper()} is {value!r}: {want}") from None
    return msgspec.convert(given, Settings, strict=False, dec_hook=_path)


def _path(kind: type, value: object) -> Path:
    if kind is not Path:
        raise TypeError(f"no way to read a {kind.__name__}")
    return Path(str(value))
