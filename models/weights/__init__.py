"""The weights that ship with the package, as files; pulse.md is their model card."""

from pathlib import Path

PULSE = Path(__file__).with_name("pulse.safetensors")
"""PulseNet's weights."""
