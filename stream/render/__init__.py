"""Renderers: where magnified frames go."""
