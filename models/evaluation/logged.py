"""Logs: tables of exposures and of another policy in, checked arrays that off-policy estimates use.

Rows are put in the order of request and position, so that no result depends on theirs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.evaluation.codes import Floats, Places, column, encode, ids, place

ROUNDING = 1e-6  # how far above 1 a propensity of single precision may come
NEAR = 1e-3  # how far from 1 the probabilities of one position may sum


class Logged(NamedTuple):
    """n exposures by request and position; codes are dense, positions are the page's own.

    unit: (n,), what is drawn anew for an interval, such as the request or the customer.
    request_ids, product_ids: ids by code.
    """

    request: Places
    position: Places
    product: Places
    unit: Places
    propensity: Floats
    reward: Floats
    request_ids: pa.Array
    product_ids: pa.Array

    def at(self, row: int) -> str:
        """Where a row stands, for an error."""
        return f"request {self.request_ids[int(self.request[row])]}, position {self.position[row]}"


class Target(NamedTuple):
    """What another policy would show: t rows of product and probability, by group of choice.

    A group is one position of one request, or one position of all requests where the policy is the
    same for all; groups are numbered in the order of the exposures, or of positions.
    group, product, probability, predicted: (t,); predicted is None where the table has none.
    of_row: (n,), the group of each exposure. shown: (n,), the row of its product, -1: none.
    """

    group: Places
    product: Places
    probability: Floats
    predicted: Floats | None
    of_row: Places
    shown: Places

    def weights(self, logged: Logged) -> Floats:
        """(n,) how much more often the target shows each exposure's product than the log did."""
        chance = np.where(self.shown < 0, 0.0, self.probability[self.shown])
        return chance / logged.propensity

    @property
    def row(self) -> Places:
        """(t,) an exposure in the place of each row of the target."""
        any_of = np.empty(int(self.of_row.max()) + 1, np.int64)
        any_of[self.of_row] = np.arange(len(self.of_row))
        return np.asarray(any_of[self.group])

    def mean(self, of_target: Floats) -> Floats:
        """(n,) the mean over what the target would show in each exposure's place."""
        sums = np.bincount(self.group, self.probability * of_target, self.of_row.max() + 1)
        return np.asarray(sums[self.of_row], np.float64)


def read(exposures: pa.Table, target: pa.Table, *, by: str, reward: str) -> tuple[Logged, Target]:
    """Both tables, the target's distribution over products complete in every place shown."""
    logged, target_products = _exposures(exposures, target, by=by, reward=reward)
    found = _target(target, target_products, logged)
    _sums(found, logged)
    return logged, found


def read_shown(
    exposures: pa.Table, target: pa.Table, *, by: str, reward: str
) -> tuple[Logged, Target]:
    """Both tables, the target's probability known of every product shown; of others it may be.

    Propensities are `propensity_given_above` where the exposures have it, as a server's log does.
    """
    chance = "propensity_given_above"
    chance = chance if chance in exposures.column_names else "propensity"
    logged, target_products = _exposures(exposures, target, by=by, reward=reward, propensity=chance)
    found = _target(target, target_products, logged)
    missing = np.flatnonzero(found.shown < 0)
    if missing.size:
        raise ValueError(
            "target must hold the probability of every product shown, got none for "
            f"{logged.product_ids[int(logged.product[missing[0]])]}, {logged.at(missing[0])}"
        )
    return logged, found


def unseen(logged: Logged, target: Target) -> Floats:
    """(t,) 1 where the log never shows the target's product at that position, else 0."""
    width = len(logged.product_ids)
    seen = np.unique(logged.position * width + logged.product)
    wanted = logged.position[target.row] * width + target.product
    return (~np.isin(wanted, seen)).astype(np.float64)


def _exposures(
    table: pa.Table, target: pa.Table, *, by: str, reward: str, propensity: str = "propensity"
) -> tuple[Logged, Places]:
    """The exposures, and the target's products in the same codes."""
    if not table.num_rows:
        raise ValueError("exposures must hold rows, got none")
    request, requests = _sorted_codes(ids(table, "request_id", of="exposures"))
    unit, units = _sorted_codes(ids(table, by, of="exposures"))
    if len(units) < 2:
        raise ValueError(f"exposures must hold at least two of {by}, got only {units[0]}")
    position = _positions(table, of="exposures")
    (product, in_target), product_ids = encode(
        ids(table, "product_id", of="exposures"), ids(target, "product_id", of="target")
    )
    order = np.lexsort((position, request))
    logged = Logged(
        request[order],
        position[order],
        product[order],
        unit[order],
        _floats(table, propensity, of="exposures")[order],
        _floats(table, reward, of="exposures")[order],
        requests,
        product_ids,
    )
    twice = np.flatnonzero((np.diff(logged.request) == 0) & (np.diff(logged.position) == 0))
    if twice.size:
        raise ValueError(
            f"exposures must have one row a position, got two of {logged.at(twice[0])}"
        )
    wrong = np.flatnonzero(~((logged.propensity > 0) & (logged.propensity <= 1 + ROUNDING)))
    if wrong.size:
        raise ValueError(
            f"exposures.{propensity} must be above 0 and at most 1, got "
            f"{logged.propensity[wrong[0]]:g} for {logged.at(wrong[0])}"
        )
    wrong = np.flatnonzero(~np.isfinite(logged.reward))
    if wrong.size:
        raise ValueError(
            f"exposures.{reward} must be finite, got {logged.reward[wrong[0]]} "
            f"for {logged.at(wrong[0])}"
        )
    return logged, in_target


def _target(table: pa.Table, product: Places, logged: Logged) -> Target:
    """The target's rows of places that were shown, sorted by group; the others are of no use."""
    position = _positions(table, of="target")
    probability = _floats(table, "probability", of="target")
    wrong = np.flatnonzero(~((probability >= 0) & (probability <= 1 + NEAR)))
    if wrong.size:
        raise ValueError(
            "target.probability must be between 0 and 1, got "
            f"{probability[wrong[0]]:g} for {_name(table, wrong[0])}"
        )
    width = int(max(logged.position.max(), position.max(initial=1))) + 1
    if "request_id" in table.column_names:
        request = place(ids(table, "request_id", of="target"), logged.request_ids)
        places, of_row = logged.request * width + logged.position, np.arange(len(logged.request))
        key = np.where(request < 0, -1, request * width + position)
    else:
        places, of_row = np.unique(logged.position, return_inverse=True)
        key = position
    group = np.minimum(np.searchsorted(places, key), len(places) - 1)
    kept = np.flatnonzero(places[group] == key)
    products = len(logged.product_ids)
    keys = group[kept] * products + product[kept]
    order = np.argsort(keys, kind="stable")
    keys, kept = keys[order], kept[order]
    twice = np.flatnonzero(np.diff(keys) == 0)
    if twice.size:
        raise ValueError(
            "target must have one row a product and place, got two of "
            f"{_name(table, kept[twice[0]])}"
        )
    wanted = of_row * products + logged.product
    shown = np.searchsorted(keys, wanted)
    at = np.minimum(shown, max(len(keys) - 1, 0))
    found = keys[at] == wanted if len(keys) else np.zeros(len(wanted), np.bool_)
    predicted = None
    if "predicted" in table.column_names:
        predicted = _floats(table, "predicted", of="target")
        wrong = kept[~np.isfinite(predicted[kept])]
        if wrong.size:
            raise ValueError(
                f"target.predicted must be finite, got {predicted[wrong[0]]} "
                f"for {_name(table, wrong[0])}"
            )
        predicted = predicted[kept]
    return Target(
        group[kept], product[kept], probability[kept], predicted, of_row, np.where(found, at, -1)
    )


def _sums(target: Target, logged: Logged) -> None:
    """Raise unless the target's probabilities are a distribution in every place shown."""
    sums = target.mean(np.ones(len(target.group))) if len(target.group) else np.zeros(1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= NEAR))
    if wrong.size:
        raise ValueError(
            "target.probability must sum to 1 over the products of a place, got "
            f"{sums[wrong[0]]:.4g} for {logged.at(wrong[0])}"
        )


def _name(table: pa.Table, row: int) -> str:
    """What a row of the target is of, for an error."""
    return ", ".join(
        f"{name.removesuffix('_id')} {table[name][int(row)]}"
        for name in ("request_id", "position", "product_id")
        if name in table.column_names
    )


def _positions(table: pa.Table, *, of: str) -> Places:
    values = column(table, "position", of=of)
    if not pa.types.is_integer(values.type):
        raise ValueError(f"{of}.position must be whole numbers, got {values.type}")
    positions: Places = values.to_numpy().astype(np.int64)
    if positions.min(initial=1) < 1:
        raise ValueError(f"{of}.position must be at least 1, got {positions.min()}")
    return positions


def _floats(table: pa.Table, name: str, *, of: str) -> Floats:
    values = column(table, name, of=of)
    if not (
        pa.types.is_floating(values.type)
        or pa.types.is_integer(values.type)
        or pa.types.is_decimal(values.type)
        or pa.types.is_boolean(values.type)
    ):
        raise ValueError(f"{of}.{name} must be numbers, got {values.type}")
    floats: npt.NDArray[np.float64] = values.cast(pa.float64()).to_numpy()
    return floats


def _sorted_codes(values: pa.ChunkedArray) -> tuple[Places, pa.Array]:
    """Codes in the order of the ids, so that they do not depend on the order of rows."""
    (codes,), words = encode(values)
    order = pc.sort_indices(words)
    turn = np.empty(len(words), np.int64)
    turn[order.to_numpy()] = np.arange(len(words))
    return turn[codes], words.take(order)
