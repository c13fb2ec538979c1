"""Identities: links between ids known at a time in, one customer for each id out.

A link says that `kind:value` and another id, a customer's or again a `kind:value`, are one
person's. Ids that links join, over any chain, are one customer: the smallest customer id among
them in the order of its bytes. So two customer ids that share a card become one customer, the
smaller; ids that lead to no customer id stay anonymous. An id with a colon is a `kind:value`.
"""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

RESOLVED = pa.schema([("identity", pa.string()), ("resolved_id", pa.string())])


def resolve(links: pa.Table, *, as_of: datetime) -> pa.Table:
    """(identity, resolved_id): each id whose customer is not itself, as known at `as_of`."""
    known = links.filter(
        pc.or_kleene(
            pc.is_null(links["linked_at"]),
            pc.less_equal(links["linked_at"], pa.scalar(as_of, links["linked_at"].type)),
        )
    )
    if not known.num_rows:
        return RESOLVED.empty_table()
    ones = pc.binary_join_element_wise(known["kind"], known["value"], ":")
    both = pa.chunked_array([*ones.chunks, *known["customer_id"].chunks], pa.string())
    encoded = both.combine_chunks().dictionary_encode()
    ids, codes = encoded.dictionary, encoded.indices.to_numpy()
    n = known.num_rows
    edges = coo_matrix((np.ones(n, np.int8), (codes[:n], codes[n:])), (len(ids), len(ids)))
    groups, group = connected_components(edges, directed=False)  # group: (ids,)
    people = np.flatnonzero(~pc.match_substring(ids, ":").to_numpy(zero_copy_only=False))
    # Written from the greatest to the smallest, so that the smallest of each group stays.
    people = people[pc.array_sort_indices(ids.take(pa.array(people)), order="descending")]
    smallest = np.full(groups, -1, np.int64)
    smallest[group[people]] = people
    chosen = smallest[group]  # (ids,)
    kept = np.flatnonzero((chosen >= 0) & (chosen != np.arange(len(ids))))
    return pa.table([ids.take(pa.array(kept)), ids.take(pa.array(chosen[kept]))], schema=RESOLVED)


def resolved(events: ir.Table, names: ir.Table | None, column: str = "customer_id") -> ir.Table:
    """The events with their customer by what `resolve` gave in a column; null where anonymous."""
    if names is None:
        return events.mutate(**{column: _plain(events.customer_id)})
    joined = events.left_join(names, events.customer_id == names.identity)
    customer = ibis.coalesce(joined.resolved_id, _plain(joined.customer_id))
    return joined.mutate(**{column: customer}).drop("identity", "resolved_id")


def _plain(id: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(id.contains(":"), ibis.null("string"), id)


def moved(before: ir.Table, after: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Who is touched by the change between two results of `resolve`.

    (identity): every id whose events belong to a customer that an id came to or left, or that
    themselves moved; (customer_id): those customers.
    """
    old = before.select("identity", old_id=before.resolved_id)
    both = old.outer_join(after, "identity")
    id = ibis.coalesce(both.identity, both.identity_right)
    both = both.select(
        identity=id,
        old_id=ibis.coalesce(both.old_id, _plain(id)),
        new_id=ibis.coalesce(both.resolved_id, _plain(id)),
    )
    both = both.filter(both.old_id.fill_null("") != both.new_id.fill_null(""))
    customers = (
        both.select(customer_id=both.old_id)
        .union(both.select(customer_id=both.new_id))
        .filter(ibis._.customer_id.notnull())
        .distinct()
    )
    theirs = after.semi_join(customers, after.resolved_id == customers.customer_id)
    ids = (
        both.select("identity")
        .union(customers.select(identity=customers.customer_id))
        .union(theirs.select("identity"))
        .distinct()
    )
    return ids, customers
