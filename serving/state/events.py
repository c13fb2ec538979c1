"""Events: the body of POST /v1/events in, checked events or what is wrong with them out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from features.schemas import CHANNELS, EVENT_TYPES
from serving.answers import LONGEST, Text
from serving.problems import Refused, shown

MOST_EVENTS = 1000
AHEAD = timedelta(days=1)  # how far a caller's clock may be ahead of ours

Type = Literal[EVENT_TYPES]  # type: ignore[valid-type]
Channel = Literal[CHANNELS]  # type: ignore[valid-type]
Time = Annotated[datetime, Meta(tz=True)]


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """One thing that happened, in the words of the `events` table.

    `event_id` makes sending it again harmless. `event_time` with its offset; when absent, it
    happened as it arrived. `customer_id` may be an id that the storefront gave a visitor; an
    event without one is kept for training alone. `request_id`: of the answer that led here.
    """

    event_id: Text
    event_type: Type
    product_id: Text
    event_time: Time | None = None
    channel: Channel = "web"
    customer_id: Text | None = None
    quantity: Annotated[float, Meta(gt=0)] | None = None
    unit_price: Annotated[float, Meta(ge=0)] | None = None
    order_id: Text | None = None
    session_id: Text | None = None
    store_id: Text | None = None
    live_session_id: Text | None = None
    request_id: Text | None = None


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/events: all of it is taken or nothing."""

    events: Annotated[tuple[Event, ...], Meta(min_length=1, max_length=MOST_EVENTS)]


def read(body: bytes, now: float) -> tuple[Event, ...]:
    """The events of a body; raises Refused that names the first field that cannot be meant."""
    try:
        events = _DECODER.decode(body).events
    except msgspec.ValidationError as error:
        raise _refusal(str(error), body) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body must be JSON: {error}") from None
    latest = datetime.fromtimestamp(now, UTC) + AHEAD
    for place, event in enumerate(events):
        if event.event_time is not None and not _sound(event.event_time, latest):
            name = f"events[{place}].event_time"
            want = f"must be from the year 2 to {latest:%Y-%m-%dT%H:%M:%SZ}, a day from now"
            raise Refused(422, f"{name} {want}, got {shown(event.event_time.isoformat())}", name)
    if b"\\u0000" in body:
        _without_nul(events)
    return events


_encode = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(Batch)
_plain: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=float)
_WANTS = {
    "event_type": f"one of {', '.join(EVENT_TYPES)}",
    "channel": f"one of {', '.join(CHANNELS)}",
    "event_time": "an RFC 3339 time with its offset, such as 2026-03-01T09:30:00Z",
    "quantity": "a number above 0",
    "unit_price": "a number of at least 0",
    "events": f"a list of 1 to {MOST_EVENTS} events",
}


def timed(event: Event, now: float) -> Event:
    """The event with its time in UTC; without one it happens now."""
    time = datetime.fromtimestamp(now, UTC) if event.event_time is None else event.event_time
    return msgspec.structs.replace(event, event_time=time.astimezone(UTC))


def line(event: Event) -> str:
    """An event as one line of JSON, as stores keep it: `{"channel":`, then what else is known."""
    text = _encode(event).decode()
    return text if event.channel != "web" else f'{{"channel":"web",{text[1:]}'


def _sound(time: datetime, latest: datetime) -> bool:
    """A time that is not ahead and that moving to UTC cannot bring out of the calendar."""
    return time.year > 1 and time <= latest


def _refusal(message: str, body: bytes) -> Refused:
    """What msgspec said, with the place, the value that stands there and what is wanted."""
    detail, _, path = message.partition(" - at ")
    place = path.strip("`").removeprefix("$").removeprefix(".")
    if "unknown field" in detail or "required field" in detail:
        field = detail.split("`")[1]
        place = f"{place}.{field}".removeprefix(".")
        problem = "is missing" if "required" in detail else "is no field"
        known = Event.__struct_fields__ if "[" in place else ("events",)
        return Refused(422, f"{place} {problem}; there are {', '.join(known)}", place)
    if not place:
        return Refused(422, f"the body: {detail}")
    field = re.split(r"[.]", place)[-1]
    want = _WANTS.get(field, f"a text of 1 to {LONGEST} characters" if "." in place else "an event")
    return Refused(422, f"{place} must be {want}, got {_got(place, body)}", place)


def _got(place: str, body: bytes) -> str:
    """What stands at a place of a body, for an error; raises Refused where it is no JSON."""
    try:
        value = _plain.decode(body)
        for name, index in re.findall(r"(\w+)|\[(\d+)\]", place):
            value = value[int(index)] if index else value[name]
    except msgspec.DecodeError as error:  # behind the place
        raise Refused(400, f"the body must be JSON: {error}") from None
    except (LookupError, TypeError):  # a name stands twice
        return "another"
    return f"{len(value)} of them" if isinstance(value, list) else shown(value)


def _without_nul(events: tuple[Event, ...]) -> None:
    """No text may hold the character that ends texts elsewhere."""
    for place, event in enumerate(events):
        for name in Event.__struct_fields__:
            value = getattr(event, name)
            if isinstance(value, str) and "\0" in value:
                where = f"events[{place}].{name}"
                raise Refused(422, f"{where} must hold no NUL, got {shown(value)}", where)
