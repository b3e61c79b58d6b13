"""The weights that ship with the package, as files; NAME.md is the model card of each."""

from pathlib import Path

PULSE = Path(__file__).with_name("pulse.safetensors")
"""PulseNet's weights."""

RESPIRATION = Path(__file__).with_name("respiration.safetensors")
"""RespirationNet's weights."""

LEARNED = Path(__file__).with_name("learned.safetensors")
"""MotionNet's weights, of the method ``learned``."""
