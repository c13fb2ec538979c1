"""Statistics: simulated tests and worlds in, whether they err as often as they promise out.

    .venv/bin/python benchmarks/statistics.py --tests 500 --worlds 200 --json statistics.json

First live tests: what is simulated, and what each rate means, benchmarks/live_tests.py. Beside each
rate stands the interval that so many tests leave around the rate that was promised (binomial,
95 %). Then off-policy estimates: how often their intervals hold the truth,
benchmarks/statistics_replay.py.

The file is called as a module of the standard library, and a script's folder is looked through
first: it takes its folder out, and is the standard module to any other script beside it.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

if __name__ == "statistics":
    found = spec_from_file_location(__name__, Path(sysconfig.get_path("stdlib"), "statistics.py"))
    if found is None or found.loader is None:
        raise ImportError("the standard library has no statistics")
    sys.modules[__name__] = module_from_spec(found)
    found.loader.exec_module(sys.modules[__name__])


def main() -> None:
    import argparse
    import json
    import time

    from benchmarks import live_tests, statistics_replay

    parser = argparse.ArgumentParser(description="How often tests and estimates err.")
    parser.add_argument("--tests", type=int, default=500, help="0: none")
    parser.add_argument("--worlds", type=int, default=200, help="0: none")
    parser.add_argument("--effect", type=float, default=0.12, help="relative, where there is one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    start, rows = time.perf_counter(), []
    for row in live_tests.run(given.tests, given.seed, given.effect) if given.tests else ():
        low, high = row["expected"] or (None, None)
        print(
            f"{row['what']:58} {row['called']:4d} of {row['tests']:4d} {row['rate']:6.1%}"
            + ("" if low is None else f"   promised {row['nominal']:.1%}: {low:.1%} to {high:.1%}")
            + (f"   {row['note']}" if row["note"] else ""),
            flush=True,
        )
        rows.append(row)
    seed = given.seed + 1  # the one that docs/off-policy.md prints
    worlds = statistics_replay.show(given.worlds, seed=seed) if given.worlds else []
    print(f"{time.perf_counter() - start:.0f} s")
    if given.json:
        told = {"tests": rows, "worlds": worlds}
        given.json.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path = [place for place in sys.path if not place or Path(place).resolve() != here]
    main()
