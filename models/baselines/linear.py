"""Linear video magnification: coefficients of each frame, one temporal filter for all of them, and the way back.

A method is a few functions without a memory. What it filters are coefficients, of which only the steps from frame to
frame need to be known: a phase has no beginning. Whole clips are filtered here, without delay; the live path slides a
window over the same steps, with a kernel designed from the same temporal filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepmag.models.temporal import Band, filter_on_clock

Floats = NDArray[np.float32]


class LinearMethod(Protocol):
    """A linear magnifier. Pictures are (H, W, 3) uint8, RGB."""

    @property
    def name(self) -> str:
        """What ``--method`` calls it."""
        ...

    @property
    def band(self) -> Band:
        """Where the signal is expected, Hz."""
        ...

    def analyse(self, image: NDArray[np.uint8]) -> Any:
        """What `step` compares of a frame. Raises ValueError for a picture that is too small for the method."""
        ...

    def step(self, before: Any, after: Any) -> Floats:
        """How far the coefficients go from one analysed frame to the next, float32.

        Of a shape that depends on the picture's size only; nothing where the frames are alike.
        """
        ...

    def temporal_kernel(self, rate: float) -> NDArray[np.float64]:
        """Zero-phase FIR response, odd length, centred, at ``rate`` Hz. Raises ValueError for a rate too low."""
        ...

    def filter_clip(self, coefficients: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
        """Filter a whole clip's coefficients (T, ...) without delay. Raises ValueError as `temporal_kernel` does."""
        ...

    def synthesise(self, image: NDArray[np.uint8], filtered: Floats, gain: float) -> NDArray[np.uint8]:
        """Add ``gain - 1`` times the filtered coefficients of a frame to it. Returns a new picture."""
        ...


class Track:
    """A clip's coefficients, frame by frame: the steps since its first one, added up."""

    def __init__(self, method: LinearMethod) -> None:
        self._method = method
        self._before: Any = None
        self._total = np.zeros(0)

    def __call__(self, image: NDArray[np.uint8]) -> Floats:
        """Coefficients of the next frame, float32; those of the first are zero."""
        analysed = self._method.analyse(image)
        first = self._before is None
        step = self._method.step(analysed if first else self._before, analysed)
        # in double precision: an hour of steps is as exact as a second of them
        self._total = step.astype(np.float64) if first else self._total + step
        self._before = analysed
        return self._total.astype(np.float32)


def filter_stretch(
    method: LinearMethod,
    coefficients: Floats,
    rate: float,
    ticks: NDArray[np.int64] | None = None,
    out: Floats | None = None,
) -> Floats:
    """Filter the coefficients of one stretch of a clip, in which time goes on, without delay.

    coefficients: (T, ...). rate: ticks per second. ticks: (T-1,) of the uniform clock that each frame pair spans,
    one for each where not given; between frames that are further apart the coefficients are interpolated.
    out: like ``coefficients``, written to where given; it may be the same array, and both may lie in a file.
    Raises ValueError for a rate too low for the method.
    """
    count = len(coefficients)
    if out is None:
        out = np.empty_like(coefficients)
    if count < 2:
        out[:] = 0.0
        return out
    place = np.arange(count) if ticks is None else np.concatenate([[0], np.cumsum(ticks)])
    filter_on_clock(coefficients, place, lambda uniform: method.filter_clip(uniform, rate), out)
    return out


def magnify_linear(
    method: LinearMethod, images: Sequence[NDArray[np.uint8]], rate: float, gain: float
) -> Iterator[NDArray[np.uint8]]:
    """Magnify a whole clip without delay, in two passes over it.

    images: (H, W, 3) uint8 each, all of one size. rate: frames per second. gain: times that the signal grows to,
    so that 1 gives the very frames. Raises ValueError for fewer than two frames, or a rate too low for the method.
    """
    if len(images) < 2:
        raise ValueError("a clip needs at least two pictures to be magnified")
    track = Track(method)
    coefficients = np.stack([track(image) for image in images])
    filtered = filter_stretch(method, coefficients, rate, out=coefficients)
    for image, added in zip(images, filtered, strict=True):
        yield method.synthesise(image, added, gain)
