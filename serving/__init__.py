"""Serving: a bundle in, ranked products over HTTP out."""
