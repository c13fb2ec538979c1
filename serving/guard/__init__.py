"""Guard: a request's headers in, who may ask what and how often out; too much work turned away."""

from __future__ import annotations

from serving.guard.edges import SECURE, Edges, merged
from serving.guard.headers import request_id
from serving.guard.keys import Caller, Guard
from serving.guard.load import Load, overloaded
from serving.guard.rates import Bucket
from serving.guard.routes import needed

__all__ = [
    "SECURE",
    "Bucket",
    "Caller",
    "Edges",
    "Guard",
    "Load",
    "merged",
    "needed",
    "overloaded",
    "request_id",
]
