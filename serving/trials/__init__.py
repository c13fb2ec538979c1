"""Trials: live tests in the request path: who is in which, and what she was shown."""
