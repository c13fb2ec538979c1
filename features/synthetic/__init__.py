"""The shop that never was: a size and a seed in, its events and the truth behind them out."""

from features.synthetic.truth import true_interest
from features.synthetic.write import generate

__all__ = ["generate", "true_interest"]
