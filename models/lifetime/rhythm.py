"""Rhythm: histories in, how often a shop's customers order and how soon they leave out.

A customer orders until she leaves, which she may do after any order with her own chance p. Gaps
between her orders are Erlang-k with her own pace λ; λ is gamma(r, α) and p is beta(a, b) over
customers. k = 1 is chance (Poisson), more is regular.

* BG/NBD: k = 1, nobody leaves right after the first order. Fader, Hardie & Lee, "Counting your
  customers" the easy way, Marketing Science 24 (2005).
* MBG/CNBD-k: she may also leave after the first order. Reutterer, Platzer & Schröder, Leveraging
  purchase regularity for predicting customer behavior the easy way, IJRM 38 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from models.lifetime.histories import Doubles, Histories
from models.lifetime.maximum import Prior, maximise

WEEK = 7.0
MEDIANS = (1.0, 10.0, 0.7, 2.5)  # r, α (weeks, for each of k), a, b
SPREAD = 1.5  # a factor of 4.5 either way is one standard deviation
MOST = 8  # of k


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Parameters of one shop; α in weeks. errors: the standard errors of r, α, a, b."""

    r: float
    alpha: float
    a: float
    b: float
    k: int = 1
    leaves_at_once: bool = False
    errors: tuple[float, ...] = ()
    log_likelihood: float = float("nan")
    customers: int = 0
    returned: int = 0

    @property
    def name(self) -> str:
        """What the literature calls it."""
        if not self.leaves_at_once:
            return "BG/NBD" if self.k == 1 else f"BG/CNBD-{self.k}"
        return "MBG/NBD" if self.k == 1 else f"MBG/CNBD-{self.k}"


def fit(
    known: Histories, *, k: int = 1, leaves_at_once: bool = False, prior: float = 1.0
) -> Rhythm:
    """The likeliest parameters of one model.

    prior: the weight of a weak log-normal prior (medians r 1, α 10 k weeks, a 0.7, b 2.5, each a
    factor of 4.5 either way); it decides in a small shop and is not felt in a large one. 0 is plain
    maximum likelihood, which raises ValueError where nobody came back.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    if k > 1 and np.isnan(known.log_gaps) and known.returned:
        raise ValueError(f"k above 1 needs the gaps between orders, got k {k} and no log_gaps")
    if not len(known):
        raise ValueError("a rhythm needs at least one customer who ordered, got none")
    if prior == 0 and not known.returned:
        raise ValueError(
            f"none of {int(known.customers.sum())} customers came back: maximum likelihood has "
            "no answer, give the prior a weight above 0"
        )
    r, alpha, a, b = MEDIANS
    model = _Likelihood(known, k, leaves_at_once)
    size = int(known.customers.sum())
    found = maximise(model, Prior((r, alpha * k, a, b), SPREAD, prior), size=size)
    r, alpha, a, b = (float(value) for value in found.values)
    return Rhythm(
        r=r,
        alpha=alpha,
        a=a,
        b=b,
        k=k,
        leaves_at_once=leaves_at_once,
        errors=tuple(float(error) for error in found.errors),
        log_likelihood=found.log_likelihood,
        customers=size,
        returned=known.returned,
    )


def choose(known: Histories, *, prior: float = 1.0) -> tuple[Rhythm, list[Rhythm]]:
    """The likeliest of BG/NBD and MBG/CNBD-k, and all that were tried; k rises while it helps."""
    tried = [fit(known, prior=prior), fit(known, leaves_at_once=True, prior=prior)]
    if not np.isnan(known.log_gaps) and known.returned:
        for k in range(2, MOST + 1):
            tried.append(fit(known, k=k, leaves_at_once=True, prior=prior))
            if tried[-1].log_likelihood < tried[-2].log_likelihood:
                break
    return max(tried, key=lambda one: one.log_likelihood), tried


class _Likelihood:
    """ln L(r, α, a, b) of some histories, and its gradient.

    With s = r + k x, u = (T - t) / (α + T) and the Pochhammer symbol (s)_j:
        L = B(a, b + x + z) / B(a, b) · Γ(s) / Γ(r) · α^r / (α + T)^s · (gone + there)
        gone = a / (b + x + z - 1) · ((α + T) / (α + t))^s, 0 for x = 0 in BG/NBD
        there = Σ_{j<k} (s)_j / j! · u^j
    z is 1 where one may leave after the first order. What depends on x alone is computed once for
    each x.
    """

    def __init__(self, known: Histories, k: int, leaves_at_once: bool) -> None:
        self.k, self.z = k, int(leaves_at_once)
        self.x, self.place = np.unique(known.repeat_orders, return_inverse=True)
        self.t = known.days_to_last_order / WEEK
        self.known = known.days_known / WEEK
        self.n = known.customers.astype(np.float64)
        self.of_x = np.bincount(self.place, self.n)
        orders = float(self.of_x @ self.x)
        gaps = known.log_gaps if k > 1 and orders else 0.0
        self.fixed = (k - 1) * gaps - orders * float(gammaln(k))

    def __call__(self, values: npt.NDArray[np.float64]) -> tuple[float, Doubles]:
        r, alpha, a, b = values
        k, z, x, place, n = self.k, self.z, self.x, self.place, self.n
        s = r + k * x
        end = np.log(alpha + self.known)
        later = end - np.log(alpha + self.t)  # ln((α + T) / (α + t))
        left = np.where(x + z > 0, b + x + z - 1, 1.0)
        gone = np.where(x + z > 0, np.log(a) - np.log(left), -np.inf)[place] + s[place] * later
        with np.errstate(divide="ignore"):
            u = np.log(self.known - self.t) - end
        terms = [np.zeros(len(n))]
        grown = np.zeros((k, len(x)))  # d ln (s)_j / ds
        rising = np.zeros(len(x))
        for j in range(1, k):
            rising = rising + np.log(s + j - 1) - np.log(j)
            grown[j] = grown[j - 1] + 1 / (s + j - 1)
            terms.append(rising[place] + j * u)
        top = np.maximum.reduce([gone, *terms])
        there = np.exp(np.array(terms) - top)  # (k, n)
        gone = np.exp(gone - top)
        total = gone + there.sum(axis=0)
        gone, there = gone / total, there / total
        by_x = (
            gammaln(b + x + z)
            + gammaln(a + b)
            - gammaln(a + b + x + z)
            - gammaln(b)
            + gammaln(s)
            - gammaln(r)
            + r * np.log(alpha)
        )
        value = float(self.of_x @ by_x + n @ (top + np.log(total) - s[place] * end)) + self.fixed
        ages = np.arange(k)
        off = 1 / (alpha + self.known)
        dr = self.of_x @ (digamma(s) - digamma(r) + np.log(alpha)) + n @ (
            gone * later - end + np.einsum("jn,jn->n", there, grown[:, place])
        )
        dalpha = n @ (
            r / alpha
            - s[place] * off
            + gone * s[place] * (off - 1 / (alpha + self.t))
            - (ages @ there) * off
        )
        both = digamma(a + b) - digamma(a + b + x + z)
        da = self.of_x @ both + n @ gone / a
        db = self.of_x @ (both + digamma(b + x + z) - digamma(b)) - n @ (gone / left[place])
        return value, np.array([dr, dalpha, da, db])
