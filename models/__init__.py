"""Models: a history in, ranked products out; code, not trained files."""
