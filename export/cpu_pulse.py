"""PulseNet's ascents on a CPU, compiled.

On one frame pair a runtime of single operators spends as much time between its convolutions as in them: changes of
layout, masks, and hundreds of meetings of its threads. Here an evaluation is ten phases (see `cpu_phases`), and
threads meet ten times.
"""

from __future__ import annotations

from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numba.core import event

from deepmag.export import cpu_layers, cpu_phases, cpu_tile, team
from deepmag.export.cpu_layers import PADDED, Layers, Scratch
from deepmag.export.cpu_phases import AREA, CONV4_BACK, EXACT_ENOUGH, PHASES, STEP, do_part, parts_of, step
from deepmag.export.team import claim, finish, wait
from deepmag.models import cpu_vector
from deepmag.models.compiled import forget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def _compile() -> Callable[..., None]:
    """One member's part of an ascent; see `CpuPulse`. Compiled at its first call, or loaded from what was compiled."""
    sources = cpu_vector.sources(cpu_layers, cpu_phases, cpu_tile, cpu_vector, team)

    def ascend(
        counters: Any, member: int, members: int, layers: Any, s: Any, x: Any, rate: Any, direction: Any, paper: bool,
        dx: Any, y: Any, gradient: Any,
    ) -> None:  # fmt: skip
        sources  # noqa: B018  # numba looks for changes in this file alone, and at what a function takes from around it
        pairs, sums, active = len(x), s.sums[member], s.active[member]
        for n in range(len(y)):
            for phase in range(PHASES):
                if n > 0 and not paper and CONV4_BACK <= phase < STEP:
                    continue  # of `steady` the gradient is wanted at X_1 alone, and it is there
                parts, number = parts_of(phase, pairs), n * PHASES + phase
                while True:
                    part = claim(counters, number, member, members, parts, phase % 2)
                    if part < 0:
                        break
                    if phase < STEP:
                        do_part(phase, part, layers, s, pairs, sums, active, y[n], gradient)
                    else:
                        step(paper, x, rate, direction, y[n], gradient, s, part, dx)
                    finish(counters, number, members)
                wait(counters, number, members, parts)

    made: Callable[..., None] = njit(nogil=True, cache=True, fastmath=EXACT_ENOUGH)(ascend)
    return made


class _Refusal(Exception):  # noqa: N818  # nothing is wrong
    """A function would have to be compiled."""


class _Refusing(event.Listener):  # type: ignore[misc]
    """Keeps a function from being compiled."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def on_start(self, compilation: Any) -> None:
        """Raises _Refusal: what an earlier run compiled has been looked for by now."""
        if compilation.data["dispatcher"] is self._function:
            raise _Refusal

    def on_end(self, compilation: Any) -> None:
        """Nothing to do."""


class CpuPulse:
    """PulseNet's ascents on frame pairs, each on its own; one call at a time."""

    def __init__(self, weights: Mapping[str, Floats], threads: int) -> None:
        """weights: PulseNet's state dict. Compiles in `compile`, or at the first call.

        Raises ValueError if a weight is missing, RuntimeError where there is no directory to keep what is compiled.
        """
        self._layers = Layers.of(weights)
        self._work: Any = _compile()
        self._team = team.Team(self._work, threads)
        self._threads = threads
        self._scratch = Scratch.of(1, threads)

    @property
    def kept_in(self) -> str:
        """The directory that keeps what was compiled."""
        return str(self._work.stats.cache_path)

    def load(self) -> bool:
        """Load what an earlier run compiled for this CPU. Returns whether there was anything that could be."""
        try:
            with event.install_listener("numba:compile", _Refusing(self._work)):
                self.compile()
        except _Refusal:
            return False
        except (EOFError, UnpicklingError):
            forget(self._work)
            return False
        return True

    def compile(self) -> None:
        """Compile it, or load what an earlier run compiled."""
        nothing = np.zeros((1, 3 * AREA), np.float32)
        rate, y = np.zeros(1, np.float32), np.zeros((0, 1), np.float32)
        counters = team.counters_of(0, 1)
        self._work(
            counters, 0, 1, self._layers, self._scratch, nothing, rate, nothing, False, nothing, y, nothing
        )

    def ascend(
        self, x: Floats, rate: Floats, direction: Floats, steps: int, *, paper: bool
    ) -> tuple[Floats, Floats, Floats]:
        """Steps of gamma (Eq. 4), or of growth * y * direction. x, direction: (B, 3, 36, 36). rate: (B,), either.

        Returns dx = X_N - X_1 like x, y(X_1) (B,), and dy/dX like x: at X_1, or for Eq. 4 where the last step began.
        """
        pairs = len(x)
        if pairs > len(self._scratch.x):
            self._scratch = Scratch.of(pairs, self._threads)
        s = self._scratch
        s.x.reshape(-1, PADDED, PADDED, 3)[:pairs, 1:-1, 1:-1] = x.transpose(0, 2, 3, 1)
        dx, gradient = np.zeros_like(x), np.empty_like(x)
        y = np.empty((steps, pairs), np.float32)
        flat = (pairs, 3 * AREA)
        # Copies: for an array that is marked read-only Numba would compile anew, in the middle of a stream.
        given, along = np.array(x).reshape(flat), np.array(direction).reshape(flat)
        self._team.run(
            steps * PHASES, self._layers, s, given, np.array(rate), along, paper, dx.reshape(flat), y,
            gradient.reshape(flat),
        )  # fmt: skip
        return dx, y[0], gradient
