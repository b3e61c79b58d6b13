"""``deepmag magnify``: a video file magnified as a whole, zero-phase, in two passes over it.

The first pass reduces each picture to 36 x 36, the second draws. What lies between them is 16 kB a picture for each
of three arrays, in temporary files, so that an hour of video needs no more memory than a minute.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.models.magnify import Mode, Stretch, clip_rate, iter_steps, log_factors, stretches
from deepmag.models.reconstruction import magnify_frame
from deepmag.models.representation import L, is_scene_cut, reduce_frame
from deepmag.stream.capture.address import Address
from deepmag.stream.capture.video import VideoSource
from deepmag.stream.frames import Frame, MagnifiedFrame, PulseReading
from deepmag.stream.magnifier import MAX_LOG_FACTOR
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.runtime import Ascender
    from deepmag.stream.face import Face, FaceDetector
    from deepmag.stream.roi import Roi
    from deepmag.stream.settings import Region

LOOK_EVERY = 0.2  # s between looks for the face at the start
LOOK_FOR = 1.0  # s from the first face found, over which its box is the median
GIVE_UP = 10.0  # s without a face, after which the full picture is used
NO_RATE = PulseReading(None, 0.0, "offline")

log = logging.getLogger("deepmag.stream.offline")

Progress = Callable[[str, float], None]


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


@dataclass(slots=True)
class _Clip:
    """What the first pass learns. times: s, rising over all sessions. cuts: frames that begin another scene."""

    roi: Roi
    nominal: float | None = None
    times: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


class _StoppedError(Exception):
    """The person does not want to wait."""


def magnify_file(
    source: Path,
    out: Path,
    *,
    mode: Mode = "paper",
    gain: float = 10.0,
    roi: Region = "auto",
    lossless: bool = False,
    progress: Progress = lambda _stage, _share: None,
    stop: Callable[[], bool] = lambda: False,
    ascender: Ascender | None = None,
    detector: FaceDetector | None = None,
) -> Report:
    """Magnify ``source`` (a video file) into ``out`` (.mkv, .mp4, .mov); one picture out for each picture in.

    progress: called with a stage's name and the share of it that is done, in [0, 1]. stop: asked between pictures;
    once true, what is written so far is made playable and the report says how much it is. ascender, detector: the
    package's own where not given. Raises ValueError, SourceError or RendererError, each with one line for a person.
    """
    Settings(gain=gain, mode=mode, roi=roi)  # raises ValueError where a value is out of range
    recorder = Recorder(out, rate=lambda: rate, lossless=lossless, source=source)
    rate = 30.0
    recorder.open()
    written, clip = 0, None
    try:
        clip = _Clip(_choose_region(source, roi, detector, stop))
        with (
            tempfile.TemporaryFile() as reduced,
            tempfile.TemporaryFile() as added,
            tempfile.TemporaryFile() as logs,
        ):
            try:
                small = _reduce(source, clip, reduced, progress, stop)
                rate = clip_rate(clip.times, clip.nominal)
                factors = _factors(small, clip, rate, added, logs, ascender, mode, gain, progress, stop)
            except OSError as error:
                raise ValueError(
                    f"cannot keep what lies between the passes in {tempfile.gettempdir()}: {error.strerror}; free "
                    "some space there or set TMPDIR to a folder on another disk"
                ) from None
            for magnified in _draw(source, clip, small, factors, stop):
                recorder.render(magnified)
                written += 1
                progress("writing", written / len(clip.times))
    except _StoppedError:
        pass
    finally:
        recorder.close()
    if clip is None:
        return Report(out, 0, 0, rate, (0, 0, 0, 0), "")
    return Report(out, written, len(clip.times), rate, clip.roi.box, clip.roi.kind)


def _frames(source: Path, stop: Callable[[], bool], notes: _Clip | None = None) -> Iterator[Frame]:
    """All pictures of the file. Raises _StoppedError, SourceError, and ValueError for a change of size."""
    video = VideoSource(Address("file", str(source)), pace="max")
    size: tuple[int, ...] | None = None
    for frame in video.frames(threading.Event()):
        if stop():
            raise _StoppedError
        if size is not None and frame.image.shape != size:
            raise ValueError(
                f"{source}: the picture's size changes from {size[1]}x{size[0]} to {frame.image.shape[1]}x"
                f"{frame.image.shape[0]} at picture {frame.seq + 1}: cut the clip there and magnify each part"
            )
        size = frame.image.shape
        if notes is not None:
            notes.nominal = video.nominal_rate
        yield frame


def _choose_region(
    source: Path, region: Region, detector: FaceDetector | None, stop: Callable[[], bool]
) -> Roi:
    """One region for the whole clip: the median of a face's boxes over a second, or what the person asked for."""
    from deepmag.stream.face import load_face_detector

    found: list[Face] = []
    first = look = None
    size = (0, 0)
    if region == "auto" and detector is None:
        detector = load_face_detector()
    for frame in _frames(source, stop):
        size = (frame.image.shape[1], frame.image.shape[0])
        if region != "auto" or detector is None or frame.pts > GIVE_UP:
            break
        if first is not None and frame.pts - first > LOOK_FOR:
            break
        if look is None or frame.pts - look >= LOOK_EVERY:
            look = frame.pts
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
    source: Path, clip: _Clip, store: Any, progress: Progress, stop: Callable[[], bool]
) -> NDArray[np.float32]:
    """First pass: the region of each picture, reduced, (T, 3, L, L), in the file ``store``."""
    x, y, w, h = clip.roi.box
    length = _length(source)
    before: NDArray[np.float32] | None = None
    session, offset = 0, 0.0
    for frame in _frames(source, stop, clip):
        if frame.session != session:
            # another clock: whatever time went by, what came before says nothing about what follows
            session, offset = frame.session, (clip.times[-1] if clip.times else 0.0) + 1.0
            clip.cuts.append(len(clip.times))
        small = reduce_frame(frame.image[y : y + h, x : x + w])
        if before is not None and is_scene_cut(before, small):
            clip.cuts.append(len(clip.times))
        before = small
        clip.times.append(frame.pts + offset)
        store.write(small.tobytes())
        progress("reading", min(1.0, frame.pts / length) if length else 0.0)
    store.flush()
    progress("reading", 1.0)
    return np.memmap(store, np.float32, "r", shape=(len(clip.times), 3, L, L))


def _factors(
    small: NDArray[np.float32],
    clip: _Clip,
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
        store.truncate(size)
    factors = np.memmap(logs, np.float32, "r+", shape=(total, 3, L, L))
    for stretch in stretches(clip.times, rate, clip.cuts):
        _stretch(small, stretch, rate, added, factors, ascender, mode, gain, total, progress, stop)
    progress("magnifying", 1.0)
    return factors


def _stretch(
    small: NDArray[np.float32],
    stretch: Stretch,
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
    for block, step in iter_steps(ascender, frames, stretch.ticks, rate, mode=mode, gain=gain):
        steps[block] = step
        progress("magnifying", (stretch.start + block.stop) / total)
        if stop():
            raise _StoppedError
    log_factors(steps, rate, stretch.ticks, out=factors[stretch.start : stretch.stop])


def _draw(
    source: Path,
    clip: _Clip,
    small: NDArray[np.float32],
    factors: NDArray[np.float32],
    stop: Callable[[], bool],
) -> Iterator[MagnifiedFrame]:
    """Second pass (Eq. 17)."""
    for i, frame in enumerate(_frames(source, stop)):
        if i >= len(small):  # a file that still grows
            return
        factor = np.clip(factors[i], -MAX_LOG_FACTOR, MAX_LOG_FACTOR)
        image = magnify_frame(frame.image, np.asarray(small[i]), np.asarray(factor), clip.roi.box)
        yield MagnifiedFrame(frame, image, 0.0, NO_RATE, clip.roi.box, frame.arrived)


def _length(source: Path) -> float:
    """Length of a file as it states itself, s; 0 where it does not."""
    import av

    with av.open(str(source), metadata_errors="replace") as container:
        return container.duration / av.time_base if container.duration else 0.0
