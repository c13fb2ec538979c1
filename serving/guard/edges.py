"""Edges: a request's size and origin in, 414, 431 or the headers that every answer bears out."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Scope

from serving.guard.headers import Given
from serving.problems import Refused

MOST_QUERY = 8 * 1024  # bytes; a longer list goes into the body of a POST
MOST_PATH = 4 * 1024  # bytes as sent: an id of 256 characters, each in twelve bytes
MOST_HEADERS = 100

Headers = list[tuple[bytes, bytes]]

SECURE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
METHODS = b"GET, POST, PUT, DELETE, OPTIONS"
SENT = b"authorization, content-type, x-api-key, x-request-id"
SEEN = b"retry-after, x-request-id"
KEPT = b"600"  # seconds that a browser remembers a preflight


class Edges:
    """Headers ready for each origin that was allowed; no other origin gets any.

    origins: such as `https://shop.example`, compared exactly. Never `*`: a page's key is for the
    pages that it was given to.
    """

    def __init__(self, origins: Sequence[str] = ()) -> None:
        vary: Headers = [(b"vary", b"origin")] if origins else []
        self._others: Headers = [*SECURE, *vary]
        self._headers: dict[bytes, Headers] = {
            origin.encode(): [
                *self._others,
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", SEEN),
            ]
            for origin in origins
        }

    def headers(self, given: Given) -> Headers:
        """What this request's answer bears beside its own headers; not to be changed."""
        origin = given.get(b"origin")
        if origin is None:
            return self._others
        return self._headers.get(origin, self._others)

    def preflight(self, method: str, given: Given) -> Headers | None:
        """The headers of a 204 where a browser asks before it asks; None: an ordinary request."""
        if method != "OPTIONS" or b"access-control-request-method" not in given:
            return None
        headers = self.headers(given)
        if headers is self._others:
            return headers
        return [
            *headers,
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", SENT),
            (b"access-control-max-age", KEPT),
        ]

    def check(self, scope: Scope) -> None:
        """Raise Refused where a request's head is larger than anything that can be meant."""
        if len(scope["query_string"]) > MOST_QUERY:
            raise Refused(414, f"the query may have {MOST_QUERY} bytes; send a POST")
        if len(scope["raw_path"]) > MOST_PATH:
            raise Refused(414, f"the path may have {MOST_PATH} bytes")
        if len(scope["headers"]) > MOST_HEADERS:
            raise Refused(431, f"a request may have {MOST_HEADERS} headers")


def merged(own: Headers, extra: Headers) -> Headers:
    """An answer's headers and those of `extra` that it does not have itself: pages are stricter."""
    present = {name for name, _ in own}
    return [*own, *(header for header in extra if header[0] not in present)]
