"""A network on a GPU, and on the CPU from the moment the GPU fails; or one network until there is a better one.

Drivers are updated under a display that runs for days, GPUs fall off the bus, other programs take their memory. No
state is lost with one: what a stream has learnt lies with its magnifier, the network only computes.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepmag.models.steady import ascend_symmetric

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender

Floats = NDArray[np.float32]

_log = logging.getLogger("deepmag.export.fallback")


class Described(Protocol):
    """What says what it runs in."""

    @property
    def description(self) -> str:
        """What runs."""
        ...


Network = TypeVar("Network", bound=Described)
Result = TypeVar("Result")


class _Either(Generic[Network]):
    """A network, and what takes its place. For any number of threads."""

    def __init__(self, first: Network, spare: Callable[[], Network] | None) -> None:
        self.network = first
        self._spare = spare
        self._lock = threading.Lock()

    def run(self, ask: Callable[[Network], Result]) -> Result:
        """Ask the network, or, where it fails, the one that takes its place."""
        network = self.network
        try:
            return ask(network)
        except (ValueError, MemoryError):  # the caller's arrays, the host's memory: no other device helps
            raise
        except Exception as error:  # neither torch's nor ONNX Runtime's errors have a base of their own
            with self._lock:
                if self.network is network:  # else another thread has met the failure first
                    if self._spare is None:
                        raise
                    _never_free(network)
                    self.network, self._spare = self._spare(), None
                    reason = str(error).partition("\n")[0] or type(error).__name__
                    _log.error(
                        "%s failed: %s; going on in %s",
                        network.description, reason, self.network.description,
                    )  # fmt: skip
        return ask(self.network)


def _never_free(network: object) -> None:
    """Keep it to the end of the process and beyond: torch aborts it on freeing what was pinned for a GPU that failed.

    A reference of ours would be let go when Python ends, and turn an orderly end into an abort.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(network))


class FallbackAscender:
    """Implements ``runtime.Ascender``. spare: opens what takes the first one's place should it fail, if anything."""

    def __init__(self, first: Ascender, spare: Callable[[], Ascender] | None) -> None:
        self._either: _Either[Ascender] = _Either(first, spare)

    def replace(self, network: Ascender) -> None:
        """Ask this one from now on."""
        self._either.network = network

    @property
    def description(self) -> str:
        """What runs now."""
        return self._either.network.description

    def paper(self, x: Floats, gamma: float) -> tuple[Floats, Floats]:
        """See ``Ascender``."""
        return self._either.run(lambda network: network.paper(x, gamma))

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> tuple[Floats, Floats, Floats]:
        """See ``Ascender``."""
        return self._either.run(lambda network: network.steady(x, direction, growth))

    def symmetric(
        self, x: Floats, direction: Floats, growth: float | Floats
    ) -> tuple[Floats, Floats, Floats]:
        """See ``models.steady.WholeAscent``."""
        return self._either.run(lambda network: ascend_symmetric(network, x, direction, growth))


class FallbackRespiration:
    """Implements ``respiration.GradientAscender``. first, spare: as for `FallbackAscender`."""

    def __init__(self, first: GradientAscender, spare: Callable[[], GradientAscender]) -> None:
        self._either: _Either[GradientAscender] = _Either(first, spare)

    @property
    def description(self) -> str:
        """What runs now."""
        return self._either.network.description

    def gradient(self, x: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """See ``GradientAscender``."""
        return self._either.run(lambda network: network.gradient(x, weight))

    def paper(self, x: Floats, weight: Floats, gamma: float) -> tuple[Floats, Floats]:
        """See ``GradientAscender``."""
        return self._either.run(lambda network: network.paper(x, weight, gamma))
