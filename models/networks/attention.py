"""Rows of events in, what each customer wants next out: the network of sasrec, in torch and NumPy.

Kang, McAuley: Self-Attentive Sequential Recommendation, 2018; with the norm before each layer, a
bias by distance in place of positions (Raffel et al., 2020), and one embedding of products, of
length 1, for input and output. Learned arrays by name, L layers of h heads over f factors:

products (products, f); types, channels, gaps (values, f), row 0 being what is unknown, each only
where the events say; norms (L, 2, f); asks (L, f, 3 f), answers (L, f, f); distances (L, h,
length); inner (L, f, m), outer (L, m, f).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from models.scorer import Scores

CELLS = 1 << 20  # numbers in a block of logits or of hidden values: 4 MiB
EPSILON = 1e-5


def first(
    sizes: Mapping[str, int], factors: int, layers: int, heads: int, length: int, seed: int
) -> dict[str, Scores]:
    """Arrays to start from; sizes: of the embeddings, by name."""
    random = np.random.default_rng(seed)

    def draw(*shape: int, scale: float) -> Scores:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    f, m = factors, 4 * factors
    learned = {name: draw(size, f, scale=f**-0.5) for name, size in sizes.items()}
    return learned | {
        "norms": np.ones((layers, 2, f), np.float32),
        "asks": draw(layers, f, 3 * f, scale=f**-0.5),
        "answers": draw(layers, f, f, scale=(2 * f * layers) ** -0.5),
        "distances": np.zeros((layers, heads, length), np.float32),
        "inner": draw(layers, f, m, scale=f**-0.5),
        "outer": draw(layers, m, f, scale=(2 * m * layers) ** -0.5),
    }


def states(learned: Any, inputs: Mapping[str, Any], marks: Any, dropout: float) -> Any:
    """(rows, width, f) torch: the state, of length 1, after each event of packed rows.

    inputs: by name (rows, width) codes. marks: (rows, width) number of each place's sequence.
    """
    import torch
    from torch.nn import functional as fn

    def drop(x: Any) -> Any:
        return _dropped(x, dropout)

    rows, width = marks.shape
    f = learned["products"].shape[1]
    layers, heads, length = learned["distances"].shape
    x = sum(fn.embedding(codes, learned[name]) for name, codes in inputs.items())
    x = drop(x * f**0.5)
    place = torch.arange(width, device=marks.device)
    back = place[:, None] - place  # (width, width) how far each place looks back
    apart = (marks[:, :, None] != marks[:, None, :]) | (back < 0)
    hidden = torch.zeros(apart.shape, device=marks.device).masked_fill_(apart, -torch.inf)
    hidden = hidden[:, None]  # (rows, 1, width, width)
    for layer in range(layers):
        y = fn.layer_norm(x, (f,), learned["norms"][layer, 0], eps=EPSILON)
        asks = (y @ learned["asks"][layer]).view(rows, width, 3, heads, -1)
        q, k, v = asks.permute(2, 0, 3, 1, 4)  # (rows, heads, width, f / heads) each
        bias = learned["distances"][layer][:, back.clamp(0, length - 1)]  # (heads, width, width)
        weights = (q @ k.transpose(2, 3)) * (f // heads) ** -0.5 + (bias + hidden)
        y = drop(torch.softmax(weights, 3)) @ v
        x = x + drop(y.transpose(1, 2).reshape(rows, width, f) @ learned["answers"][layer])
        y = fn.layer_norm(x, (f,), learned["norms"][layer, 1], eps=EPSILON)
        y = fn.silu(y @ learned["inner"][layer])
        x = x + drop(y @ learned["outer"][layer])
    return fn.normalize(x, dim=2)


def last_states(learned: Mapping[str, Scores], inputs: Mapping[str, npt.NDArray[Any]]) -> Scores:
    """(rows, f) NumPy: the state after the last of (rows, n) events, n in each row; of length 1."""
    f = learned["products"].shape[1]
    layers, heads, length = learned["distances"].shape
    x = sum(learned[name][codes] for name, codes in inputs.items()) * np.float32(f**0.5)
    rows, n = x.shape[:2]
    for layer in range(layers):
        only = slice(n - 1, n) if layer == layers - 1 else slice(0, n)  # who asks
        back = np.arange(n)[only, None] - np.arange(n)
        y = _norm(x, learned["norms"][layer, 0])
        asks = learned["asks"][layer]
        q, k, v = (
            (part @ asks[:, start : start + f]).reshape(rows, -1, heads, f // heads)
            for part, start in ((y[:, only], 0), (y, f), (y, 2 * f))
        )
        bias = learned["distances"][layer][:, np.clip(back, 0, length - 1)]
        bias = np.where(back < 0, np.float32(-np.inf), bias)
        weights = q.transpose(0, 2, 1, 3) @ k.transpose(0, 2, 3, 1)  # (rows, heads, asking, n)
        weights = weights * np.float32((f // heads) ** -0.5) + bias
        weights = np.exp(weights - weights.max(axis=3, keepdims=True))
        weights /= weights.sum(axis=3, keepdims=True)
        y = (weights @ v.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3).reshape(rows, -1, f)
        x = x[:, only] + y @ learned["answers"][layer]
        y = _norm(x, learned["norms"][layer, 1]) @ learned["inner"][layer]
        x = x + (y * expit(y)) @ learned["outer"][layer]
    x = x[:, -1]
    unit: Scores = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
    return unit


def _dropped(x: Any, share: float) -> Any:
    """Dropout in steps of 1/256: eight places a random number, torch's own takes one each."""
    import torch

    bound = round(share * 256)
    if not bound:
        return x
    numbers = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    bytes = numbers.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
    return x * (bytes >= bound).to(x.dtype).mul_(256 / (256 - bound))


def _norm(x: Any, weight: Scores) -> Any:
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(EPSILON)) * weight


def full_loss(states: Any, products: Any, targets: Any) -> Any:
    """Mean cross-entropy of (n, f) states over all products; gradients in the same pass.

    Never more than CELLS logits at once: nothing is kept for the way back but the gradients.
    """
    return _full().apply(states, products, targets)


def sampled_loss(states: Any, products: Any, targets: Any, drawn: Any, log_odds: Any) -> Any:
    """The same over the target and the products `drawn` (k,) for all, corrected by logQ.

    log_odds: (k,) log of how often each is expected among the drawn. A drawn target doesn't count
    against itself. Bengio, Senécal: Adaptive Importance Sampling, 2008.
    """
    import torch
    from torch.nn import functional as fn

    right = (states * fn.embedding(targets, products)).sum(1, keepdim=True)  # (n, 1)
    wrong = states @ fn.embedding(drawn, products).T - log_odds  # (n, k)
    wrong = wrong.masked_fill(targets[:, None] == drawn, -torch.inf)
    logits = torch.cat((right, wrong), 1).float()
    return (logits.logsumexp(1) - logits[:, 0]).mean()


_FULL: list[Any] = []


def _full() -> Any:
    """The function with its own gradient; made once torch is wanted."""
    if _FULL:
        return _FULL[0]
    import torch

    class FullSoftmax(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, states: Any, products: Any, targets: Any) -> Any:
            n, step = len(states), max(1, CELLS // len(products))
            by_states, by_products = torch.empty_like(states), torch.zeros_like(products)
            logits = states.new_empty(min(n, step), len(products))
            loss = states.new_zeros(())
            for start in range(0, n, step):
                part, wanted = states[start : start + step], targets[start : start + step, None]
                block = torch.mm(part, products.T, out=logits[: len(part)])
                torch.softmax(block, 1, out=block)
                right = block.gather(1, wanted)
                loss -= right.clamp_min(1e-38).log().sum()
                block.scatter_(1, wanted, right - 1)  # softmax - target
                torch.mm(block, products, out=by_states[start : start + step])
                by_products.addmm_(block.T, part)
            by_states, by_products = by_states / n, by_products / n
            ctx.save_for_backward(by_states, by_products)
            return loss / n

        @staticmethod
        def backward(ctx: Any, above: Any) -> Any:
            by_states, by_products = ctx.saved_tensors
            return above * by_states, above * by_products, None

    _FULL.append(FullSoftmax)
    return FullSoftmax
