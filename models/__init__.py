"""Representation, networks, gradient ascent and temporal filters: arrays in, arrays out."""
