"""The linear magnifiers by name, with the parameters of the paper's comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.models.baselines.acceleration import ColourAcceleration
from deepmag.models.baselines.eulerian import ColourEulerian
from deepmag.models.baselines.laplacian import MotionEulerian
from deepmag.models.baselines.learned import LearnedEulerian
from deepmag.models.baselines.phase import PhaseEulerian
from deepmag.models.baselines.phase_acceleration import PhaseAcceleration
from deepmag.models.baselines.riesz import RieszEulerian

if TYPE_CHECKING:
    from deepmag.models.baselines.linear import LinearMethod

METHODS: dict[str, LinearMethod] = {
    method.name: method
    for method in (
        ColourEulerian(),
        MotionEulerian(),
        ColourAcceleration(),
        PhaseEulerian(),
        RieszEulerian(),
        PhaseAcceleration(),
        LearnedEulerian(),
    )
}
