"""Start: settings in, nothing out where a server may listen; else what has to be done first."""

from __future__ import annotations

import ipaddress
import time

from serving.guard.keys import Guard
from serving.metrics import Process
from serving.place import places
from serving.settings import Settings, SettingsError


def check(settings: Settings) -> None:
    """Raise SettingsError for an open server that others could reach, KeysError for wrong keys.

    Without keys everybody who reaches the server may change stock and rules: it then listens on
    this machine alone, unless the operator says that something else keeps others out.
    """
    shops = places(settings)
    guard = Guard(shops, Process(), now=time.perf_counter())
    if guard.open and not settings.open and not loopback(settings.host):
        raise SettingsError(
            f"REGULARS_HOST is {settings.host!r}, which others reach, and {shops[0].keys} is not "
            "there: make keys with `regulars keys add --scope storefront`, or say "
            "REGULARS_OPEN=true where something else keeps others out"
        )


def loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name but `localhost` may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
