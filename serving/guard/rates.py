"""Rates: requests of one key over time in, whether this one is within its rate out."""

from __future__ import annotations


class Bucket:
    """A token bucket: `rate` requests a second, and as many at once (at least one).

    Two numbers a key, whatever it asks. The rate is of one process: behind a balancer each has
    its own.
    """

    __slots__ = ("at", "burst", "rate", "tokens")

    def __init__(self, rate: float, *, now: float) -> None:
        self.rate, self.burst = rate, max(rate, 1.0)
        self.tokens, self.at = self.burst, now

    def take(self, now: float) -> float:
        """Take one; 0 where there was one, else the seconds until there is. `now` never falls."""
        tokens = self.tokens + (now - self.at) * self.rate
        if tokens > self.burst:
            tokens = self.burst
        self.at = now
        if tokens < 1.0:
            self.tokens = tokens
            return (1.0 - tokens) / self.rate
        self.tokens = tokens - 1.0
        return 0.0
