"""Boosted trees as plain arrays: grown by LightGBM, asked without it, with the same answer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from models.least_squares import ONE
from models.scorer import Scores

LEFT, MISSING = 2, 8  # of LightGBM's decision types: what is missing goes left; NaN is missing
ROUNDS = 30  # that may pass without getting better
KINDS = {
    "roots": np.int64,
    "leaves": np.int64,
    "feature": np.int32,
    "threshold": np.float64,
    "decision": np.int8,
    "left": np.int32,
    "right": np.int32,
    "value": np.float64,
}


class Trees(NamedTuple):
    """Nodes of all trees, one tree after another; a child below 0 is the leaf ~child.

    roots: (trees,) first node, leaves: (trees,) first leaf; a tree of one leaf has the root -1.
    """

    roots: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    decision: npt.NDArray[np.int8]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]


def grow(
    x: Scores,
    good: npt.NDArray[Any],
    sizes: npt.NDArray[np.int64],
    *,
    trees: int,
    leaves: int,
    learning_rate: float,
    seed: int,
) -> Trees:
    """Trees that rank what is good first within each group (LambdaMART; Burges, 2010).

    x: (n, features), NaN where unknown. good: (n,) gain. sizes: (groups,) of the groups in x, in
    their order; a tenth of them says when to stop. The same for a seed, on one thread or many.
    """
    import lightgbm

    stops = np.random.default_rng(seed).random(len(sizes)) < 0.1
    if not 0 < stops.sum() < len(sizes):
        stops = np.arange(len(sizes)) == 0
    inside = np.repeat(stops, sizes)
    train = lightgbm.Dataset(x[~inside], good[~inside], group=sizes[~stops])
    valid = lightgbm.Dataset(x[inside], good[inside], group=sizes[stops], reference=train)
    booster = lightgbm.train(
        {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [10],
            "lambdarank_truncation_level": 20,
            "num_leaves": leaves,
            "learning_rate": learning_rate,
            "min_data_in_leaf": 50,
            "feature_fraction": 0.7,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        },
        train,
        trees,
        valid_sets=[valid],
        callbacks=[lightgbm.early_stopping(ROUNDS, verbose=False)],
    )
    return read(booster.model_to_string(num_iteration=booster.best_iteration))


def read(text: str) -> Trees:
    """The trees of a model as LightGBM writes it."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in Trees._fields}
    nodes = leaves = 0
    for tree in text.split("\nTree=")[1:]:
        line = dict(one.split("=", 1) for one in tree.splitlines() if "=" in one)
        values = np.array(line["leaf_value"].split(), np.float64)
        alone = len(values) == 1
        parts["roots"].append(np.array([-1 if alone else nodes]))
        parts["leaves"].append(np.array([leaves]))
        parts["value"].append(values)
        leaves += len(values)
        if alone:
            continue
        for name, field, kind in (
            ("feature", "split_feature", np.int32),
            ("threshold", "threshold", np.float64),
            ("decision", "decision_type", np.int8),
            ("left", "left_child", np.int32),
            ("right", "right_child", np.int32),
        ):
            parts[name].append(np.array(line[field].split(), np.float64).astype(kind))
        nodes += len(values) - 1
    return Trees(
        *(np.concatenate([np.zeros(0), *parts[name]]).astype(kind) for name, kind in KINDS.items())
    )


def evaluate(trees: Trees, x: Scores) -> npt.NDArray[np.float64]:
    """(n,) sum of the leaves that each row of (n, features) falls into; as LightGBM predicts."""
    out = np.zeros(len(x))
    with ONE:
        _evaluate(out, np.ascontiguousarray(x), *trees)
    return out


def least(trees: Trees) -> float:
    """No row's sum is below this."""
    ends = [*trees.leaves[1:], len(trees.value)]
    parts = (trees.value[a:b].min() for a, b in zip(trees.leaves, ends, strict=True))
    return float(sum(parts))


@njit(parallel=True, cache=True)  # type: ignore[misc, unused-ignore]
def _evaluate(out, x, roots, leaves, feature, threshold, decision, left, right, value):  # type: ignore[no-untyped-def]
    for row in prange(len(x)):
        total = np.float64(0)
        for tree in range(len(roots)):
            root, node = roots[tree], np.int64(0)
            if root < 0:
                total += value[leaves[tree]]
                continue
            while node >= 0:
                at = root + node
                v = np.float64(x[row, feature[at]])
                if np.isnan(v) and decision[at] & MISSING:
                    goes_left = decision[at] & LEFT != 0
                else:
                    if np.isnan(v):
                        v = np.float64(0)
                    goes_left = v <= threshold[at]
                node = left[at] if goes_left else right[at]
            total += value[leaves[tree] + ~node]
        out[row] = total
