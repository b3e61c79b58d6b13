"""What runs the network of respiration: on a GPU torch, on the CPU ONNX Runtime, which takes half of torch's time."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deepmag.export.device import CPU, devices_to_try
from deepmag.export.fallback import FallbackRespiration
from deepmag.export.runtime import AscenderUnavailableError, check_choice, load_weights
from deepmag.models.step_size import PAPER_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deepmag.export.device import Device
    from deepmag.export.runtime import DeviceName, Runtime

    Weights = Mapping[str, NDArray[np.float32]]

_log = logging.getLogger("deepmag.export.respiration")


class GradientAscender(Protocol):
    """The network of respiration and its gradient on frame pairs, each on its own. Arrays are float32."""

    @property
    def description(self) -> str:
        """What runs."""
        ...

    def gradient(
        self, x: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x: (B, 4, 123, 123) phase differences, rad. weight: like x. Returns y (B,) and dy/dX like x, per rad.

        Raises ValueError for other shapes.
        """
        ...

    def paper(
        self, x: NDArray[np.float32], weight: NDArray[np.float32], gamma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4, for whole clips. gamma: step, rad. Returns X_N - X_1 like x, and y (B,). Otherwise as `gradient`."""
        ...


def open_respiration_ascender(
    weights: str | Path | Weights,
    device: DeviceName = "auto",
    paper_iterations: int = PAPER_ITERATIONS,
    *,
    runtime: Runtime = "auto",
    threads: int = 1,
) -> GradientAscender:
    """Open the network on the GPU where torch can use one, else on the CPU, where it also goes if the GPU fails.

    weights: RespirationNet's, as a safetensors file or as arrays by name. paper_iterations: N of `paper`. runtime: on
    the CPU "torch" is torch, and any other ONNX Runtime, or torch where that is not there. threads: of the CPU. Raises
    AscenderUnavailableError where the wanted device is not there, OSError for a file that cannot be read, ValueError
    for one that holds other weights, and for what `open_ascender` refuses, too.
    """
    check_choice(runtime, threads)
    arrays = load_weights(Path(weights)) if isinstance(weights, str | Path) else weights
    refusals: list[str] = []
    for candidate in devices_to_try(device, refusals):
        for runs_in in ("torch",) if candidate.is_gpu or runtime == "torch" else ("ort", "torch"):
            try:
                ascender = _open(runs_in, arrays, candidate, threads, paper_iterations)
            except AscenderUnavailableError as refusal:
                refusals.append(str(refusal))
                continue
            if candidate.is_gpu:
                on_cpu = partial(
                    open_respiration_ascender,
                    arrays,
                    str(CPU),
                    paper_iterations,
                    runtime=runtime,
                    threads=threads,
                )
                ascender = FallbackRespiration(ascender, on_cpu)
            _log.info("respiration runs in %s", ascender.description)
            return ascender
    raise AscenderUnavailableError("; ".join(refusals))


def _open(
    runs_in: str, weights: Weights, device: Device, threads: int, paper_iterations: int
) -> GradientAscender:
    """Import the runtime, only now, and open it. Raises AscenderUnavailableError, or ValueError for other weights."""
    try:
        if runs_in == "ort":
            from deepmag.export.ort_respiration import OrtRespiration

            return OrtRespiration(weights, threads, paper_iterations)
        from deepmag.export.torch_respiration import TorchRespiration

        return TorchRespiration(weights, device, threads, paper_iterations)
    except ImportError as error:
        name = {"ort": "onnxruntime"}.get(runs_in, runs_in)
        raise AscenderUnavailableError(f"{name} cannot be imported: {error}") from error
