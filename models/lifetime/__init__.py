"""Lifetime: when customers ordered in; who is alive, when she orders next and for how much out."""
