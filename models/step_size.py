"""Step size and iteration counts of the gradient ascent, apart so that the live path need not load torch."""

from __future__ import annotations

PAPER_ITERATIONS = 20  # N of Algorithm 1 (section 5.1 of the paper)
# One step: further ones leave the region where y is linear in X, and what they add is less in step with the pulse.
STEADY_ITERATIONS = 2
GAMMA = 6e-5  # the paper's pulse step (section 5.1), in units of X, per frame at REFERENCE_RATE
RESPIRATION_GAMMA = 3.6e-3  # its step of respiration, rad (section 5.2)
REFERENCE_RATE = 30.0  # Hz, the rate at which either is a step


def gamma_for_rate(rate: float, gamma: float = GAMMA) -> float:
    """Step in units of X that magnifies at ``rate`` pairs a second as ``gamma`` does at REFERENCE_RATE.

    The steps of a second add up in the reconstruction (Eq. 16, Eq. 20), so a camera of four times the rate must take
    steps of a quarter. Raises ValueError for a rate that is not positive.
    """
    if not rate > 0:
        raise ValueError(f"the frame rate must be positive, not {rate}")
    return gamma * REFERENCE_RATE / rate
