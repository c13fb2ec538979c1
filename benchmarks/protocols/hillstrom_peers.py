"""Customers in parts in, scores of every learner of scikit-uplift out; run where it is installed.

PYTHON benchmarks/protocols/hillstrom_peers.py GIVEN.npz MADE.npz
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def main() -> None:
    warnings.simplefilter("ignore")
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
    from sklift.models import ClassTransformation, SoloModel, TwoModels  # type: ignore

    def trees() -> Any:
        return LGBMClassifier(
            n_estimators=100, num_leaves=6, learning_rate=0.05, min_child_samples=200,
            random_state=0, n_jobs=1, verbose=-1,
        )  # fmt: skip

    def logistic() -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1))

    learners: dict[str, Callable[[Any], Any]] = {
        "solo": lambda make: SoloModel(make()),
        "solo, interactions": lambda make: SoloModel(make(), method="treatment_interaction"),
        "two models": lambda make: TwoModels(make(), make()),
        "two models, control first": lambda make: TwoModels(make(), make(), method="ddr_control"),
        "class transformation": lambda make: ClassTransformation(make()),
    }
    with np.load(sys.argv[1]) as given:
        known, part = given["known"], given["part"]
        contacted, outcome = given["contacted"].astype(int), given["outcome"].astype(int)
    import pandas as pd

    table = pd.DataFrame(known, columns=[f"known_{i}" for i in range(known.shape[1])])
    made: dict[str, Any] = {}
    for base, make in (("trees", trees), ("logistic", logistic)):
        for name, learner in learners.items():
            scores = np.empty(len(outcome))
            for one in np.unique(part):
                inside = part != one
                model = learner(make)
                model.fit(table[inside], pd.Series(outcome)[inside], pd.Series(contacted)[inside])
                scores[~inside] = model.predict(table[~inside])
            made[f"{name} of {base}"] = scores
    np.savez(sys.argv[2], **made)


if __name__ == "__main__":
    main()
