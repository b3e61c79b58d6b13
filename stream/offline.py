"""``deepmag magnify``: a video file magnified as a whole, zero-phase, in two passes over it.

The first pass reduces each picture to 36 x 36, the second draws. What lies between them is 16 kB a picture for each
of three arrays, in temporary files, so that an hour of video needs no more memory than a minute. Respiration has a
first pass of its own, see ``offline_breath`` and, in paper mode, ``offline_phase``; the second draws both.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.baselines.methods import METHODS
from deepmag.models.magnify import (
    BANDS,
    Mode,
    Stretch,
    clip_rate,
    iter_steps,
    log_factors,
    merge_repeats,
    stretches,
)
from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import L, reduce_frame
from deepmag.stream.clip_file import Timeline, read_frames, stated_length
from deepmag.stream.combine import combine
from deepmag.stream.frames import MagnifiedFrame
from deepmag.stream.magnifier import MAX_LOG_FACTOR
from deepmag.stream.offline_breath import draw_breath, follow_file
from deepmag.stream.offline_linear import Progress, analyse_file, draw_file, filter_file
from deepmag.stream.render.recorder import DISK_FULL, Recorder
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings, offline_mode
from deepmag.stream.stopped import StoppedError
from deepmag.stream.sure_rates import sure_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender
    from deepmag.stream.face import Face, FaceDetector
    from deepmag.stream.frames import Frame
    from deepmag.stream.roi import Roi
    from deepmag.stream.settings import Method, Region, Target

LOOK_EVERY = 0.2  # s between looks for the face at the start
LOOK_FOR = 1.0  # s from the first face found, over which its box is the median
FEW, SLOW = 60, 3.0  # pictures; Hz: where that is why nothing is magnified
ZEROS = 2**20  # bytes written at a time
GIVE_UP = 10.0  # s without a face, after which the full picture is used

Drawing = Callable[["Iterable[Frame]"], "Iterator[MagnifiedFrame]"]  # a second pass

log = logging.getLogger("deepmag.stream.offline")


@dataclass(frozen=True, slots=True)
class Report:
    """What was done. frames: written. total: in the source. rate: Hz. box: the region (x, y, w, h), px."""

    out: Path
    frames: int
    total: int
    rate: float
    box: tuple[int, int, int, int]
    kind: str

    def __str__(self) -> str:
        if self.frames == 0:
            return f"stopped before the first picture; nothing written to {self.out}"
        x, y, w, h = self.box
        return (
            f"{self.out}: {self.frames} of {self.total} pictures at {self.rate:.4g} Hz, "
            f"region {self.kind} {x},{y},{w},{h}"
        )


def magnify_file(
    source: Path,
    out: Path,
    *,
    mode: Mode | None = None,
    method: Method = "deepmag",
    target: Target = "pulse",
    gain: float = 10.0,
    roi: Region = "auto",
    lossless: bool = False,
    progress: Progress = lambda _stage, _share: None,
    stop: Callable[[], bool] = lambda: False,
    ascender: Ascender | None = None,
    respiration: GradientAscender | None = None,
    detector: FaceDetector | None = None,
) -> Report:
    """Magnify ``source`` (a video file) into ``out`` (.mkv, .mp4, .mov); one picture out for each picture in.

    mode: paper where not given, and steady where respiration is magnified. method: the networks', or a linear one,
    which has no mode and magnifies the whole picture. target: what the networks magnify.
    progress: called with a stage's name and the share of it that is done, in [0, 1]. stop: asked between pictures;
    once true, what is written so far is made playable and the report says how much it is. ascender, respiration,
    detector: the package's own where not given. Raises ValueError, SourceError, RendererError or
    AscenderUnavailableError, each with one line for a person.
    """
    mode = mode or offline_mode(method, target)
    # raises ValueError where a value is out of range
    settings = Settings(gain=gain, mode=mode, roi=roi, method=method, target=target, whole_clip=True)
    if method == "deepmag" and mode == "paper" and "respiration" in settings.signals:
        # only here: torch, with which it puts pictures together again, takes seconds to import
        from deepmag.stream.offline_phase import ascend_frames, draw_phase
    recorder = Recorder(out, rate=lambda: rate, lossless=lossless, source=source)
    rate = 30.0
    recorder.open()
    written, changed, clip, chosen = 0, False, Timeline(), None
    try:
        region = roi
        if method != "deepmag" or (target == "respiration" and roi == "auto"):
            region = "full"  # a linear method magnifies the whole picture, and breathing needs no face
        # a pulse is sure only where there is a face
        look = region == "auto" or (method == "deepmag" and mode == "steady" and "pulse" in settings.signals)
        chosen = choose_region(source, region, detector, stop, look=look)
        with contextlib.ExitStack() as files:
            first, added, logs, motions = (files.enter_context(tempfile.TemporaryFile()) for _ in range(4))
            if method == "deepmag":
                drawing: list[Drawing] = []
                if "pulse" in settings.signals:
                    small = _reduce(source, chosen, clip, first, progress, stop)
                    rate = clip_rate(clip.times, clip.nominal)
                    factors = _factors(
                        small, clip, chosen, rate, added, logs, ascender, mode, gain, progress, stop
                    )
                    drawing.append(partial(_draw, roi=chosen, small=small, factors=factors))
                if "respiration" in settings.signals:
                    box = chosen.box if isinstance(roi, tuple) else None
                    whole = clip if target == "respiration" else Timeline()
                    if mode == "paper":
                        pictures, length = read_frames(source, stop, whole), stated_length(source)
                        phases = ascend_frames(
                            pictures, length, box, respiration, gain, whole, motions, progress, stop
                        )
                        drawing.append(partial(draw_phase, path=phases))
                    else:
                        path = follow_file(source, box, respiration, whole, motions, progress, stop)
                        drawing.append(partial(draw_breath, path=path, gain=gain))
                    rate = clip_rate(whole.times, whole.nominal)
                drawn = _draw_all(drawing, read_frames(source, stop))
            else:
                linear = METHODS[method]
                coefficients = analyse_file(source, linear, clip, first, progress, stop)
                rate = clip_rate(clip.times, clip.nominal)
                filter_file(linear, coefficients, clip, rate, progress, stop)
                drawn = draw_file(source, linear, coefficients, gain, stop)
            for magnified in drawn:
                recorder.render(magnified)
                written += 1
                changed = changed or not np.array_equal(magnified.image, magnified.frame.image)
                progress("writing", written / len(clip.times))
    except StoppedError:
        pass
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise ValueError(f"cannot magnify {source}: {error}") from None
        raise ValueError(
            f"cannot keep what lies between the passes in {tempfile.gettempdir()}: {error.strerror}; free some space "
            "there or set TMPDIR to a folder on another disk"
        ) from None
    finally:
        recorder.close()
    if recorder.trouble:
        raise RendererError(recorder.trouble)
    if written and not changed and gain != 1.0 and not stop():
        few = (
            f": {written} pictures, {rate:.4g} a second, may be too few"
            if written < FEW or rate < SLOW
            else ""
        )
        log.warning("nothing is magnified in %s%s", out, few)
    if chosen is None:
        return Report(out, 0, 0, rate, (0, 0, 0, 0), "")
    return Report(out, written, len(clip.times), rate, chosen.box, chosen.kind)


def choose_region(
    source: Path,
    region: Region,
    detector: FaceDetector | None,
    stop: Callable[[], bool],
    *,
    look: bool = True,
) -> Roi:
    """One region for the whole clip: the median of a face's boxes over a second, or what the person asked for.

    look: for a face; a region that is asked for needs none.
    """
    from deepmag.stream.face import load_face_detector

    found: list[Face] = []
    first = looked = None
    size = (0, 0)
    if look and detector is None:
        detector = load_face_detector()
    for frame in read_frames(source, stop):
        size = (frame.image.shape[1], frame.image.shape[0])
        if not look or detector is None or frame.pts > GIVE_UP:
            break
        if first is not None and frame.pts - first > LOOK_FOR:
            break
        if looked is None or frame.pts - looked >= LOOK_EVERY:
            looked = frame.pts
            tracker = RoiTracker()
            faces = detector.detect(frame.image)
            chosen = tracker.update(0.0, size, faces).face
            found += [face for face in faces if face.box == chosen]
            first = frame.pts if first is None and found else first
    if region == "auto" and not found:
        log.warning(
            "no face at the start of %s: the full picture is used, which finds a pulse less well", source
        )
    return RoiTracker().update(0.0, size, _median_face(found), region)


def _median_face(found: list[Face]) -> list[Face]:
    from deepmag.stream.face import Face

    if not found:
        return []
    x, y, w, h = (float(value) for value in np.median([face.box for face in found], axis=0))
    return [Face((x, y, w, h), found[0].score, found[0].landmarks)]


def _reduce(
    source: Path, roi: Roi, clip: Timeline, store: Any, progress: Progress, stop: Callable[[], bool]
) -> NDArray[np.float32]:
    """First pass: the region of each picture, reduced, (T, 3, L, L), in the file ``store``."""
    x, y, w, h = roi.box
    length = stated_length(source)
    for frame in read_frames(source, stop, clip):
        small = reduce_frame(frame.image[y : y + h, x : x + w])
        clip.add(frame, small)
        store.write(small.tobytes())
        progress("reading", min(1.0, frame.pts / length) if length else 0.0)
    store.flush()
    progress("reading", 1.0)
    return np.memmap(store, np.float32, "r", shape=(len(clip.times), 3, L, L))


def _factors(
    small: NDArray[np.float32],
    clip: Timeline,
    roi: Roi,
    rate: float,
    added: Any,
    logs: Any,
    ascender: Ascender | None,
    mode: Mode,
    gain: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> NDArray[np.float32]:
    """Ascent and filter, stretch by stretch: the log factor of each picture, (T, 3, L, L), in the file ``logs``."""
    if ascender is None:
        from deepmag.export.runtime import open_ascender
        from deepmag.models.weights import PULSE

        ascender = open_ascender(PULSE)
    total = len(clip.times)
    size = total * 3 * L * L * np.dtype(np.float32).itemsize
    for store in (added, logs):
        _allocate(store, size)
    factors = np.memmap(logs, np.float32, "r+", shape=(total, 3, L, L))
    for stretch in stretches(clip.times, rate, clip.cuts):
        times = np.asarray(clip.times[stretch.start : stretch.stop])
        _stretch(
            small, stretch, times, roi, rate, added, factors, ascender, mode, gain, total, progress, stop
        )
    progress("magnifying", 1.0)
    return factors


def _allocate(store: Any, size: int) -> None:
    """Give a file a size in bytes, and the room for it: to write through memory without any is to be killed."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(store.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # this file system cannot
                raise
        else:
            return
    for _ in range(0, size, ZEROS):
        store.write(bytes(ZEROS))
    store.flush()


def _stretch(
    small: NDArray[np.float32],
    stretch: Stretch,
    times: NDArray[np.float64],
    roi: Roi,
    rate: float,
    added: Any,
    factors: NDArray[np.float32],
    ascender: Ascender,
    mode: Mode,
    gain: float,
    total: int,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    pairs = len(stretch.ticks)
    if pairs == 0:
        return  # one picture by itself stays as it is
    steps = np.memmap(added, np.float32, "r+", shape=(pairs, 3, L, L))
    frames = small[stretch.start : stretch.stop]
    ticks = merge_repeats(frames, stretch.ticks, rate)

    def looked(share: float) -> None:
        progress("looking", (stretch.start + share * (pairs + 1)) / total)
        if stop():
            raise StoppedError

    for block, step in iter_steps(
        ascender,
        frames,
        ticks,
        rate,
        mode=mode,
        gain=gain,
        pulse_rates=partial(sure_rates, frames, times, ticks, roi, stop),
        looked=looked,
    ):
        steps[block] = step
        progress("magnifying", (stretch.start + block.stop) / total)
        if stop():
            raise StoppedError
    log_factors(steps, rate, ticks, BANDS[mode], out=factors[stretch.start : stretch.stop])


def _draw(
    frames: Iterable[Frame], roi: Roi, small: NDArray[np.float32], factors: NDArray[np.float32]
) -> Iterator[MagnifiedFrame]:
    """Second pass (Eq. 17)."""
    for i, frame in enumerate(frames):
        if i >= len(small):  # a file that still grows
            return
        factor = np.clip(factors[i], -MAX_LOG_FACTOR, MAX_LOG_FACTOR)
        image = magnify_frame(frame.image, np.asarray(small[i]), np.asarray(factor), roi.box)
        yield MagnifiedFrame(frame, image, None, None, roi.box, frame.arrived)


def _draw_all(drawing: list[Drawing], frames: Iterator[Frame]) -> Iterator[MagnifiedFrame]:
    """What one draws, or of the pulse and respiration both; the file is read once."""
    if len(drawing) == 1:
        yield from drawing[0](frames)
        return
    colour, move = (draw(same) for draw, same in zip(drawing, itertools.tee(frames), strict=True))
    for coloured, moved in zip(colour, move, strict=False):
        image = combine(moved.frame.image, moved.image, coloured.image)
        yield replace(coloured, image=image)
