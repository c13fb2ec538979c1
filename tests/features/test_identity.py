"""Links between ids in, one customer for each out."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engine import Engine
from features.identity import moved, resolve, resolved


def mapping(table: pa.Table) -> dict[str, str]:
    return dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


def test_a_chain_of_links_leads_to_the_customer(shop: SimpleNamespace) -> None:
    links = shop.links([("cookie:1", "card:7", None), ("card:7", "anna", None)])
    assert mapping(resolve(links, as_of=shop.time(0))) == {"cookie:1": "anna", "card:7": "anna"}


def test_two_customers_who_share_a_card_are_the_smaller_one(shop: SimpleNamespace) -> None:
    links = shop.links([("card:7", "ben", None), ("card:7", "anna", None)])
    assert mapping(resolve(links, as_of=shop.time(0))) == {"card:7": "anna", "ben": "anna"}


def test_a_link_made_later_is_not_known(shop: SimpleNamespace) -> None:
    links = shop.links([("cookie:1", "anna", 2.0)])
    assert mapping(resolve(links, as_of=shop.time(1.99))) == {}
    assert mapping(resolve(links, as_of=shop.time(2.0))) == {"cookie:1": "anna"}


def test_ids_that_lead_to_no_customer_stay_anonymous(shop: SimpleNamespace, engine: Engine) -> None:
    names = resolve(shop.links([("cookie:1", "card:7", None)]), as_of=shop.time(0))
    assert names.num_rows == 0
    events = shop.table(
        [shop.event(0, id=id, customer_id=id) for id in ("anna", "cookie:1", "card:7")]
    )
    rows = resolved(engine.rows(events), engine.rows(names)).to_pyarrow()
    assert mapping(rows.select(["event_id", "customer_id"])) == {
        "anna": "anna",
        "cookie:1": None,
        "card:7": None,
    }


def slow(links: list[tuple[str, str, float | None]], day: float) -> dict[str, str]:
    """Groups merged until nothing merges any more."""
    groups: list[set[str]] = []
    for one, other, since in links:
        if since is None or since <= day:
            meeting = [group for group in groups if group & {one, other}]
            groups = [group for group in groups if not group & {one, other}]
            groups.append({one, other}.union(*meeting))
    found = {}
    for group in groups:
        customers = sorted(id for id in group if ":" not in id)
        found.update({id: customers[0] for id in group if customers and id != customers[0]})
    return found


@given(data=st.data(), day=st.integers(0, 10))
@settings(max_examples=100, deadline=None)
def test_resolving_agrees_with_merging_groups_one_by_one(
    shop: SimpleNamespace, data: st.DataObject, day: int
) -> None:
    links = data.draw(shop.draw_links)
    assert mapping(resolve(shop.links(links), as_of=shop.time(day))) == slow(links, day)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_whoever_did_not_move_keeps_her_events(
    shop: SimpleNamespace, engine: Engine, data: st.DataObject
) -> None:
    before, after = (
        resolve(shop.links(data.draw(shop.draw_links)), as_of=shop.time(9)) for _ in "ab"
    )
    ids, customers = moved(engine.rows(before), engine.rows(after))
    touched = set(ids.to_pyarrow()["identity"].to_pylist())
    people = set(customers.to_pyarrow()["customer_id"].to_pylist())
    then, now = mapping(before), mapping(after)
    for id in ("anna", "ben", "carl", "dora", "cookie:1", "cookie:2", "card:7"):
        own = None if ":" in id else id
        old, new = then.get(id, own), now.get(id, own)
        assert (old != new) <= ({old, new} - {None} <= people)
        assert (id in touched) == (old != new or old in people)
