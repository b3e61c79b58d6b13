"""Synthetic people with a known pulse."""
