"""An OpenCV window: the magnified picture with its state and figures, and keys to change what it shows."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepmag.stream.render.compose import picture, square
from deepmag.stream.render.display import display_problem
from deepmag.stream.render.overlay import STALE_AFTER, draw_overlay
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.snapshot import save_snapshot, snapshot_name
from deepmag.stream.settings import GAIN_RANGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepmag.stream.control import Control
    from deepmag.stream.frames import MagnifiedFrame, Reading, SignalName

GAIN_STEP = 1.25  # times, for each press of + or -
NOTICE_TIME = 3.0  # s
REDRAW_PERIOD = 0.25  # s, while no frame comes
EMPTY_SIZE = (480, 640)  # px, before the first frame
ESCAPE = "\x1b"
HELP = (
    "q quit    o original    + - gain    m mode",
    "s snapshot    r record    h help",
)

log = logging.getLogger("deepmag.render.window")


@dataclass(slots=True)
class View:
    """What the person chose to see."""

    original_beside: bool = False
    help: bool = False


class Window:
    """A renderer that shows frames in a window.

    on_quit: called when the person presses q or Esc, or closes the window. folder: where snapshots go.
    Keys act at once, also while no frame comes: ``idle`` redraws and reads them.
    """

    name = "window"
    idle_period = 0.04  # s: OpenCV keeps only the last key, so quick ones are lost unless asked for often

    def __init__(
        self,
        control: Control,
        *,
        on_quit: Callable[[], None],
        title: str = "deepmag",
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = View()
        self._control = control
        self._on_quit = on_quit
        self._title = title
        self._folder = folder or Path()
        self._clock = clock
        self._frame: MagnifiedFrame | None = None
        self._frame_at = clock()
        self._notice = ""
        self._notice_until = 0.0
        self._shape: tuple[int, ...] = ()
        self._shown_at = 0.0
        self._open = False
        self._quit = False

    def open(self) -> None:
        """Open the window. Raises RendererError where there is no display for it."""
        problem = display_problem()
        if problem is not None:
            raise RendererError(problem)
        # Qt tells a person in front of a terminal about fonts that are not drawn with; errors still come.
        os.environ.setdefault("QT_LOGGING_RULES", "*.debug=false;*.warning=false")
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise RendererError(f"cannot open a window: {error.err}") from None
        self._open = True
        self._frame_at = self._clock()
        self._show()

    def render(self, frame: MagnifiedFrame) -> None:
        """Show one frame."""
        self._frame = frame
        self._frame_at = self._clock()
        self._show()

    def idle(self) -> None:
        """Read the keys, and redraw: age, state and notices change without a frame."""
        self._keys()
        if self._clock() - self._shown_at >= REDRAW_PERIOD:
            self._show()

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            try:
                cv2.destroyWindow(self._title)
                cv2.pollKey()  # Qt closes it in its event loop
            except cv2.error:  # the person closed it before
                log.debug("the window was gone already")

    def compose(self) -> NDArray[np.uint8]:
        """Draw what the window shows now, (H, W, 3) uint8 RGB."""
        status, settings, now = self._control.status(), self._control.settings, self._clock()
        notes = []
        if now < self._notice_until:
            notes.append(self._notice)
        if self.view.help:
            notes += [f"gain {settings.gain:.3g}   mode {settings.mode}   lag {settings.lag:g} s", *HELP]
        frame = self._frame
        if frame is None:
            image = np.zeros((*EMPTY_SIZE, 3), np.uint8)
        else:
            image = picture(frame, original_beside=self.view.original_beside)
            image = square(image, frame.frame.pixel_aspect)
        age = now - self._frame_at
        readings: dict[SignalName, Reading | None] = dict.fromkeys(settings.signals)
        if frame is not None and age <= STALE_AFTER:
            readings |= frame.readings
        return draw_overlay(image, status, readings, picture_age=age, notes=notes)

    def press(self, key: str) -> None:
        """Act on one key; a key without a meaning does nothing."""
        settings = self._control.settings
        try:
            if key in ("q", ESCAPE):
                self._ask_to_quit()
            elif key == "o":
                self.view.original_beside = not self.view.original_beside
            elif key == "h":
                self.view.help = not self.view.help
            elif key in ("+", "="):
                gain = self._control.change(gain=min(settings.gain * GAIN_STEP, GAIN_RANGE[1])).gain
                self._tell(f"gain {gain:.3g}")
            elif key == "-":
                gain = self._control.change(gain=max(settings.gain / GAIN_STEP, GAIN_RANGE[0])).gain
                self._tell(f"gain {gain:.3g}")
            elif key == "m":
                mode = self._control.change(mode="paper" if settings.mode == "steady" else "steady").mode
                self._tell(f"mode {mode}")
            elif key == "s":
                self._snapshot()
            elif key == "r":
                if self._control.status().recording:
                    self._tell(f"recorded to {self._control.stop_recording()}")
                else:
                    self._tell(f"recording to {self._control.start_recording()}")
        except (RendererError, ValueError) as error:
            self._tell(str(error))

    def _snapshot(self) -> None:
        if self._frame is None:
            self._tell("no picture yet")
            return
        name = snapshot_name(self._frame, now=self._clock(), wall=datetime.now().astimezone())
        path = save_snapshot(self._frame, self._folder / name, original_beside=self.view.original_beside)
        self._tell(f"saved {path.name}")

    def _tell(self, notice: str) -> None:
        self._notice = notice
        self._notice_until = self._clock() + NOTICE_TIME
        log.info("%s", notice)

    def _ask_to_quit(self) -> None:
        if not self._quit:
            self._quit = True
            self._on_quit()

    def _show(self) -> None:
        image = self.compose()
        self._shown_at = self._clock()
        try:
            if self._shape and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
                self._ask_to_quit()  # closed by its frame; drawing would open it again
                return
            if image.shape != self._shape:
                cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
                self._shape = image.shape
            cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise RendererError(f"the window failed: {error.err}") from None
        self._keys()

    def _keys(self) -> None:
        try:
            key = cv2.pollKey()  # runs the window's event loop, too
        except cv2.error as error:
            raise RendererError(f"the window failed: {error.err}") from None
        if key >= 0:
            self.press(chr(key & 0xFF))
            self._shown_at = float("-inf")  # show what the key did at the next call
