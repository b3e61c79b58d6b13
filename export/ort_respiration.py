"""Respiration's network in ONNX Runtime on the CPU, as the very graph that `deepmag export` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.export.exported import ExportedRespiration
from deepmag.export.respiration_model import respiration_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class OrtRespiration(ExportedRespiration):
    """Implements ``respiration.GradientAscender``, one pair after the other."""

    def __init__(
        self, weights: Mapping[str, NDArray[np.float32]], threads: int, paper_iterations: int
    ) -> None:
        """Raise AscenderUnavailableError where ONNX Runtime cannot run it, and ValueError for other weights."""
        try:
            model = respiration_model(weights, batch=1, paper_iterations=paper_iterations)
        except ValueError as error:
            raise ValueError(f"these are not the weights of a RespirationNet: {error}") from error
        super().__init__(model.SerializeToString(), threads=threads)
        self.description = f"onnxruntime CPU, {threads} thread{'' if threads == 1 else 's'}"
