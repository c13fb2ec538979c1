"""Spaces: a model's kind in, what a search draws its hyperparameters from out.

A shop's own `[search.NAME]` goes before these.
"""

from __future__ import annotations

from pipelines.settings import Between, Space

SPACES: dict[str, Space] = {
    "als": {
        "factors": [16, 32, 64, 128],
        "l2": Between(low=0.1, high=100.0, log=True),
        "alpha": Between(low=0.5, high=50.0, log=True),
    },
    "blend": {
        "candidates": [30, 50, 100],
        "leaves": [7, 15, 31],
        "learning_rate": Between(low=0.02, high=0.1, log=True),
    },
    "bpr": {
        "factors": [32, 64, 128],
        "learning_rate": Between(low=0.003, high=0.1, log=True),
        "l2": Between(low=0.001, high=0.1, log=True),
    },
    "ease": {"l2": Between(low=10.0, high=3000.0, log=True), "damping": [0.0, 0.5, 1.0]},
    "graph": {
        "popularity": Between(low=0.2, high=0.6),
        "power": Between(low=0.2, high=1.0),
        "factors": [64, 128, 256, 512],
        "tail": Between(low=0.0, high=1.0),
        "damping": [0.0, 0.5, 1.0],
    },
    "neighbours": {
        "weighting": ["cosine", "tfidf", "bm25"],
        "k": [20, 50, 100, 200],
        "shrink": Between(low=0.1, high=50.0, log=True),
    },
    "popularity": {"per": ["shop", "category"], "prior": Between(low=0.5, high=50.0, log=True)},
    "rebuy": {
        "decay": Between(low=0.6, high=1.0),
        "alpha": Between(low=0.05, high=0.95),
        "neighbours": [50, 100, 300, 900],
        "rhythm": [0.0, 0.25, 0.5],
    },
    "sasrec": {
        "factors": [64, 128],
        "dropout": Between(low=0.1, high=0.6),
        "rate": Between(low=0.0005, high=0.005, log=True),
    },
    "two_tower": {
        "learning_rate": Between(low=0.001, high=0.01, log=True),
        "temperature": Between(low=0.03, high=0.3, log=True),
        "correction": [0.5, 0.75, 1.0],
    },
}
