"""One video file of one picture size."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av

from deepmag.stream.render.h264 import (
    LOSSLESS_OPTIONS,
    NVENC,
    NVENC_RECORDING_OPTIONS,
    RECORDING_OPTIONS,
    Converter,
    as_rate,
    choose_encoder,
    configure,
    keyframe_interval,
)
from deepmag.stream.render.safe_file import SafeFile
from deepmag.stream.render.timeline import Timeline

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from av import VideoStream
    from numpy.typing import NDArray

# Suffix: muxer. AVI is not among them: it has no times of its own, only a fixed rate.
CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}

FRAGMENTED_OPTIONS = {"movflags": "hybrid_fragmented+frag_keyframe"}
MATROSKA_OPTIONS = {"cluster_time_limit": "1000"}  # ms; a cluster is written when it is complete


class VideoFile:
    """Writes frames of one shape. Raises OSError or FFmpegError; ``close`` then still leaves a playable file.

    shape: (H, W, 3). rate: nominal, Hz. lossless: exact, which only the CPU does. gpu: number of the GPU that is to
    encode, where it can. pixel_aspect: see `Frame`. by_gpu: whether it does. frames: written so far.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        *,
        rate: float,
        lossless: bool,
        gpu: int | None = None,
        pixel_aspect: float = 1.0,
    ) -> None:
        self.path = path
        self.shape = shape
        self.pixel_aspect = pixel_aspect
        self.frames = 0
        self._fragmented = path.suffix.lower() != ".mkv"
        # Matroska counts milliseconds: two frames within one would have the same time, which it refuses.
        time_base = Fraction(1, 90_000) if self._fragmented else Fraction(1, 1000)
        self._gap = float(1 / as_rate(rate))
        self._timeline = Timeline(time_base)
        self._converter = Converter(time_base=time_base, lossless=lossless)
        self._sink = SafeFile(path)
        try:
            self._container = av.open(
                self._sink,
                "w",
                format=CONTAINERS[path.suffix.lower()],
                options=FRAGMENTED_OPTIONS if self._fragmented else MATROSKA_OPTIONS,
            )
            width, height = self._converter.size(shape[0], shape[1])
            encoder, options = (
                ("libx264rgb", LOSSLESS_OPTIONS)
                if lossless
                else choose_encoder(gpu, (width, height), RECORDING_OPTIONS, NVENC_RECORDING_OPTIONS)
            )
            stream = self._container.add_stream(
                encoder,
                rate=as_rate(rate),
                options={**options, "g": keyframe_interval(rate)},
                width=width,
                height=height,
            )
            self._stream = cast("VideoStream", stream)
            self.by_gpu = encoder == NVENC
            configure(
                self._stream.codec_context, time_base=time_base, lossless=lossless, pixel_aspect=pixel_aspect
            )
        except BaseException:
            self._sink.close()
            raise

    @property
    def failure(self) -> OSError | None:
        """The first write that failed, or None."""
        return self._sink.failure

    def write(self, image: NDArray[np.uint8], session: int, pts: float) -> None:
        """Add one picture, (H, W, 3) uint8 RGB; pts: s, in its session."""
        ticks = self._timeline.place(session, pts, self._gap)
        self._container.mux(self._stream.encode(self._converter.convert(image, ticks)))
        self.frames += 1

    def close(self) -> None:
        """Write the encoder's last packets and the trailer; after a failure, keep what is whole."""
        try:
            if self.failure is None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
        finally:
            if self.failure is not None:
                self._sink.salvage(fragmented=self._fragmented)
            self._sink.close()
