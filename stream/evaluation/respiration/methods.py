"""All magnifiers of motion behind one function: a clip in, a clip out.

`steady` and the linear methods run as `deepmag live` does, frame by frame with a lag of 2 s. `paper`, Eq. 4 and 19-22,
runs on the whole clip, as `deepmag magnify --target respiration --mode paper` does: live it does not exist.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, cast

import numpy as np

from deepmag.stream.clip_file import Timeline
from deepmag.stream.evaluation.methods import PAPER_STRENGTH, run_live
from deepmag.stream.evaluation.respiration.plan import LAG
from deepmag.stream.frames import Frame
from deepmag.stream.methods import open_magnifier
from deepmag.stream.offline_phase import PhasePath, ascend_frames, draw_phase
from deepmag.stream.settings import Method, Settings, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.stream.frames import MagnifiedFrame

LINEAR = ("phase", "phase-vam", "learned")
METHODS = (*LINEAR, "paper", "steady")


def magnify_live(
    method: str,
    video: NDArray[np.uint8],
    rate: float,
    strength: float,
    *,
    ascender: GradientAscender,
    progress: Callable[[float], None] = lambda _share: None,
    look: Callable[[MagnifiedFrame], None] = lambda _magnified: None,
) -> NDArray[np.uint8]:
    """Magnify a clip's motion by any method but `paper`. video: (T, H, W, 3) RGB. rate: Hz. Returns the same shape.

    strength: total gain. ascender: what runs the network. progress: called with the share that is done. look: called
    with each picture as it comes out.
    """
    kind = cast("Method", method if method in LINEAR else "deepmag")
    target: Target = "respiration" if kind == "deepmag" else "pulse"  # a linear method has no target
    magnifier, _ = open_magnifier(
        kind, None, target=target, respiration=ascender, clock=lambda: 0.0, nominal_rate=lambda: rate, lag=LAG
    )
    settings = Settings(gain=strength, method=kind, target=target, lag=LAG, roi="full")
    return run_live(magnifier, video, rate, settings, progress, look)


def ascend(
    video: NDArray[np.uint8],
    rate: float,
    step: float,
    *,
    ascender: GradientAscender,
    progress: Callable[[float], None] = lambda _share: None,
) -> PhasePath:
    """The phases that `paper` adds to a clip at ``step`` times the paper's own step; see `magnify_live`."""
    with tempfile.TemporaryFile() as store:
        gain = 1.0 + (PAPER_STRENGTH - 1.0) * step
        return ascend_frames(
            frames_of(video, rate), len(video) / rate, None, ascender, gain, Timeline(), store,
            lambda stage, share: progress(share) if stage.startswith("following") else None, lambda: False,
        )  # fmt: skip


def draw(video: NDArray[np.uint8], rate: float, path: PhasePath) -> NDArray[np.uint8]:
    """The clip with its phases turned."""
    return np.stack([drawn.image for drawn in draw_phase(frames_of(video, rate), path)])


def frames_of(video: NDArray[np.uint8], rate: float) -> Iterator[Frame]:
    """A clip as a source delivers it."""
    for number, image in enumerate(video):
        yield Frame(0, number, number / rate, 0.0, image)
