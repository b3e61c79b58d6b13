"""Pictures moved by a field: what the cubic's formula and OpenCV say, at edges and in small pictures too."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from deepmag.models.remap import SHARPNESS, STEPS, _kernel, _weights, shift_pixels


def smooth(size, seed=0):
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def field(size, scale, seed=1):
    """Down and right, px, in whole steps of the table, smooth but for the rounding."""
    width, height = size
    coarse = np.random.default_rng(seed).normal(0, scale, (2, 4, 5)).astype(np.float32)
    parts = [cv2.resize(part, (width, height)) for part in coarse]
    return [np.rint(part * STEPS).astype(np.float32) / STEPS for part in parts]


def cubic(distance):
    a, d = SHARPNESS, np.abs(distance)
    near, far = 1 - d**2 * ((a + 3) - (a + 2) * d), a * (d - 1) * (d - 2) ** 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def formula(image, down, right):
    """Each pixel by its sixteen neighbours, in double precision."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    rows, columns = y - down.astype(np.float64), x - right.astype(np.float64)
    result = np.zeros(image.shape)
    for k in range(-1, 3):
        for n in range(-1, 3):
            row, column = np.floor(rows) + k, np.floor(columns) + n
            weight = cubic(rows - row) * cubic(columns - column)
            at = row.clip(0, height - 1).astype(int), column.clip(0, width - 1).astype(int)
            result += weight[..., None] * image[at]
    return result.clip(0, 255)


@pytest.mark.parametrize("size", [(160, 120), (37, 51), (7, 5), (5, 9), (1, 1)])
@pytest.mark.parametrize("scale", [0.4, 3.0, 60.0])
def test_it_is_the_cubic_of_the_formula(size, scale):
    image, (down, right) = smooth(size), field(size, scale)
    found = shift_pixels(image, down, right, (0, size[1], 0, size[0]))
    assert np.abs(found - formula(image, down, right)).max() <= 0.51  # rounded


def test_it_is_what_opencv_makes_of_it():
    size = (320, 240)
    image, (down, right) = smooth(size), field(size, 2.0)
    found = shift_pixels(image, down, right, (0, 240, 0, 320))
    y, x = np.mgrid[:240, :320].astype(np.float32)
    wanted = cv2.remap(image, x - right, y - down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 2  # its table is of a 32nd of a pixel
    assert apart.mean() < 0.1


def test_outside_the_part_nothing_changes():
    size, part = (64, 48), (5, 40, 11, 50)
    image, (down, right) = smooth(size), field(size, 2.0)
    image.flags.writeable = False
    found = shift_pixels(image, down, right, part)
    inside = np.zeros((48, 64), bool)
    inside[5:40, 11:50] = True
    np.testing.assert_array_equal(found[~inside], image[~inside])
    whole = shift_pixels(image, down, right, (0, 48, 0, 64))
    np.testing.assert_array_equal(found[inside], whole[inside])


def test_white_and_black_stay_within_a_byte():
    """Beside an edge the cubic overshoots."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    half = np.full((40, 40), 0.5, np.float32)
    found = shift_pixels(image, 0 * half, half, (0, 40, 0, 40))
    np.testing.assert_allclose(found, formula(image, 0 * half, half), atol=0.51)
    assert set(np.unique(found[:, :18])) == {0}
    assert set(np.unique(found[:, 24:])) == {255}


@pytest.mark.parametrize("size", [(64, 48), (6, 4), (5, 3), (1, 1)])
def test_nothing_beyond_a_picture_is_read_or_written(size):
    (width, height), room = size, 64
    image, (down, right) = smooth(size), field(size, 3.0)
    wanted = shift_pixels(image, down, right, (0, height, 0, width))
    for beyond in (0, 255):
        given = np.full(image.size + 2 * room, beyond, np.uint8)
        given[room:-room] = image.ravel()
        out = np.full_like(given, 7)
        _kernel()(
            given[room:-room], height, width, down, right, 0, height, 0, width, *_weights(), out[room:-room]
        )
        np.testing.assert_array_equal(out[room:-room], wanted.ravel())
        assert (out[:room] == 7).all()
        assert (out[-room:] == 7).all()


@pytest.mark.parametrize("kept", ["a folder", "nowhere"])
def test_it_runs_where_nothing_can_be_kept(kept, tmp_path):
    script = "from deepmag.models.remap import warm_up; warm_up()"
    if kept == "nowhere":
        script = f"""
import numba.core.caching as caching
def refuse(*_, **__):
    raise RuntimeError("cannot cache function: no locator available")
caching.CacheImpl.__init__ = refuse
{script}"""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
    assert any(tmp_path.rglob("*.nbi")) == (kept == "a folder")
