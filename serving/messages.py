"""Messages: ASGI messages in, a request's body out; an answer in, ASGI messages out."""

from __future__ import annotations

from typing import NamedTuple

from starlette.types import Receive, Send

from serving.problems import Refused

Header = tuple[bytes, bytes]
Headers = list[Header]
JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


async def body(receive: Receive, largest: int) -> bytes:
    """The request's body; raises Refused (413) as soon as it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the caller went away before the body was read")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise Refused(413, f"the body may have {largest} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


async def send_json(send: Send, content: bytes, headers: Headers, status: int = 200) -> None:
    """A whole answer; headers beside those of JSON."""
    length = (b"content-length", b"%d" % len(content))
    await send_reply(send, Reply(status, [*JSON, length, *headers], content))


async def send_reply(send: Send, reply: Reply) -> None:
    """A whole answer by ASGI."""
    status, headers, content = reply
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
