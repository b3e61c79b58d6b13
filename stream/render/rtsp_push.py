"""Magnified frames to an RTSP server, live.

The renderer never waits for a server: without a connection it drops frames, counts them, and tries again when
the back-off says so. A frame that cannot leave within five seconds means that the connection is gone.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.video.codeccontext import VideoCodecContext

from deepmag.stream.capture.backoff import STEADY, Backoff
from deepmag.stream.render.h264 import (
    LIVE_OPTIONS,
    NVENC,
    NVENC_LIVE_OPTIONS,
    Converter,
    as_rate,
    choose_encoder,
    configure,
    keyframe_interval,
)
from deepmag.stream.render.overlay import STALE_AFTER, draw_overlay
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.rtp_h264 import CLOCK_RATE, parameter_sets
from deepmag.stream.render.rtsp_messages import parse_address
from deepmag.stream.render.rtsp_publisher import TIMEOUT, PublishError, RtspPublisher
from deepmag.stream.render.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from deepmag.stream.control import Control
    from deepmag.stream.frames import MagnifiedFrame

KEYFRAME_PERIOD = 2.0  # s; how long a viewer who joins waits for a picture
QUICK_CHANGES = 3  # of the picture's size that are followed at once
TIME_BASE = Fraction(1, CLOCK_RATE)

log = logging.getLogger("deepmag.render.rtsp")


class LiveEncoder:
    """H.264 for one connection and one size; a packet for each picture at once.

    gpu: see ``choose_encoder``. pixel_aspect: see `Frame`.
    """

    def __init__(
        self, height: int, width: int, *, rate: float, gpu: int | None = None, pixel_aspect: float = 1.0
    ) -> None:
        self.size = (height, width)
        self.pixel_aspect = pixel_aspect
        self._converter = Converter(time_base=TIME_BASE, lossless=False)
        size = self._converter.size(height, width)
        encoder, options = choose_encoder(gpu, size, LIVE_OPTIONS, NVENC_LIVE_OPTIONS)
        self.by_gpu = encoder == NVENC
        self._context = cast("VideoCodecContext", VideoCodecContext.create(encoder, "w"))
        self._context.width, self._context.height = size
        self._context.framerate = as_rate(rate)
        # The interval in frames is a bound only: keyframes are set by time, whatever the camera's rate.
        self._context.options = {**options, "g": keyframe_interval(rate, 2 * KEYFRAME_PERIOD)}
        configure(self._context, time_base=TIME_BASE, lossless=False, pixel_aspect=pixel_aspect)
        self._keyframe_at = 0

    def encode(self, image: NDArray[np.uint8], ticks: int) -> bytes:
        """image: (H, W, 3) uint8 RGB. Returns its access unit, in byte-stream format."""
        keyframe = ticks >= self._keyframe_at
        if keyframe:
            self._keyframe_at = ticks + round(KEYFRAME_PERIOD * CLOCK_RATE)
        frame = self._converter.convert(image, ticks, keyframe=keyframe)
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


class RtspPush:
    """A renderer that publishes the magnified picture to ``rtsp://[user:password@]host[:port]/path``.

    Implements ``ReportingRenderer``.

    rate: the source's nominal rate, Hz. overlay: where given, its status is drawn on the pictures, and a
    stale one goes on being sent with its state on it; else nothing is sent while no frame comes. gpu: number of the GPU
    that is to encode, where it can.
    timeout: s, for each wait on the server. chance: uniform in [0, 1), spreads the attempts to reconnect.
    A server that is away is waited for; one that says no to the first connection ends the renderer, unless it is
    patient. Raises RendererError where the address is none.
    """

    name = "rtsp push"

    def __init__(
        self,
        url: str,
        *,
        rate: float,
        overlay: Control | None = None,
        gpu: int | None = None,
        patient: bool = False,
        timeout: float = TIMEOUT,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        try:
            self._address = parse_address(url)
        except ValueError as error:
            raise RendererError(str(error)) from None
        self._rate = rate
        self._overlay = overlay
        self._gpu = gpu
        self._patient = patient
        self._timeout = timeout
        self._backoff = Backoff()
        self._chance = chance
        self._try_at = float("-inf")
        self._clock = clock
        self._wall = wall
        self._timeline = Timeline(TIME_BASE)
        self._publisher: RtspPublisher | None = None
        self._encoder: LiveEncoder | None = None
        self._frame: MagnifiedFrame | None = None
        self._frame_at = 0.0
        self._sent_at: float | None = None
        self._ever_connected = False
        self._connected_at = float("-inf")
        self._quick = 0  # changes of the picture's size, one soon after the other
        self.trouble = ""
        self.lost = 0  # frames, for want of a connection

    @property
    def connected(self) -> bool:
        """Whether pictures are being sent."""
        return self._publisher is not None

    def open(self) -> None:
        """Nothing to do: the first frame decides the size, and with it what is announced."""

    def render(self, frame: MagnifiedFrame) -> None:
        """Send one frame, or drop it where there is no connection."""
        now = self._clock()
        self._frame, self._frame_at = frame, now
        elapsed = 0.0 if self._sent_at is None else now - self._sent_at
        ticks = self._timeline.place(
            frame.frame.session, frame.frame.pts, max(elapsed, float(1 / as_rate(self._rate)))
        )
        if not self._push(self._drawn(frame, 0.0), ticks, now):
            self.lost += 1

    def idle(self) -> None:
        """Send the last picture again, marked as stale, so that a viewer sees that it is."""
        frame, now = self._frame, self._clock()
        if self._overlay is None or frame is None or self._sent_at is None:
            return
        age = now - self._frame_at
        if age > STALE_AFTER:
            ticks = self._timeline.advance(now - self._sent_at)
            self._push(self._drawn(frame, age), ticks, now)

    def close(self) -> None:
        """Disconnect."""
        self._disconnect()

    def _drawn(self, frame: MagnifiedFrame, age: float) -> NDArray[np.uint8]:
        if self._overlay is None:
            return frame.image
        # what this machine cannot write, and where, is nothing for who watches elsewhere
        status = replace(self._overlay.status(), troubles=())
        return draw_overlay(frame.image, status, frame.readings, picture_age=age)

    def _push(self, image: NDArray[np.uint8], ticks: int, now: float) -> bool:
        """Send a picture, connecting first where it is due; False where there is no connection."""
        self._sent_at = now
        aspect = 1.0 if self._frame is None else self._frame.frame.pixel_aspect
        encoder = self._encoder
        try:
            if encoder is not None and (encoder.size, encoder.pixel_aspect) != (image.shape[:2], aspect):
                log.info("the picture's size changed: announcing the stream again")
                self._disconnect()
                self._quick = self._quick + 1 if now - self._connected_at < STEADY else 0
                if self._quick > QUICK_CHANGES:  # a camera gone mad had a connection for each picture
                    self._try_at = now + self._backoff.failed(now, self._chance())
                    self.trouble = f"push to {self._address.url}: the size of pictures keeps changing"
            if self._publisher is None or self._encoder is None:
                if now < self._try_at:
                    return False
                self._connect(image, aspect, ticks, now)
            else:
                self._publisher.send(self._encoder.encode(image, ticks), ticks, now=now, wall=self._wall())
        except PublishError as error:
            self._disconnect()
            if error.refused and not self._ever_connected and not self._patient:
                raise RendererError(f"cannot push to {self._address.url}: {error}") from None
            delay = self._backoff.failed(now, self._chance())
            self._try_at = now + delay
            self.trouble = f"push to {self._address.url}: {error}"
            log.warning("%s; trying again in %.1f s", self.trouble, delay)
            return False
        except av.error.FFmpegError as error:
            if self._encoder is not None and self._encoder.by_gpu:
                log.error("the GPU encodes no more (%s): the CPU goes on", error.strerror)
                self._gpu = None
                self._disconnect()
                return False
            raise RendererError(f"cannot encode for {self._address.url}: {error.strerror}") from None
        return True

    def _connect(self, image: NDArray[np.uint8], aspect: float, ticks: int, now: float) -> None:
        encoder = LiveEncoder(*image.shape[:2], rate=self._rate, gpu=self._gpu, pixel_aspect=aspect)
        self._encoder = encoder
        unit = encoder.encode(image, ticks)
        publisher = RtspPublisher(self._address, *parameter_sets(unit), now=now, timeout=self._timeout)
        self._publisher = publisher
        self._ever_connected = True
        self._connected_at = now
        self.trouble = ""
        self._backoff.live(now)
        log.info("pushing to %s", self._address.url)
        publisher.send(unit, ticks, now=now, wall=self._wall())

    def _disconnect(self) -> None:
        publisher, self._publisher, self._encoder = self._publisher, None, None
        if publisher is not None:
            publisher.close()
