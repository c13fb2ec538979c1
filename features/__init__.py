"""Features: a shop's raw events in, point-in-time parquet feature tables out."""
