"""What passes over whole pictures, in torch: the same pictures as on the CPU, and nothing kept that is shown."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from picture_frames import BOXES, bulge, frame, smooth

from deepmag.models.local_motion import GRID
from deepmag.models.representation import L
from deepmag.models.window import SlidingWindow
from deepmag.stream import device_pictures
from deepmag.stream.both import Plans
from deepmag.stream.combine import combine
from deepmag.stream.device_pictures import DevicePictures
from deepmag.stream.frames import Frame
from deepmag.stream.pictures import Colouring, HostPictures, Move

if TYPE_CHECKING:
    from deepmag.stream.roi import IntBox


@pytest.mark.parametrize("box", BOXES)
def test_a_region_is_reduced_as_on_the_cpu(device: torch.device, box: IntBox) -> None:
    small = DevicePictures(device).reduce(frame(), box)
    assert small.shape == (3, L, L)
    np.testing.assert_allclose(small, HostPictures().reduce(frame(), box), atol=2e-3)


@pytest.mark.parametrize("box", BOXES)
def test_a_frame_is_magnified_as_on_the_cpu(device: torch.device, box: IntBox) -> None:
    small = HostPictures().reduce(frame(), box)
    factor = np.random.default_rng(1).normal(0.0, 0.05, small.shape).astype(np.float32)
    colouring = Colouring(box, small, factor)
    found = DevicePictures(device).change(frame(), colouring=colouring)
    wanted = HostPictures().change(frame(), colouring=colouring)
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    assert (found != frame().image).mean() > 0.05


def test_a_windows_filter_is_scaled_and_limited_as_on_the_cpu(device: torch.device) -> None:
    box, window = BOXES[1], SlidingWindow((3, L, L), 30.0)
    window.push(np.random.default_rng(2).normal(0.0, 0.3, (3, L, L)))
    for _ in range(window.delay_ticks):
        window.push(np.zeros((3, L, L)))
    coloured = [
        pictures.change(
            frame(), colouring=Colouring(box, pictures.reduce(frame(), box), window, scale=2.0, limit=0.1)
        )
        for pictures in (DevicePictures(device), HostPictures())
    ]
    assert np.abs(window.log_factor() * 2.0).max() > 0.2
    apart = np.abs(coloured[0].astype(int) - coloured[1])
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    assert (coloured[0] != frame().image).mean() > 0.05


def test_what_the_pulse_wants_is_settled_while_it_waits_for_respiration(device: torch.device) -> None:
    box, window = BOXES[1], SlidingWindow((3, L, L), 30.0, lag=0.0)
    window.push(np.full((3, L, L), 0.1))
    for pictures in (DevicePictures(device), HostPictures()):
        colouring = Colouring(box, pictures.reduce(frame(), box), window)
        wanted, plans = pictures.change(frame(), colouring=colouring), Plans(pictures)
        plans.change(frame(), colouring=colouring)
        window.push(np.full((3, L, L), -0.4))
        assert np.abs(pictures.change(frame(), colouring=colouring).astype(int) - wanted).max() > 3
        apart = np.abs(plans.carry_out(frame()).astype(int) - wanted)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3


def test_of_a_frame_that_was_carried_out_nothing_is_kept() -> None:
    pictures, box = HostPictures(), BOXES[1]
    plans, parts = Plans(pictures), []
    for number in range(3):
        small, move = pictures.reduce(frame(number), box), bulge(box)
        parts += [weakref.ref(small), weakref.ref(move.motion)]
        plans.change(frame(number), move=move)
        plans.change(frame(number), colouring=Colouring(box, small, np.zeros_like(small)))
    del small, move
    assert all(part() is not None for part in parts)
    for number in range(3):
        plans.carry_out(frame(number))
    assert all(part() is None for part in parts)


def test_what_was_reduced_in_another_region_is_not_what_is_coloured(device: torch.device) -> None:
    """The region may have gone on while the frame waited."""
    pictures, box = DevicePictures(device), BOXES[1]
    small = HostPictures().reduce(frame(), box)
    colouring = Colouring(box, small, np.full_like(small, 0.05))
    wanted = pictures.change(frame(), colouring=colouring)
    pictures.reduce(frame(), BOXES[2])
    np.testing.assert_array_equal(pictures.change(frame(), colouring=colouring), wanted)


def test_nothing_added_is_the_very_frame(device: torch.device) -> None:
    small = np.full((3, L, L), 100, np.float32)
    nothing = Colouring(BOXES[1], small, np.zeros_like(small))
    same = DevicePictures(device).change(frame(), colouring=nothing)
    np.testing.assert_array_equal(same, frame().image)


def test_a_region_smaller_than_the_reduced_picture_is_refused(device: torch.device) -> None:
    for pictures in (DevicePictures(device), HostPictures()):
        with pytest.raises(ValueError, match="a picture of 30x120 is smaller than 36x36"):
            pictures.reduce(frame(), (0, 0, 30, 120))


@pytest.mark.parametrize("size", [(640, 360), (246, 300), (160, 120)])
def test_a_luma_is_reduced_as_on_the_cpu(device: torch.device, size: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image.flags.writeable = False
    seen, box = Frame(0, 0, 0.0, 0.0, image), (0, 0, *size)
    pictures = DevicePictures(device)
    np.testing.assert_allclose(pictures.luma(seen, box), HostPictures().luma(seen, box), atol=2e-3)
    assert pictures.held == 0


@pytest.mark.parametrize("box", BOXES)
def test_a_frame_is_moved_as_on_the_cpu(device: torch.device, box: IntBox) -> None:
    seen, move = smooth(), bulge(box)
    found = DevicePictures(device).change(seen, move=move)
    wanted = HostPictures().change(seen, move=move)
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 1  # the CPU's table of a 128th of a pixel
    assert apart.mean() < 0.02
    assert (found != seen.image).any(2).mean() > 0.02
    x, y, w, h = box
    outside = np.ones(seen.image.shape[:2], bool)
    outside[y : y + h, x : x + w] = False
    np.testing.assert_array_equal(found[outside], seen.image[outside])


def test_what_is_moved_is_coloured_after(device: torch.device) -> None:
    """The pulse's region may be another than that of respiration; where both are, each does what it would alone."""
    seen, face, chest = smooth(), BOXES[1], BOXES[3]
    small = HostPictures().reduce(seen, face)
    colouring, move = Colouring(face, small, np.full_like(small, 0.05)), bulge(chest)
    for pictures in (DevicePictures(device), HostPictures()):
        both = pictures.change(seen, move=move, colouring=colouring).astype(int)
        moved, coloured = (pictures.change(seen, **one) for one in ({"move": move}, {"colouring": colouring}))
        apart = np.abs(both - combine(seen.image, moved, coloured))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3
        assert pictures.change(seen) is seen.image


def test_where_nothing_moves_the_frame_is_given_back_itself(device: torch.device) -> None:
    seen, still = frame(), Move(BOXES[0], np.zeros((2, GRID, GRID), np.float32), 10.0)
    for pictures in (DevicePictures(device), HostPictures()):
        assert pictures.change(seen, move=still) is seen.image


def test_warming_up_makes_every_pass(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = []

    def spied(name: str) -> Any:
        real = getattr(device_pictures, name)

        def spy(*given: Any) -> Any:
            made.append(name)
            return real(*given)

        return spy

    for name in ("reduce_region", "reduce_luma", "displace_region", "add_difference"):
        monkeypatch.setattr(device_pictures, name, spied(name))
    device_pictures.warm_up(device)
    assert sorted(made) == ["add_difference", "displace_region", "reduce_luma", "reduce_region"]
    assert not caplog.records  # nothing failed
