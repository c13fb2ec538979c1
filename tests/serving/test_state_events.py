import asyncio
import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.metrics import Metrics
from serving.problems import Refused
from serving.state import Added, Event, StoreError
from serving.state.collect import Collected, collect, paths
from serving.state.events import line, read, timed
from serving.trials.shown import Shown

NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
GOOD = {"event_id": "e1", "event_type": "view_item", "product_id": "p1", "customer_id": "anna"}


def body(*changes: dict[str, object]) -> bytes:
    """A batch: a good event, changed as said, for each change."""
    return msgspec.json.encode({"events": [GOOD | change for change in changes]})


def refused(text: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(text, NOW)
    return caught.value


def test_a_good_batch_is_read():
    (event,) = read(body({"quantity": 2, "event_time": "2026-02-28T12:00:00+01:00"}), NOW)
    assert (event.quantity, event.channel) == (2.0, "web")
    assert event.event_time == datetime(2026, 2, 28, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"event_type": "vew_item"},
            "events[1].event_type must be one of view_item, add_to_cart, remove_from_cart,"
            " add_to_wishlist, purchase, refund, view_item_list, got 'vew_item'",
        ),
        ({"quantity": 0}, "events[1].quantity must be a number above 0, got 0"),
        ({"quantity": "2"}, "events[1].quantity must be a number above 0, got '2'"),
        ({"unit_price": -1}, "events[1].unit_price must be a number of at least 0, got -1"),
        ({"product_id": ""}, "events[1].product_id must be a text of 1 to 256 characters, got ''"),
        (
            {"event_time": "2026-03-01"},
            "events[1].event_time must be an RFC 3339 time with its offset, such as"
            " 2026-03-01T09:30:00Z, got '2026-03-01'",
        ),
        (
            {"event_time": "2026-03-03T00:00:00Z"},
            "events[1].event_time must be from the year 2 to 2026-03-02T00:00:00Z, a day from"
            " now, got '2026-03-03T00:00:00+00:00'",
        ),
        ({"customer_id": "a\0b"}, "events[1].customer_id must hold no NUL, got 'a\\x00b'"),
        (
            {"qty": 1},
            "events[1].qty is no field; there are event_id, event_type, product_id, event_time,"
            " channel, customer_id, quantity, unit_price, order_id, session_id, store_id,"
            " live_session_id, request_id",
        ),
    ],
)
def test_a_bad_event_is_named_with_its_value_and_what_is_wanted(change, said):
    problem = refused(body({}, change))
    assert (problem.status, problem.detail) == (422, said)
    assert problem.parameter == said.split(" ")[0]


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (b"{", 400, "the body must be JSON: Input data was truncated"),
        (b'{"events": []}', 422, "events must be a list of 1 to 1000 events, got 0 of them"),
        (b'{"events": [3]}', 422, "events[0] must be an event, got 3"),
        (b"{}", 422, "events is missing; there are events"),
        (b"[]", 422, "the body: Expected `object`, got `array`"),
        (b'{"events": [{"event_id": "e"}]}', 422, "events[0].event_type is missing; there are"),
        (b'{"events": [{"event_id": "\\ud800"}]}', 400, "the body must be JSON"),
        (b'{"events": [{"event_id": "\xff"}]}', 400, "the body must be JSON"),
        (b'{"events": [{"quantity": 1e999}]}', 422, "events[0].quantity must be a number above 0"),
        (b'{"events": [{"quantity": 0}], "x', 400, "the body must be JSON"),
        (b'{"events": [{"quantity": 0}], "events": []}', 422, "events[0].quantity must be"),
    ],
)
def test_a_bad_body_is_refused_in_words(text, status, said):
    problem = refused(text)
    assert problem.status == status
    assert problem.detail.startswith(said)


def test_a_thousand_events_are_taken_and_no_more():
    assert len(read(body(*[{}] * 1000), NOW)) == 1000
    assert refused(body(*[{}] * 1001)).detail == (
        "events must be a list of 1 to 1000 events, got 1001 of them"
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(Event.__struct_fields__), anything))
def test_whatever_is_sent_is_read_or_refused(fields):
    with contextlib.suppress(Refused):
        assert len(read(msgspec.json.encode({"events": [GOOD | fields]}), NOW)) == 1


def test_an_event_without_time_happened_as_it_arrived():
    (event,) = read(body({}), NOW)
    assert timed(event, NOW).event_time == datetime(2026, 3, 1, tzinfo=UTC)


def test_the_kept_line_says_the_channel_always():
    (event,) = read(body({}), NOW)
    assert msgspec.json.decode(line(event)) == GOOD | {"channel": "web"}
    (event,) = read(body({"channel": "store"}), NOW)
    assert msgspec.json.decode(line(event)) == GOOD | {"channel": "store"}


class Kept:
    """A store that answers as told."""

    def __init__(self, answer: Added | StoreError) -> None:
        self.answer = answer

    async def add(self, events, *, now):
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer


def sent(answer: Added | StoreError, text: bytes, known: str = "p1") -> Collected:
    shelf = SimpleNamespace(code=lambda product: 0 if product == known else -1)
    desk = SimpleNamespace(
        store=Kept(answer),
        watch=SimpleNamespace(shelf=shelf),
        shown=Shown(),
        metrics=Metrics(),
    )
    return msgspec.json.decode(asyncio.run(collect(desk, None, {}, text)), type=Collected)


def test_the_answer_counts_what_was_new_and_what_was_known():
    collected = sent(Added(2, 1), body({}, {}, {}))
    assert (collected.accepted, collected.known, collected.warnings) == (2, 1, ())


def test_unknown_products_are_taken_and_counted():
    (warning,) = sent(Added(3, 0), body({"product_id": "new"}, {}, {"product_id": "new"})).warnings
    assert (warning.code, warning.count) == ("unknown_products", 1)
    assert warning.detail == "not in the published model yet: 'new'"


def test_what_the_store_cannot_keep_is_not_acknowledged():
    with pytest.raises(Refused, match="the events were not taken: disk full") as caught:
        sent(StoreError("disk full"), body({}))
    assert caught.value.status == 503


def test_the_openapi_part_names_every_status():
    assert set(paths()["/v1/events"]["post"]["responses"]) == {"200", "400", "413", "422", "503"}
