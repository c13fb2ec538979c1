"""Ranking at speed: blocks of factors or scores in, the best of each row by compiled code out."""
