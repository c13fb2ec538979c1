"""Settings: environment variables in, one frozen record out; the only place that reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PREFIX = "REGULARS_"
LISTS = frozenset({"origins"})  # written with commas between

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class SettingsError(ValueError):
    """An environment variable that cannot be meant."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server runs; a field `name` is read from `REGULARS_NAME`."""

    bundles: Path = Path("workspace/bundles")
    shops: Path | None = None  # a folder of workspaces, a shop each; `bundles` is not read then
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    open: bool = False  # without keys, answer others than this machine
    demo: bool = False  # a shop to try everything in at /
    origins: tuple[str, ...] = ()  # whose pages may ask; CORS
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    log_format: Literal["json", "text"] = "text"
    traces: str = ""  # `console`, or an OTLP address
    redis: str = ""  # where replicas share customer state; "" is SQLite in the workspace
    poll_seconds: Seconds = 0.5  # how often the pointer, the keys and the rules are looked at
    retry_seconds: Seconds = 10.0  # when a refused bundle is tried again
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 26)] = 1 << 20
    most_waiting: Annotated[int, Meta(ge=1, le=100_000)] = 128  # requests at once
    most_hours: Annotated[float, Meta(gt=0)] | None = None  # an older bundle is not ready
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = (
        0.0  # answering on, not ready, after SIGTERM
    )
    shutdown_seconds: Seconds = 10.0  # how long running requests may take to end


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment; raises SettingsError that names the variable."""
    texts = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.__struct_fields__
        if environment.get(PREFIX + name.upper())
    }
    given: dict[str, object] = {}
    for name, text in texts.items():
        value: object = text
        if name in LISTS:
            value = [part.strip() for part in text.split(",") if part.strip()]
        try:
            msgspec.convert({name: value}, Settings, strict=False, dec_hook=_path)
        except msgspec.ValidationError as error:
            want = str(error).split(" - at ")[0]
            raise SettingsError(f"{PREFIX}{name.upper()} is {text!r}: {want}") from None
        given[name] = value
    settings = msgspec.convert(given, Settings, strict=False, dec_hook=_path)
    for origin in settings.origins:
        if not re.fullmatch(r"https?://[0-9a-z.\[\]:_-]+[^/:]", origin):
            want = "want addresses such as https://shop.example, without a path"
            raise SettingsError(f"{PREFIX}ORIGINS holds {origin!r}: {want}")
    if settings.traces and not re.match("console$|https?://", settings.traces):
        want = "want console or the http address of an OTLP collector"
        raise SettingsError(f"{PREFIX}TRACES is {settings.traces!r}: {want}")
    return settings


def _path(kind: type, value: object) -> Path:
    if kind is not Path:
        raise TypeError(f"no way to read a {kind.__name__}")
    return Path(str(value))
