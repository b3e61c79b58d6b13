"""Which runtime runs the ascent, on which device: chosen by what is there, and said.

On a CPU kernels of our own come first, then ONNX Runtime, which is two to three times as fast as torch
(benchmarks/ascent.py); and importing torch takes longer than all else before the first picture. So torch is imported
only when it is the one that runs, and a GPU is looked for by asking the driver. On a GPU it is the other way round.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np

from deepmag.export.device import CPU, Device, devices_to_try
from deepmag.export.fallback import FallbackAscender
from deepmag.models.step_size import PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.ort_session import Provider

Runtime = Literal["auto", "numba", "ort", "tensorrt", "torch"]
"""numba: kernels of our own on the CPU; torch: on a GPU, too. tensorrt: ONNX Runtime by TensorRT; never chosen by
itself, since it takes minutes to start."""
DeviceName = str
"""auto, cpu, cuda or cuda:N."""

MAX_THREADS = 4  # one pair is small: beyond four threads their meetings cost more than they share

_log = logging.getLogger("deepmag.export.runtime")


class AscenderUnavailableError(RuntimeError):
    """No runtime of the wanted kind works on this machine; the message says why and what to do."""


class NotCompiledError(AscenderUnavailableError):
    """It would have to be compiled first, for which there is no time."""


class Ascender(Protocol):
    """Runs the ascent on frame pairs, each on its own. Arrays are float32, in units of X (Eq. 14).

    x and direction are finite numbers: ValueError else, as for other shapes.
    """

    @property
    def description(self) -> str:
        """What runs, for the log and the page: "onnxruntime CPU, 2 threads"."""
        ...

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eq. 4. x: (B, 3, 36, 36). gamma: step in units of X. Returns X_N - X_1 like x, and y(X_1) (B,)."""
        ...

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Steps of growth * y * direction. x, direction: (B, 3, 36, 36). growth: a number or (B,), no unit.

        Returns X_N - X_1 like x, y(X_1) (B,), and dy/dX at X_1 like x, signed, per unit of X.
        """
        ...


def open_ascender(
    weights: str | Path | Mapping[str, NDArray[np.float32]],
    runtime: Runtime = "auto",
    device: DeviceName = "auto",
    threads: int | None = None,
    *,
    paper_iterations: int = PAPER_ITERATIONS,
    steady_iterations: int = STEADY_ITERATIONS,
    at_once: bool = False,
) -> Ascender:
    """The best ascender that works here.

    weights: PulseNet's, as a safetensors file or as arrays by name. runtime, device: "auto" takes what is
    there, the GPU before the CPU. A GPU that fails later is replaced by the CPU,
    see `fallback`. threads: CPU threads, by default one a usable core up to MAX_THREADS. at_once: do not wait for what
    "auto" would have to compile first, but run the next best until it is there, see `compile_aside`. Raises
    AscenderUnavailableError where nothing of the wanted kind works, OSError for a file that cannot be read,
    ValueError for one that holds no weights, for no name of a runtime or device, and for fewer threads than one.
    """
    check_choice(runtime, threads)
    arrays = load_weights(Path(weights)) if isinstance(weights, str | Path) else weights
    threads = threads or default_threads()
    iterations = (paper_iterations, steady_iterations)
    refusals: list[str] = []
    later = False
    for candidate_device in devices_to_try(device, refusals):
        # on a GPU torch first: one graph of few kernels there, and pictures that need not come down between
        best: tuple[str, ...] = ("torch", "ort") if candidate_device.is_gpu else ("numba", "ort", "torch")
        for candidate in best if runtime == "auto" else (runtime,):
            try:
                ascender = _open(
                    candidate, candidate_device, arrays, threads, iterations,
                    compiles=runtime != "auto" or not at_once,
                )  # fmt: skip
                if candidate_device.is_gpu:
                    ascender = FallbackAscender(
                        ascender,
                        lambda: open_ascender(
                            arrays,
                            device="cpu",
                            threads=threads,
                            paper_iterations=paper_iterations,
                            steady_iterations=steady_iterations,
                            at_once=True,  # a stream is running
                        ),
                    )
            except NotCompiledError:
                later = True
            except AscenderUnavailableError as refusal:
                _log.info("%s", refusal)
                refusals.append(str(refusal))
            else:
                _log.info("the ascent runs in %s", ascender.description)
                if later:
                    from deepmag.export.compile_aside import better_later

                    return better_later(
                        ascender, lambda: _open("numba", CPU, arrays, threads, iterations, compiles=False)
                    )
                return ascender
    if later:  # there is no next best
        return _open("numba", CPU, arrays, threads, iterations, compiles=True)
    raise AscenderUnavailableError("; ".join(refusals))


def check_choice(runtime: str, threads: int | None) -> None:
    """Raise ValueError, in words, for what is no name of a runtime, and for fewer threads than one."""
    names = get_args(Runtime)
    if runtime not in names:
        raise ValueError(f"runtime must be {', '.join(names[:-1])} or {names[-1]}, not {runtime}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")


def load_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a network's weights from a safetensors file, without torch. Raises OSError, or ValueError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.exists() and not path.is_file():  # of which "No such device" would be said
        raise ValueError(f"{path} is no file of weights")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error


def default_threads() -> int:
    """CPU threads for one ascent: the usable cores, at most MAX_THREADS."""
    if sys.platform == "linux":
        return min(len(os.sched_getaffinity(0)), MAX_THREADS)
    return min(os.cpu_count() or 1, MAX_THREADS)


def _open(
    runtime: str,
    device: Device,
    weights: Mapping[str, NDArray[np.float32]],
    threads: int,
    iterations: tuple[int, int],
    *,
    compiles: bool,
) -> Ascender:
    """Import the runtime, only now, and open it. Raises AscenderUnavailableError, or NotCompiledError."""
    if runtime == "numba":
        try:
            from deepmag.export.numba_ascender import NumbaAscender
        except ImportError as error:
            raise AscenderUnavailableError(f"numba cannot be imported: {error}") from error
        return NumbaAscender(weights, device, threads, *iterations, compiles=compiles)
    if runtime in ("ort", "tensorrt"):
        try:
            from deepmag.export.ort_ascender import OrtAscender
        except ImportError as error:
            raise AscenderUnavailableError(f"onnxruntime cannot be imported: {error}") from error
        provider: Provider | None = "tensorrt" if runtime == "tensorrt" else None
        return OrtAscender(weights, device, threads, *iterations, provider=provider)
    try:
        from deepmag.export.torch_ascender import TorchAscender
    except ImportError as error:
        raise AscenderUnavailableError(f"torch cannot be imported: {error}") from error
    return TorchAscender(weights, device, threads, *iterations)
