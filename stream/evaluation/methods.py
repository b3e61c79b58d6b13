"""All magnifiers behind one function: a clip in, a clip out.

`paper` and `steady` run as `deepmag live` does, frame by frame with a lag of 0.25 s; so do the linear baselines.
The same with `-offline` work on the whole clip, without delay, as `deepmag magnify` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

import numpy as np

from deepmag.models.baselines.linear import magnify_linear
from deepmag.models.baselines.methods import METHODS as BASELINES
from deepmag.models.magnify import BANDS, log_factors, magnify_steps
from deepmag.models.reconstruction import magnify_frame
from deepmag.stream.evaluation.measurement import reduce_clip
from deepmag.stream.frames import Frame
from deepmag.stream.magnifier import MAX_LOG_FACTOR
from deepmag.stream.methods import open_magnifier
from deepmag.stream.roi import clamp_box
from deepmag.stream.settings import Method, Mode, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender
    from deepmag.stream.frames import MagnifiedFrame
    from deepmag.stream.magnifier import Magnifier

LINEAR = ("evm", "vam")
METHODS = (*LINEAR, "paper", "steady")
OFFLINE = tuple(f"{method}-offline" for method in METHODS)
LAG = 0.25  # s
PAPER_STRENGTH = 10.0  # the gain at which `paper` takes the paper's own step


class MultipliedStep:
    """An ascender whose paper step is ``times`` as long: the ascent itself at k times gamma, as in the paper's Table 2.

    Twenty steps of Eq. 4 are not linear in gamma, so a larger gain of the same ascent is not the same.
    """

    def __init__(self, ascender: Ascender, times: float) -> None:
        self._ascender, self._times = ascender, times

    @property
    def description(self) -> str:
        """What runs."""
        return self._ascender.description

    def paper(self, x: NDArray[np.float32], gamma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``export.runtime.Ascender``; with a longer step."""
        return self._ascender.paper(x, self._times * gamma)

    def steady(
        self, x: NDArray[np.float32], direction: NDArray[np.float32], growth: float | NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """See ``export.runtime.Ascender``."""
        return self._ascender.steady(x, direction, growth)


def magnify_clip(
    method: str,
    video: NDArray[np.uint8],
    rate: float,
    region: tuple[int, int, int, int],
    strength: float,
    *,
    ascender: Ascender | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> NDArray[np.uint8]:
    """Magnify a clip. video: (T, H, W, 3) RGB. rate: Hz. region: (x, y, w, h), px. Returns a clip of the same shape.

    strength: total gain; for `paper` gain 10 is the paper's own step, and what is added is proportional to gain - 1.
    ascender: what runs the network, by default the shipped weights on one thread. progress: called with the share that
    is done. Raises ValueError for an unknown method, a strength out of range or a region outside the picture.
    """
    if method not in METHODS + OFFLINE:
        raise ValueError(f"method must be one of {', '.join(METHODS + OFFLINE)}, not {method}")
    box = clamp_box(region, (video.shape[2], video.shape[1]))
    name = method.removesuffix("-offline")
    mode = cast("Mode", name if name in get_args(Mode) else "steady")
    settings = Settings(gain=strength, mode=mode, lag=LAG, roi=box)
    if method in OFFLINE and name in LINEAR:
        return _linear_offline(name, video, rate, strength, progress)
    if ascender is None and name not in LINEAR:
        from deepmag.export.runtime import open_ascender
        from deepmag.models.weights import PULSE

        ascender = open_ascender(PULSE, device="cpu", threads=1)
    if method in OFFLINE:
        assert ascender is not None
        return _offline(ascender, video, rate, settings, box, progress)
    kind = cast("Method", name if name in LINEAR else "deepmag")
    # as the engine makes it; time is the clip's own
    magnifier, _ = open_magnifier(kind, ascender, clock=lambda: 0.0, nominal_rate=lambda: rate, lag=LAG)
    return run_live(magnifier, video, rate, settings, progress)


def run_live(
    magnifier: Magnifier,
    video: NDArray[np.uint8],
    rate: float,
    settings: Settings,
    progress: Callable[[float], None] = lambda _share: None,
    look: Callable[[MagnifiedFrame], None] = lambda _magnified: None,
) -> NDArray[np.uint8]:
    """Push a clip (T, H, W, 3) through a live magnifier. rate: Hz. look: called with each picture that comes out."""
    shown = np.empty_like(video)
    done = 0

    def keep(ready: list[MagnifiedFrame]) -> None:
        nonlocal done
        for magnified in ready:
            shown[magnified.frame.seq] = magnified.image
            look(magnified)
            done += 1

    for number, image in enumerate(video):
        keep(magnifier.push(Frame(0, number, number / rate, 0.0, image), settings))
        progress((number + 1) / len(video))
    keep(magnifier.flush())
    if done != len(video):
        raise RuntimeError(f"{done} of {len(video)} pictures came out of the magnifier")
    return shown


def _linear_offline(
    name: str,
    video: NDArray[np.uint8],
    rate: float,
    strength: float,
    progress: Callable[[float], None],
) -> NDArray[np.uint8]:
    shown = np.empty_like(video)
    for i, image in enumerate(magnify_linear(BASELINES[name], list(video), rate, strength)):
        shown[i] = image
        progress((i + 1) / len(video))
    return shown


def _offline(
    ascender: Ascender,
    video: NDArray[np.uint8],
    rate: float,
    settings: Settings,
    box: tuple[int, int, int, int],
    progress: Callable[[float], None],
) -> NDArray[np.uint8]:
    small = reduce_clip(video, box)
    # `paper` scales the step itself here, as the paper does; the live path scales what the filter makes of it.
    steps = magnify_steps(ascender, small, rate, settings.mode, settings.gain)
    factors = log_factors(steps, rate, band=BANDS[settings.mode])
    progress(0.5)
    shown = np.empty_like(video)
    for i, image in enumerate(video):
        magnify_frame(
            image, small[i], np.clip(factors[i], -MAX_LOG_FACTOR, MAX_LOG_FACTOR), box, out=shown[i]
        )
    progress(1.0)
    return shown
