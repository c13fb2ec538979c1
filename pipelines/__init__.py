"""Pipelines: flows, tracking, settings and the command line over features and models."""
