"""Exploration: ranked candidates in, what is shown, with the chance of each place, out.

With probability `share` the n shown are a uniformly random ordered draw from the first m = 3 n
candidates, else the ranked list. A log with these chances can say what another ranking would have
earned (docs/off-policy.md). With s the share and q_k = 1 / (m (m - 1) ... (m - k + 1)):
    stands there             s / m, plus 1 - s where it is the ranked product of that place
    given what stands above  (s q_k + (1 - s) [the first k are the ranked]) /
                             (s q_k-1 + (1 - s) [the first k - 1 are the ranked])
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

WIDER = 3  # a random draw is from so many times as many candidates as are shown


class Drawn(NamedTuple):
    """What is shown.

    propensities, given_above: (shown,) the chance that each stands at its place, and that given
    what stands above it. explored: whether it was the random draw.
    """

    codes: list[int]
    propensities: Sequence[float]
    given_above: Sequence[float]
    explored: bool


def draw(codes: list[int], n: int, share: float, rng: random.Random) -> Drawn:
    """The n that are shown of ranked candidates, best first; fewer where there are fewer.

    codes: 3 n of them for the widest draw; pinned products are not candidates. share: 0 to 1.
    """
    ranked = codes[:n]
    n = len(ranked)
    if not share or not n:
        ones = _ones(n)
        return Drawn(ranked, ones, ones, False)
    m = min(WIDER * n, len(codes))
    if rng.random() >= share:
        return Drawn(ranked, *_ranked(n, m, share), False)
    places = rng.sample(range(m), n)
    always, sometimes = share / m + 1 - share, share / m
    propensities, given_above = [], []
    same, of_draw = True, share  # of_draw: the chance of the draw and of what stands above, s q_k
    for position, place in enumerate(places):
        above = of_draw + (1 - share if same else 0.0)
        same = same and place == position
        of_draw /= m - position
        given_above.append((of_draw + (1 - share if same else 0.0)) / above)
        propensities.append(always if place == position else sometimes)
    return Drawn([codes[place] for place in places], propensities, given_above, True)


@lru_cache(maxsize=1024)
def _ranked(n: int, m: int, share: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Both chances of every place of the ranked list."""
    given_above, of_draw = [], share
    for position in range(n):
        above = of_draw + 1 - share
        of_draw /= m - position
        given_above.append((of_draw + 1 - share) / above)
    return (share / m + 1 - share,) * n, tuple(given_above)


@lru_cache(maxsize=1024)
def _ones(n: int) -> tuple[float, ...]:
    return (1.0,) * n
