"""Draft: two arms' rankings and a request's id in, one list and the arm that picked each out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draft(
    a: Sequence[int], b: Sequence[int], n: int, *, request_id: str, arms: tuple[str, str]
) -> tuple[list[int], list[str]]:
    """Team draft (`models.evaluation.interleave`) of at most n codes; arms: of a and of b.

    The coin is a hash of the request's id, so that an answer can be told again.
    """
    from models.evaluation.interleave import team_draft  # not before a test needs it

    seed = int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=8).digest(), "big")
    name = {"a": arms[0], "b": arms[1]}
    drafted = team_draft(a, b, n, seed=seed)
    return [code for code, _ in drafted], [name[team] for _, team in drafted]
