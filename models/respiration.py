"""What the network of respiration sees, and how often."""

from __future__ import annotations

import numpy as np

from deepmag.models.phase import Floats, PhaseDifference

# Pairs a second. Breathing is slow: over a fifth of a second it moves the chest six times as far as between two frames,
# under the same noise. No breath is faster than 0.8 Hz.
ASCENT_RATE = 5.0
INPUT_SCALE = 0.1  # rad: one fixed number, since a stream has no statistics
TARGET_SCALE = 0.02  # cells: the network's output is the chest's motion over a pair, in units of it
REACH = 1.0  # rad: what moved further in a fifth of a second did not breathe, and must not drown what does


def network_input(difference: PhaseDifference) -> Floats:
    """Phase differences as the network takes them: held to REACH, weighted, scaled. Returns (4, SIDE, SIDE)."""
    held = np.clip(difference.x, -REACH, REACH)
    return np.asarray(held * difference.weight / np.float32(INPUT_SCALE), np.float32)
