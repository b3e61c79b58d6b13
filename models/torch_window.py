"""The sliding window's filter in torch, for a GPU: its steps lie there, too, and each goes up once.

The window that it follows stays the truth: it keeps every step with the host, so that a GPU which fails takes nothing
along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from deepmag.models.window import SlidingWindow


class DeviceWindow:
    """What a `SlidingWindow` holds, on a device. Memory as the window's, taken at the first use."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._window: SlidingWindow | None = None
        self._emptied = self._written = 0
        self._kernel = self._steps = torch.empty(0)
        self._designed: object = None

    def filtered(self, window: SlidingWindow) -> torch.Tensor:
        """See `SlidingWindow.filtered`, which sums in another order: ``shape`` float32, on the device.

        Only what was pushed since the last call goes up.
        """
        size = len(window.kernel)
        if window is not self._window or window.emptied != self._emptied:
            if self._steps.shape != window.steps.shape:
                self._steps = torch.zeros(window.steps.shape, device=self._device)
            else:
                self._steps.zero_()
            self._window, self._emptied, self._written = window, window.emptied, 0
        if window.kernel is not self._designed:
            # twice in a row: from any place on, it is as long as the window, wherever the oldest step lies
            self._kernel = torch.from_numpy(window.kernel).repeat(2).to(self._device)
            self._designed = window.kernel
        oldest = window.written % size
        new = min(window.written - self._written, size)
        for part in (slice(max(0, oldest - new), oldest), slice(size - max(0, new - oldest), size)):
            if part.start < part.stop:
                self._steps[part] = torch.from_numpy(window.steps[part])
        self._written = window.written
        return torch.mv(self._steps.T, self._kernel[size - oldest : 2 * size - oldest]).reshape(window.shape)
