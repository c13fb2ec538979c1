"""Headers: what a caller sent in, her key and the name of her request out.

All take `given`, the headers as a dict of bytes (`dict(scope["headers"])`, names in lower case):
made once a request, asked by everybody.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping

Given = Mapping[bytes, bytes]

_ID = re.compile(rb"[0-9A-Za-z._:/+=-]{1,64}").fullmatch


def request_id(given: Given) -> str | None:
    """The caller's X-Request-Id where it can be repeated safely, else None: make one."""
    id = given.get(b"x-request-id")
    if id is None or _ID(id) is None:
        return None
    return id.decode("ascii")


def secret(given: Given, *, basic: bool) -> bytes | None:
    """The key that was sent: `X-API-Key: KEY` or `Authorization: Bearer KEY`.

    basic: also as the password of HTTP Basic, the only way for a browser's address bar. Browsers
    send that along from other sites' pages, so it is for reading alone.
    """
    key = given.get(b"x-api-key")
    if key is not None:
        return key
    value = given.get(b"authorization")
    if value is None:
        return None
    if value[:7] == b"Bearer ":
        return value[7:]
    kind, _, rest = value.partition(b" ")
    if kind.lower() == b"bearer":
        return rest.strip()
    if basic and kind.lower() == b"basic":
        try:
            return binascii.a2b_base64(rest.strip()).partition(b":")[2]
        except binascii.Error:
            return None
    return None
