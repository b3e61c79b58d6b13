"""The colour of blood: what one more unit of it under the skin does to the light that comes back."""

from __future__ import annotations

import numpy as np

# Relative change of reflected R, G, B with blood volume (de Haan & Jeanne 2013); more blood is less light.
BLOOD = np.array([0.33, 0.77, 0.53], np.float32)
