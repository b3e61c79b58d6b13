"""A stream's pictures on a GPU: each goes up once and comes down once, and what passes over its pixels stays there.

They go up from pinned memory on a CUDA stream of their own: the next one while the one before it comes down. Both ways
at once take no longer than one. To send it earlier gains nothing, since the small arrays that the one at hand needs
would wait behind it.

The pulse's wait there as long as the frames wait in the magnifier, so that neither a frame nor what it was reduced to
need go up again to be magnified; the window's filter works there, too. The host has the same steps and the same small
pictures, 36 x 36: it looks for cuts and for the rate in them, and goes on from them should the GPU fail. Respiration's
small pictures, five times a second, are the host's alone.
"""

from __future__ import annotations

import ctypes
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from deepmag.models.local_motion import GRID
from deepmag.models.phase import REDUCED
from deepmag.models.representation import L
from deepmag.models.torch_displacement import displace_region, reduce_luma
from deepmag.models.torch_pictures import add_difference, reduce_region
from deepmag.models.torch_window import DeviceWindow
from deepmag.models.window import SlidingWindow
from deepmag.stream.breath_ticks import magnified
from deepmag.stream.frames import Frame
from deepmag.stream.pictures import Colouring, HostPictures, Move
from deepmag.stream.pinned import pinned_picture
from deepmag.stream.ring import SlotPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.stream.roi import IntBox

Result = TypeVar("Result")

HELD = 128  # pictures that wait on the GPU, at most: 0.8 GB of 1920x1080; older ones go up again when they are due
EXPECTED = 4  # pictures that are to go up, at most: the next to be reduced, and the next to be moved
RESULTS = 8  # arrays for pictures that came down, kept for use

log = logging.getLogger("deepmag.stream.device_pictures")


@dataclass(slots=True)
class _Sent:
    """A picture on the device, or on its way there until ``done``.

    source: kept, since its memory must not be used again before. done: None where the picture is there. small: what
    the region ``box`` of it was reduced to.
    """

    pixels: torch.Tensor
    source: NDArray[np.uint8]
    done: torch.cuda.Event | None = None
    box: IntBox | None = None
    small: torch.Tensor | None = None


class DevicePictures:
    """Implements ``Pictures`` by torch, and by the CPU from the moment the GPU fails.

    Of one stream and, but for ``memory``, one thread. device: as torch has it; a CPU does the same, slower than
    `HostPictures`.
    """

    def __init__(self, device: torch.device, held: int = HELD) -> None:
        self._device = device
        self._most = held
        self._held: OrderedDict[tuple[int, int], _Sent] = OrderedDict()
        self._expected: OrderedDict[tuple[int, int], Frame] = OrderedDict()
        self._window = DeviceWindow(device)
        self._copies: torch.cuda.Stream | None = None
        self._pins = device.type == "cuda"
        self._results = SlotPool(RESULTS, self.memory)
        self._host: HostPictures | None = None

    @property
    def held(self) -> int:
        """Pictures on the device."""
        return len(self._held)

    def memory(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """See ``Pictures``. Pinned: from other memory a picture goes up, too, but the caller waits for it."""
        if self._pins:
            try:
                return pinned_picture(shape)
            except (
                RuntimeError
            ) as error:  # only a part of a machine's memory can be, and none once the GPU failed
                log.warning("%s; pictures go up more slowly", error)
                self._pins = False
        return np.empty(shape, np.uint8)

    def expect(self, frame: Frame) -> None:
        """See ``Pictures``. It goes up when next one comes down."""
        key = (frame.session, frame.seq)
        if self._host is None and key not in self._held:
            self._expected[key] = frame
            if len(self._expected) > EXPECTED:
                self._expected.popitem(last=False)

    def reduce(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""

        def on_device() -> NDArray[np.float32]:
            sent = self._hold(frame)
            small = reduce_region(self._pixels(sent), box)
            sent.box, sent.small = box, small
            result: NDArray[np.float32] = small.cpu().numpy()
            return result

        return self._either(on_device, lambda host: host.reduce(frame, box))

    def luma(self, frame: Frame, box: IntBox) -> NDArray[np.float32]:
        """See ``Pictures``."""

        def on_device() -> NDArray[np.float32]:
            result: NDArray[np.float32] = reduce_luma(self._pixels(self._glance(frame)), box).cpu().numpy()
            return result

        if min(box[2:]) < REDUCED:  # made larger, which is nothing for a GPU
            return HostPictures().luma(frame, box)
        return self._either(on_device, lambda host: host.luma(frame, box))

    def change(
        self, frame: Frame, *, move: Move | None = None, colouring: Colouring | None = None
    ) -> NDArray[np.uint8]:
        """See ``Pictures``."""

        def on_device() -> NDArray[np.uint8]:
            sent = self._glance(frame)
            captured = picture = self._pixels(sent)
            if move is not None:
                picture = displace_region(picture, magnified(move.motion, move.gain), move.box)
            if colouring is not None:
                small = sent.small if sent.box == colouring.box else None
                if small is None:
                    small = torch.from_numpy(colouring.small).to(self._device)
                change = small * torch.expm1(self._log_factor(colouring))
                picture = add_difference(picture, change, colouring.box)
            result = frame.image if picture is captured else self._down(picture)
            self._release(frame)
            return result

        return self._either(on_device, lambda host: host.change(frame, move=move, colouring=colouring))

    def _log_factor(self, colouring: Colouring) -> torch.Tensor:
        """See ``Colouring.log_factor``."""
        if isinstance(colouring.factor, np.ndarray):
            return torch.from_numpy(colouring.log_factor()).to(self._device)
        factor = self._window.filtered(colouring.factor)
        return factor.mul_(colouring.scale).clamp_(-colouring.limit, colouring.limit)

    def _either(self, on_device: Callable[[], Result], on_host: Callable[[HostPictures], Result]) -> Result:
        if self._host is None:
            try:
                return on_device()
            except (ValueError, MemoryError):
                raise
            except Exception as error:  # torch's errors have no base of their own
                reason = str(error).partition("\n")[0]
                log.error("%s failed: %s; pictures go on on the CPU", self._device, reason)
                self._host = HostPictures()
                self._pins = False
                self._held.clear()
                self._expected.clear()
        return on_host(self._host)

    def _hold(self, frame: Frame) -> _Sent:
        """A frame's picture, sent if it was not; kept until it or a later one is shown."""
        key = (frame.session, frame.seq)
        if key not in self._held:
            self._expected.pop(key, None)
            self._held[key] = self._send(frame.image)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        return self._held[key]

    def _glance(self, frame: Frame) -> _Sent:
        """A frame's picture, not kept if it is not there: respiration comes back to it after seconds, if at all."""
        key = (frame.session, frame.seq)
        self._expected.pop(key, None)
        held = self._held.get(key)
        return self._send(frame.image) if held is None else held

    def _release(self, frame: Frame) -> None:
        """Let go of what came no later than a frame that is shown."""
        shown = (frame.session, frame.seq)
        self._held.pop(shown, None)  # not in its place if it was sent again
        while self._held and next(iter(self._held)) <= shown:
            self._held.popitem(last=False)

    def _send(self, image: NDArray[np.uint8]) -> _Sent:
        image = np.ascontiguousarray(image)
        if self._device.type != "cuda":
            return _Sent(_as_tensor(image).clone(), image)
        if self._copies is None:
            self._copies = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._copies):
            pixels = _as_tensor(image).to(self._device, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
        return _Sent(pixels, image, done)

    def _pixels(self, sent: _Sent) -> torch.Tensor:
        """(H, W, 3) uint8, for what is launched from here on: the GPU waits for it, the caller does not.

        Its memory is the copies' stream's, which may use it again as soon as nothing refers to it. So what is launched
        must be waited for before; torch's record_stream would do so, and end the process once the GPU has failed.
        """
        if sent.done is not None:
            torch.cuda.current_stream(self._device).wait_event(sent.done)
        return sent.pixels

    def _down(self, picture: torch.Tensor) -> NDArray[np.uint8]:
        """A picture in the host's memory; meanwhile those that are expected go up."""
        if self._device.type != "cuda":
            self._send_expected()
            return picture.numpy()
        # memory of ours: torch's would be given back by a call that ends the process once the GPU has failed
        result = self._results.lease(tuple(picture.shape))
        torch.from_numpy(result).copy_(picture, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))
        self._send_expected()
        done.synchronize()
        return result

    def _send_expected(self) -> None:
        while self._expected:
            self._hold(self._expected.popitem(last=False)[1])


def warm_up(device: torch.device) -> None:
    """Make every pass once: a GPU's libraries and kernels are loaded at their first use, for which frames are lost."""
    pictures = DevicePictures(device)
    frame = Frame(0, 0, 0.0, 0.0, pictures.memory((1080, 1920, 3)))
    box = (640, 220, 640, 640)
    pictures.reduce(frame, box)
    pictures.luma(frame, box)
    small, motion = np.ones((3, L, L), np.float32), np.full((2, GRID, GRID), 0.1, np.float32)
    window = SlidingWindow((3, L, L), 30.0)
    window.push(small)
    pictures.change(frame, move=Move(box, motion, 2.0), colouring=Colouring(box, small, window))


def _as_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """A picture's pixels, contiguous, only to be read, and only while the picture is there."""
    if not image.flags.writeable:  # torch would warn that it cannot keep them so
        pixels = (ctypes.c_uint8 * image.size).from_address(image.ctypes.data)
        image = np.frombuffer(memoryview(pixels), np.uint8).reshape(image.shape)
    return torch.from_numpy(image)
