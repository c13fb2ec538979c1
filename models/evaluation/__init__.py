"""Evaluation: ranked lists and what customers did next in, honest figures out."""
