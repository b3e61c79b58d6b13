"""The window's filter on a device: the host's, however steps come and whatever is changed in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deepmag.models.torch_window import DeviceWindow
from deepmag.models.window import SlidingWindow

if TYPE_CHECKING:
    import torch

SHAPE = (3, 5, 4)


def assert_follows(mirror: DeviceWindow, window: SlidingWindow) -> None:
    found = mirror.filtered(window)
    assert found.shape == SHAPE
    np.testing.assert_allclose(found.cpu().numpy(), window.filtered(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("together", [1, 7, 59, 60, 61, 200], ids="{} steps a call".format)
def test_it_follows_over_many_turns_of_the_ring(device: torch.device, together: int) -> None:
    rng = np.random.default_rng(together)
    mirror, window = DeviceWindow(device), SlidingWindow(SHAPE, 10.0)
    assert len(window.kernel) == 60
    for _ in range(400 // together + 2):
        assert_follows(mirror, window)
        for _ in range(together):
            window.push(rng.normal(size=SHAPE))
    assert np.abs(window.filtered()).max() > 0.1
    assert_follows(mirror, window)


def test_a_pair_of_many_ticks_and_one_of_none(device: torch.device) -> None:
    rng = np.random.default_rng(1)
    mirror, window = DeviceWindow(device), SlidingWindow(SHAPE, 10.0)
    for ticks in (1, 3, 0, 0, 2, 70, 1, 59):
        window.push(rng.normal(size=SHAPE), ticks)
        assert_follows(mirror, window)


def test_what_is_forgotten_or_designed_anew_is_so_there_too(device: torch.device) -> None:
    rng = np.random.default_rng(2)
    mirror, window = DeviceWindow(device), SlidingWindow(SHAPE, 10.0)

    def go_on(count: int) -> None:
        for _ in range(count):
            window.push(rng.normal(size=SHAPE))
        assert_follows(mirror, window)

    go_on(80)
    window.set_lag(0.5)
    go_on(0)
    window.look_back(7)
    go_on(3)
    window.look_back(0)
    go_on(0)
    window.reset()
    go_on(0)
    assert not window.filtered().any()
    go_on(1)
    window.set_rate(12.0)
    go_on(30)
    for _ in range(2):  # emptied and filled as far as it was before, with nothing asked between
        window.reset()
        for _ in range(30):
            window.push(rng.normal(size=SHAPE))
    assert_follows(mirror, window)


def test_another_window_of_the_same_size_is_another(device: torch.device) -> None:
    mirror, windows = DeviceWindow(device), [SlidingWindow(SHAPE, 10.0) for _ in range(2)]
    for number, window in enumerate(windows):
        window.push(np.full(SHAPE, 1.0 + number))
    for window in (*windows, *windows):
        assert_follows(mirror, window)


def test_only_what_is_new_is_sent(device: torch.device) -> None:
    mirror, window = DeviceWindow(device), SlidingWindow(SHAPE, 10.0)
    for _ in range(20):
        window.push(np.ones(SHAPE))
    before = mirror.filtered(window).cpu()
    window.steps[:20] = 5.0  # as nobody does: were they sent again, they would be seen
    assert mirror.filtered(window).cpu().equal(before)
    window.push(np.ones(SHAPE))
    window.steps[:20] = 1.0
    assert_follows(mirror, window)
