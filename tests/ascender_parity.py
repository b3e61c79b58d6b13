"""Whether a runtime computes what the torch functions in ``deepmag.models.ascent`` do.

Two correct runtimes differ in the last bits, and once in a while that puts an activation near zero on the
other side of its ReLU. The gradient then jumps, for that pair only: by up to a percent (float32 against
float64 in torch does the same), where all other pairs agree to one in a million. So pairs are compared one by
one, and the median is the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender

TOLERANCE = 1e-4  # relative L2 error of a pair


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an output is from its reference, over all pairs.

    errors: (B,) relative L2 error of each pair. differing: how many elements are not equal bit for bit, out
    of ``elements``.
    """

    name: str
    errors: NDArray[np.float64]
    differing: int
    elements: int

    @property
    def agrees(self) -> bool:
        """Whether the median pair is within TOLERANCE."""
        return bool(np.median(self.errors) <= TOLERANCE)

    def __str__(self) -> str:
        beyond = int((self.errors > TOLERANCE).sum())
        return (
            f"{self.name}: relative L2 error median {np.median(self.errors):.1e}, "
            f"worst {self.errors.max():.1e}; "
            f"{beyond} of {len(self.errors)} pairs beyond {TOLERANCE:.0e}; "
            f"{self.differing} of {self.elements} elements differ"
        )


def compare(name: str, output: NDArray[np.float32], reference: NDArray[np.float32]) -> Parity:
    """Compare an output with its reference, both (B, ...). Raises ValueError for unequal shapes."""
    if output.shape != reference.shape:
        raise ValueError(f"{name}: shape {output.shape}, its reference {reference.shape}")
    flat = reference.reshape(len(reference), -1).astype(np.float64)
    difference = output.reshape(len(output), -1) - flat
    norm = np.linalg.norm(flat, axis=1)
    # A reference of zero is matched only by zero.
    errors = np.linalg.norm(difference, axis=1) / np.where(norm > 0, norm, np.finfo(np.float64).tiny)
    return Parity(name, errors, int(np.count_nonzero(output != reference)), reference.size)


def compare_ascenders(
    ascender: Ascender, reference: Ascender, x: NDArray[np.float32], gamma: float, growth: float
) -> list[Parity]:
    """Compare every output of both modes on the pairs x (B, 3, 36, 36), units of X.

    The direction of the steady ascent is the reference's own gradient.
    """
    dx, y = ascender.paper(x, gamma)
    reference_dx, reference_y = reference.paper(x, gamma)
    results = [compare("paper dx", dx, reference_dx), compare("paper y", y, reference_y)]
    _, _, direction = reference.steady(x, np.zeros_like(x), 0.0)
    # Along g / |g|^2 a step of one raises y by one.
    direction = direction / (direction**2).sum(axis=(1, 2, 3), keepdims=True)
    outputs = ascender.steady(x, direction, growth)
    references = reference.steady(x, direction, growth)
    for name, output, expected in zip(("dx", "y", "grad"), outputs, references, strict=True):
        results.append(compare(f"steady {name}", output, expected))
    return results
