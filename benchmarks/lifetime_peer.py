"""Run in the peers' environment: order columns in, what the library `lifetimes` says out."""

from __future__ import annotations

import importlib
import json
import sys
import time

import numpy as np


def main(given: str, told: str, days: str) -> None:
    fitter = importlib.import_module("lifetimes").BetaGeoFitter

    with np.load(given) as arrays:
        x, t, age = (arrays[name].astype(float) for name in ("x", "t", "age"))
    x, t, age, horizon = x, t / 7, age / 7, float(days) / 7
    began = time.perf_counter()
    model = fitter(penalizer_coef=0.0)
    model.fit(x, t, age)
    fitted = time.perf_counter()
    expected = model.conditional_expected_number_of_purchases_up_to_time(horizon, x, t, age)
    alive = model.conditional_probability_alive(x, t, age)
    done = time.perf_counter()
    np.savez(told, expected=np.asarray(expected), alive=np.asarray(alive).ravel())
    print(
        json.dumps(
            {
                "parameters": {name: float(value) for name, value in model.params_.items()},
                "log_likelihood": float(-model._negative_log_likelihood_ * len(x))
                if hasattr(model, "_negative_log_likelihood_")
                else None,
                "fit_seconds": fitted - began,
                "seconds": done - began,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
