"""Problems: what is wrong with a request in, an application/problem+json answer out (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
SERVICE_UNAVAILABLE = 503
SHOWN = 80  # characters of a caller's value that an error repeats


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = None


class Refused(Exception):
    """A request that gets no answer.

    Refused: any status, raised with what is wrong and, where one is, the parameter at fault.
    headers: of the answer, beside those that every problem has; names in lower case.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        parameter: str | None = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.parameter = status, detail, parameter
        self.headers = headers or ({"retry-after": "1"} if status == SERVICE_UNAVAILABLE else {})


def shown(value: object) -> str:
    """A caller's value as an error repeats it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def body(status: int, detail: str, parameter: str | None = None) -> bytes:
    """The JSON of a problem."""
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        parameter=parameter,
    )
    return msgspec.json.encode(problem)


def answer(
    status: int,
    detail: str,
    parameter: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    return Response(body(status, detail, parameter), status, headers, MEDIA_TYPE)


async def refused(_: Request, error: Exception) -> Response:
    """The answer to a Refused."""
    assert isinstance(error, Refused)
    return answer(error.status, error.detail, error.parameter, error.headers)


async def not_served(request: Request, error: Exception) -> Response:
    """The answer to an unknown path or a method that a path does not take."""
    assert isinstance(error, HTTPException)
    headers: dict[str, Any] = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {shown(request.url.path)}; see /docs"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        detail = f"{request.method} is not taken here, want {headers['Allow']}"
    else:
        detail = error.detail
    return answer(error.status_code, detail, None, headers)


async def failed(_: Request, error: Exception) -> Response:
    """The answer to our own mistake: the log has the traceback, the caller gets no innards."""
    del error
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says why")
