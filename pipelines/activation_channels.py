"""Channels: where customers buy and what they agreed to in, the way to contact each out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.identity import resolve
from features.schemas import CHANNELS, CONSENTS
from features.tables import Tables
from pipelines.activation_people import Floats
from pipelines.activation_rules import ActivationError


class NoConsents(ActivationError):
    """A shop that requires consent and has told of none."""


def best_channel(
    tables: Tables,
    ids: pa.Array,
    habits: Floats,
    *,
    channels: Sequence[str],
    consent: Literal["required", "assumed"],
    as_of: datetime,
) -> pa.Array:
    """(n,) the channel of `channels` that each may be contacted by and uses most; null: none.

    habits: (n, CHANNELS). Where she uses none of them, the first that she may be contacted by.
    """
    allowed = _allowed(tables, ids, channels, consent, as_of)
    places = [CHANNELS.index(one) for one in channels]
    # The order in which the shop names them decides between equals.
    worth = np.where(allowed, habits[:, places], -1.0)
    best = worth.argmax(axis=1)
    none = ~allowed.any(axis=1)
    return pc.take(pa.array(list(channels)), pa.array(best, mask=none))


def _allowed(
    tables: Tables,
    ids: pa.Array,
    channels: Sequence[str],
    consent: Literal["required", "assumed"],
    as_of: datetime,
) -> npt.NDArray[np.bool_]:
    """(n, channels): what each agreed to, by the newest word of each channel as of a moment."""
    snapshot = tables.current("consents")
    if snapshot is None and consent == "required":
        raise NoConsents(
            f"no table consents in {tables.root}, and [activation] consent is required: ingest who "
            'agreed to what, or say consent = "assumed" where all did or the sender checks it'
        )
    allowed = np.full((len(ids), len(channels)), consent == "assumed")
    said = CONSENTS.empty_table() if snapshot is None else snapshot.read()
    said = said.filter(pc.less_equal(said["observed_at"], pa.scalar(as_of)))
    customer = whose(tables, said["customer_id"], as_of=as_of)
    row = pc.fill_null(pc.index_in(customer, value_set=ids), -1).to_numpy()
    place = pc.fill_null(pc.index_in(said["channel"], value_set=pa.array(list(channels))), -1)
    place, given = place.to_numpy(), said["given"].to_numpy()
    time = pc.cast(said["observed_at"], pa.int64()).to_numpy()
    order = np.lexsort((~given, time))  # at one moment a no comes last, and holds
    order = order[(row[order] >= 0) & (place[order] >= 0)]
    # Duplicate places: NumPy keeps the last value assigned, which is the newest word.
    allowed[row[order], place[order]] = given[order]
    return allowed


def whose(tables: Tables, ids: pa.ChunkedArray, *, as_of: datetime) -> pa.Array:
    """Each id's customer by the links known then, itself where none says otherwise."""
    links = tables.current("identities")
    plain = ids.combine_chunks()
    if links is None:
        return plain
    names = resolve(links.read(), as_of=as_of)
    place = pc.index_in(plain, value_set=names["identity"].combine_chunks())
    return pc.coalesce(names["resolved_id"].combine_chunks().take(place), plain)
