"""Regulars for a shop in Python 3.11: a question in, a typed answer out; one file to copy, alone.

Failed           no answer in time, after every try
└── Refused      the server said no: `status`, `detail` and, where one is at fault, `parameter`
"""

from __future__ import annotations

import functools
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack, get_args, get_type_hints
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

T = TypeVar("T")
TRIES, BUSY = 3, (429, 502, 503, 504)  # which may go well a moment later
LONGEST_WAIT = 10.0  # seconds; where the server asks for more patience, the caller decides
types_of = functools.cache(get_type_hints)


class Failed(Exception):
    """No answer; `__cause__` says how it failed."""


class Refused(Failed):
    """The server's problem (RFC 9457); `retry_after` in seconds where it says so."""

    def __init__(self, status: int, answer: bytes, retry_after: float | None = None) -> None:
        try:
            problem = dict(json.loads(answer))
        except (ValueError, TypeError):  # of a gateway in between
            problem = {}
        self.status, self.retry_after = status, retry_after
        self.title, self.detail = str(problem.get("title", "")), str(problem.get("detail", ""))
        self.parameter: str | None = problem.get("parameter")
        super().__init__(f"{status} {self.title}: {self.detail}")


class Asked(TypedDict, total=False):
    """What may be asked beside for whom; what is not said is left to the server.

    filter: lines such as `price<=30`; all must hold. among: the only products that may be shown.
    product, cart: what one customer looks at now. store: its stock counts. channel: where it is
    shown. substitutes: in place of a sold-out product its most alike.
    """

    surface: str
    n: int
    filter: Sequence[str]
    exclude: Sequence[str]
    among: Sequence[str]
    seen: Literal["drop", "keep"]
    product: str
    cart: Sequence[str]
    store: str
    channel: str
    explain: bool
    substitutes: bool


class Model(NamedTuple):
    """What ranked."""

    name: str
    version: str


class Assigned(NamedTuple):
    """A live test that the customer is in, and her arm."""

    experiment: str
    arm: str


class Explain(NamedTuple):
    """The parts of a score, where `explain=True` asked."""

    sources: dict[str, int]
    boost: float
    pinned: bool
    since: bool
    shown_before: int


class Item(NamedTuple):
    """One ranked product; `score` is None where no model scored."""

    product_id: str
    rank: int
    score: float | None
    source: str
    reason: str
    substitute_for: str | None = None
    explain: Explain | None = None


class Note(NamedTuple):
    """Something to know about a good answer; of events, how many it concerns."""

    code: str
    detail: str
    count: int | None = None  # type: ignore[assignment]  # a tuple's own count is not needed


class Answer(NamedTuple):
    """Ranked products. Send `request_id` back with the click or the purchase."""

    request_id: str
    model: Model
    surface: str
    experiments: list[Assigned]
    items: list[Item]
    fallback: bool
    warnings: list[Note]


class ForCustomer(NamedTuple):
    """One customer's part of an answer for many."""

    customer_id: str
    experiments: list[Assigned]
    items: list[Item]
    fallback: bool
    warnings: list[Note]


class Answers(NamedTuple):
    """Ranked products for many customers, in the order asked."""

    request_id: str
    model: Model
    surface: str
    customers: list[ForCustomer]


class Collected(NamedTuple):
    """How many events are new and safe on disk now, and how many were known already."""

    accepted: int
    known: int
    warnings: list[Note] = []  # noqa: RUF012


class StockTaken(NamedTuple):
    """How many counts were taken, older than what was known, or of an unknown product."""

    accepted: int
    stale: int
    unknown: list[str]
    version: int


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. Its id is made here, so that sending it twice counts once."""

    event_type: str
    product_id: str
    customer_id: str | None = None
    channel: str = "web"
    quantity: float | None = None
    unit_price: float | None = None
    order_id: str | None = None
    session_id: str | None = None
    store_id: str | None = None
    live_session_id: str | None = None
    request_id: str | None = None
    event_time: datetime | None = None
    event_id: str = field(default_factory=lambda: str(uuid4()))


class Regulars:
    """A shop's server. One object serves every thread; each keeps a connection of its own.

    Every call may be made twice without harm: each is tried three times, for `timeout` seconds.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 2.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be such as https://host:8000, got {url!r}")
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connect = functools.partial(connect, parts.hostname, parts.port, timeout=timeout)
        self._base = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._here = threading.local()

    def recommend(self, customer_id: str, **asked: Unpack[Asked]) -> Answer:
        """Products for one customer; an unknown one gets popular products, `fallback` true."""
        path = f"/v1/customers/{quote(customer_id, safe='')}/recommendations"
        return self._ask(Answer, "GET", path + _query(asked))

    def similar(self, product_id: str, **asked: Unpack[Asked]) -> Answer:
        """Products like one product; Refused (404) for one that the model does not know."""
        path = f"/v1/products/{quote(product_id, safe='')}/similar"
        return self._ask(Answer, "GET", path + _query(asked))

    def visit(self, products: Sequence[str], **asked: Unpack[Asked]) -> Answer:
        """Products for a visitor who is only what she looked at, oldest first."""
        body = {"products": products} | _body(asked)
        return self._ask(Answer, "POST", "/v1/recommendations", body)

    def many(self, customers: Sequence[str], **asked: Unpack[Asked]) -> Answers:
        """Products for up to 100 customers, in the order asked."""
        body = {"customers": customers} | _body(asked)
        return self._ask(Answers, "POST", "/v1/recommendations", body)

    def events(self, events: Sequence[Event]) -> Collected:
        """Report what happened; the very next answer knows it."""
        rows = [{k: v for k, v in asdict(event).items() if v is not None} for event in events]
        return self._ask(Collected, "POST", "/v1/events", {"events": rows})

    def stock(self, quantities: Mapping[str, float], *, store: str | None = None) -> StockTaken:
        """Say how many of each product there are, in the whole shop or in one store."""
        where = {"store_id": store} if store else {}
        items = [{"product_id": id, "quantity": n, **where} for id, n in quantities.items()]
        return self._ask(StockTaken, "PUT", "/v1/stock", {"items": items})

    def close(self) -> None:
        """Close this thread's connection; the next call opens one."""
        if hasattr(self._here, "connection"):
            self._here.connection.close()

    def _ask(self, kind: type[T], method: str, path: str, body: object = None) -> T:
        data = None if body is None else json.dumps(body, default=datetime.isoformat).encode()
        again = 0
        while True:
            again, wait = again + 1, 0.0
            try:
                status, answer, after = self._once(method, self._base + path, data)
            except (OSError, HTTPException) as error:
                self.close()
                if again == TRIES:
                    raise Failed(f"{method} {path}: {error!r}") from error
            else:
                if 200 <= status < 300:
                    typed: T = _typed(kind, json.loads(answer))
                    return typed
                wait = float(after) if after.isdigit() else 0.1
                if status not in BUSY or again == TRIES or wait > LONGEST_WAIT:
                    raise Refused(status, answer, float(after) if after.isdigit() else None)
            time.sleep(wait + random.uniform(0, 0.2 * (again - 1) + wait / 4))  # noqa: S311

    def _once(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes, str]:
        if not hasattr(self._here, "connection"):
            self._here.connection = self._connect()
        self._here.connection.request(method, path, data, self._headers)
        response = self._here.connection.getresponse()
        return response.status, response.read(), response.headers.get("Retry-After", "")


def _query(asked: Asked) -> str:
    given = {k: str(v).lower() if isinstance(v, bool) else v for k, v in asked.items()}
    return "?" + urlencode(given, doseq=True)


def _body(asked: Asked) -> dict[str, object]:
    return {"where" if name == "filter" else name: value for name, value in asked.items()}


def _typed(kind: Any, value: Any) -> Any:
    """A decoded value as its type; fields that a newer server adds are passed over."""
    inner = get_args(kind)
    if getattr(kind, "__origin__", None) is list:
        return [_typed(inner[0], one) for one in value]
    if type(None) in inner and value is not None:
        return _typed(inner[0], value)
    if not hasattr(kind, "_fields"):
        return value
    return kind(**{n: _typed(t, value[n]) for n, t in types_of(kind).items() if n in value})
