from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
import torch

from deepmag.models.reconstruction import magnify_frame, warm_up

RANDOM = np.random.default_rng(0)


def scene(height=120, width=160):
    image = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = RANDOM.uniform(20, 235, (3, 36, 36)).astype(np.float32)
    factor = RANDOM.normal(0, 0.02, (3, 36, 36)).astype(np.float32)
    return image, small, factor


def reference(image, small, factor):
    """Eq. 17 with separate library calls, in float. Whole frame."""
    change = (small * np.expm1(factor)).transpose(1, 2, 0)
    up = cv2.resize(change, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(image + up, 0, 255)


@pytest.mark.parametrize("roi", [(0, 0, 160, 120), (37, 11, 80, 90), (0, 60, 36, 60)])
def test_nothing_added_gives_the_very_same_bytes(roi):
    image, small, factor = scene()
    assert np.array_equal(magnify_frame(image, small, np.zeros_like(factor), roi), image)


@pytest.mark.parametrize("size", [(120, 160), (37, 1000), (481, 639)])
def test_it_is_the_bilinear_reference_to_one_grey_level_and_on_average_exactly(size):
    image, small, factor = scene(*size)
    error = magnify_frame(image, small, factor, (0, 0, size[1], size[0])) - reference(image, small, factor)
    assert np.abs(error).max() < 1.0
    assert np.abs(error.mean((0, 1))).max() < 0.01


def test_a_constant_factor_changes_each_colour_in_its_proportion():
    image = np.full((72, 72, 3), (200, 120, 80), np.uint8)
    small = np.broadcast_to(np.array([200, 120, 80], np.float32)[:, None, None], (3, 36, 36)).copy()
    factor = np.broadcast_to(np.array([0.33, 0.77, 0.53], np.float32)[:, None, None] * 0.02, (3, 36, 36))
    out = magnify_frame(image, small, np.ascontiguousarray(factor), (0, 0, 72, 72))
    relative = out.astype(float).mean((0, 1)) / (200, 120, 80)
    assert relative == pytest.approx(np.exp([0.0066, 0.0154, 0.0106]), abs=1e-4)


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 255), (-20.0, 0)])
def test_it_saturates_and_does_not_wrap(factor, expected):
    image = np.full((40, 40, 3), 200 if expected else 3, np.uint8)
    small = np.full((3, 36, 36), 100, np.float32)
    assert np.all(magnify_frame(image, small, np.full_like(small, factor), (0, 0, 40, 40)) == expected)


def test_outside_the_region_the_frame_is_untouched():
    image, small, factor = scene()
    out = magnify_frame(image, small, factor + 0.1, (40, 20, 72, 60))
    outside = np.ones(image.shape[:2], bool)
    outside[20:80, 40:112] = False
    assert np.array_equal(out[outside], image[outside])
    assert not np.array_equal(out, image)


def test_the_change_fades_at_the_regions_border_but_not_at_the_frames():
    image = np.full((200, 200, 3), 100, np.uint8)
    small = np.full((3, 36, 36), 100, np.float32)
    added = magnify_frame(image, small, np.full_like(small, 0.2), (0, 20, 180, 180)).astype(float) - 100
    line = added[80:160].mean((0, 2))
    assert line[:170].min() > 21.5  # up to the frame's left edge
    assert np.all(np.diff(line[172:181]) <= 0.1)
    assert line[179] < 4.0
    assert line[180:] == pytest.approx(0)
    assert added[20, 5:160].mean() < 4.0  # the region's upper edge
    assert added[199, 5:160].mean() > 21.5  # the frame's lower edge


def test_a_change_of_a_fraction_of_a_grey_level_is_there_on_average():
    """With rounding, 0.4 grey levels would be nothing at all, and a slow ramp of two levels two steps."""
    image = np.full((288, 288, 3), 128, np.uint8)
    small = np.full((3, 36, 36), 100, np.float32)
    ramp = np.log1p(np.linspace(-0.01, 0.01, 36, dtype=np.float32))
    factor = np.ascontiguousarray(np.broadcast_to(ramp, (3, 36, 36)))
    added = magnify_frame(image, small, factor, (0, 0, 288, 288)).astype(float) - 128
    truth = reference(image, small, factor) - 128
    blocks = (added - truth).reshape(36, 8, 36, 8, 3).mean((1, 3))
    assert np.abs(blocks).max() < 0.1
    assert np.abs(added).max() <= 1.0


@pytest.mark.parametrize("levels", [0.3, 0.6, 1.0, 2.0])
def test_the_gain_of_a_faint_pulse_is_one(levels):
    """Rounding gives 0.00, 1.16, 1.07 and 1.02."""
    image = np.full((72, 72, 3), 120, np.uint8)
    small = np.full((3, 36, 36), 100, np.float32)
    pulse = levels * np.sin(2 * np.pi * np.arange(60) / 60)
    shown = []
    for value in pulse:
        factor = np.full_like(small, np.log1p(value / 100))
        shown.append(magnify_frame(image, small, factor, (0, 0, 72, 72)).mean() - 120)
    assert np.polyfit(pulse, shown, 1)[0] == pytest.approx(1.0, abs=0.02)


def test_the_change_is_enlarged_as_torch_enlarges_it():
    """To one grey level, the dither."""
    image, small, factor = scene(90, 130)
    change = torch.from_numpy(small * np.expm1(factor))[None]
    change = torch.nn.functional.interpolate(change, (90, 130), mode="bilinear", align_corners=False)
    whole = np.clip(np.rint(image + change[0].permute(1, 2, 0).numpy()), 0, 255)
    assert np.abs(whole - magnify_frame(image, small, factor, (0, 0, 130, 90))).max() <= 1


def test_it_writes_where_it_is_told_and_takes_read_only_frames():
    image, small, factor = scene()
    image.flags.writeable = False
    out = np.empty_like(image)
    assert magnify_frame(image, small, factor, (10, 10, 90, 90), out) is out
    assert np.array_equal(out, magnify_frame(image, small, factor, (10, 10, 90, 90)))


@pytest.mark.parametrize("roi", [(-1, 0, 50, 50), (0, 0, 161, 50), (100, 100, 50, 50), (0, 0, 0, 50)])
def test_a_region_outside_the_picture_is_refused(roi):
    image, small, factor = scene()
    with pytest.raises(ValueError, match="not inside"):
        magnify_frame(image, small, factor, roi)


def test_arrays_that_do_not_fit_are_refused():
    image, small, factor = scene()
    with pytest.raises(ValueError, match="differ"):
        magnify_frame(image, small, factor[:, :10], (0, 0, 160, 120))
    with pytest.raises(ValueError, match="output"):
        magnify_frame(image, small, factor, (0, 0, 160, 120), image)


def test_warming_up_leaves_nothing_to_compile():
    warm_up()
    image, small, factor = scene(480, 640)
    start = time.thread_time()  # which others that work beside this test do not lengthen
    magnify_frame(image, small, factor, (0, 0, 640, 480))
    assert time.thread_time() - start < 0.1
