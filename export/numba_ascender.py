"""The ascent by kernels of our own on the CPU, compiled by Numba (see `cpu_pulse`)."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np

from deepmag.export.cpu_pulse import CpuPulse
from deepmag.export.pairs import per_pair, require_pairs
from deepmag.export.runtime import AscenderUnavailableError, NotCompiledError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepmag.export.device import Device

    Floats = NDArray[np.float32]

TOGETHER = 16  # pairs at once: more are no faster, and take 0.7 MB each

_log = logging.getLogger("deepmag.export.numba_ascender")


class NumbaAscender:
    """See ``deepmag.export.runtime.Ascender``."""

    def __init__(
        self,
        weights: Mapping[str, Floats],
        device: Device,
        threads: int,
        paper_iterations: int,
        steady_iterations: int,
        *,
        compiles: bool = True,
    ) -> None:
        """Load what was compiled or, where ``compiles``, compile it.

        Raises NotCompiledError where it would have to be compiled and must not be; AscenderUnavailableError on a GPU,
        or where Numba cannot compile or keep it; ValueError for fewer than two iterations or weights that lack a layer.
        """
        if device.is_gpu:
            raise AscenderUnavailableError(
                "numba runs the ascent on the CPU only: on a GPU choose torch or ort"
            )
        if min(paper_iterations, steady_iterations) < 2:
            raise ValueError(
                f"the ascent needs at least two iterations, not {min(paper_iterations, steady_iterations)}"
            )
        self._steps = {"paper": paper_iterations - 1, "steady": steady_iterations - 1}
        self._lock = threading.Lock()
        try:
            self._pulse = CpuPulse(weights, threads)
        except RuntimeError as error:  # to compile at every start takes too long
            raise AscenderUnavailableError(
                "numba has nowhere to keep what it compiles: set NUMBA_CACHE_DIR to a directory"
            ) from error
        plural = "" if threads == 1 else "s"
        self.description = f"numba CPU, {threads} thread{plural}"
        try:
            there = self._pulse.load()
            if compiles and not there:
                _log.info("the ascent is being compiled for this CPU, once: this takes some ten seconds")
                self._pulse.compile()
        except Exception as error:  # Numba's and LLVM's have no base of their own
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise AscenderUnavailableError(f"numba cannot compile the ascent: {reason}") from error
        if not compiles and not there:
            raise NotCompiledError("the ascent is not compiled for this CPU yet")

    def paper(self, x: Floats, gamma: float) -> tuple[Floats, Floats]:
        """Eq. 4 (see Ascender.paper)."""
        x = require_pairs(x)
        dx, y, _ = self._ascend("paper", x, per_pair(gamma, len(x)), x)
        return dx, y

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> tuple[Floats, Floats, Floats]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        x = require_pairs(x)
        direction = require_pairs(direction, len(x))
        return self._ascend("steady", x, per_pair(growth, len(x)), direction)

    def _ascend(self, mode: str, x: Floats, rate: Floats, direction: Floats) -> tuple[Floats, Floats, Floats]:
        with self._lock:
            parts = [
                self._pulse.ascend(x[at], rate[at], direction[at], self._steps[mode], paper=mode == "paper")
                for at in (slice(start, start + TOGETHER) for start in range(0, len(x), TOGETHER))
            ]
        if len(parts) == 1:
            return parts[0]
        dx, y, gradient = (np.concatenate(part) for part in zip(*parts, strict=True))
        return dx, y, gradient
