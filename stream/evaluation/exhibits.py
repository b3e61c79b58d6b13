"""What the figures show of a clip, scan lines and the traces of one pixel, as small arrays: the clip can go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.synthetic.clip import SyntheticClip
    from deepmag.models.synthetic.motion import Task

SIDE = 5  # px of the square whose mean is "the pixel": one pixel's noise would hide the pulse
MARGIN = 0.15  # of the region's width, to either side of it, that a scan line shows
OFF_SKIN = (0.55, 0.9)  # share of the time that a pixel should be on skin, to show what happens on and off it


class Exhibits:
    """Collects arrays by name from the runs on one clip: scan lines for task D, pixel traces for task B."""

    def __init__(self, clip: SyntheticClip, task: Task) -> None:
        self._task = task
        self.arrays: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = {}
        if task == "D":
            self._row = scan_row(clip.skin)
            self.arrays["frame"] = clip.video[len(clip.video) // 2].copy()
            x, _, w, _ = clip.region
            around = round(MARGIN * w)
            self._columns = slice(max(0, x - around), min(clip.video.shape[2], x + w + around))
            self.arrays["row"] = np.array([self._row], np.float32)
            self.arrays["left"] = np.array([self._columns.start], np.float32)
            self.scan("original", clip.video)
            if clip.ideal is not None:
                self.scan("ideal", clip.ideal)
        elif task == "B":
            self._pixel = turning_pixel(clip.skin)
            x, y = self._pixel
            self.arrays["trace original"] = self._mean(clip.video)
            self.arrays["pixel"] = np.array(self._pixel, np.float32)
            self.arrays["on skin"] = clip.skin[:, y, x].astype(np.float32)

    def scan(self, name: str, video: NDArray[np.uint8], gain: float | None = None) -> None:
        """Keep a horizontal line of each frame, the head and a little beside it: (T, W', 3). gain: reached in it."""
        if self._task == "D":
            if gain is not None:
                self.arrays[f"gain {name}"] = np.array([gain], np.float32)
            self.arrays[f"scan {name}"] = video[:, self._row, self._columns].copy()

    def trace(self, gamma: float, video: NDArray[np.uint8]) -> None:
        """Keep the colours of the pixel over time, (T, 3), magnified at ``gamma`` times the paper's step."""
        if self._task == "B":
            self.arrays[f"trace {gamma:g}"] = self._mean(video)

    def _mean(self, video: NDArray[np.uint8]) -> NDArray[np.float32]:
        x, y = self._pixel
        half = SIDE // 2
        square = video[:, max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
        return np.asarray(square.mean(axis=(1, 2), dtype=np.float32))


def scan_row(skin: NDArray[np.float32]) -> int:
    """The row with most skin over the whole clip. skin: (T, H, W)."""
    return int(skin.sum(axis=(0, 2)).argmax())


def turning_pixel(skin: NDArray[np.float32]) -> tuple[int, int]:
    """A pixel (x, y) high on the face that is on skin most of the time, and off it when the head has turned."""
    share = (skin > 0.5).mean(axis=0)
    often = (share >= OFF_SKIN[0]) & (share <= OFF_SKIN[1])
    if not often.any():  # a head that does not turn far
        often = share >= share.max()
    rows, columns = np.nonzero(often)
    index = int(np.argmin(np.abs(share[rows, columns] - np.mean(OFF_SKIN)) + rows / skin.shape[1]))
    return int(columns[index]), int(rows[index])
