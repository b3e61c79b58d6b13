"""Motion from phases, of the camera and of the picture's parts, against pictures that were moved by a known amount."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from waves import natural, wavy

from deepmag.models.camera_motion import camera_motion, without_camera, wrapped
from deepmag.models.displacement import VISIBLE, displace_frame
from deepmag.models.local_motion import GRID, STRAY, local_motion, on_grid, solve_motion
from deepmag.models.phase import (
    BRIGHT,
    FAINT,
    FALL,
    NOISE,
    REDUCED,
    ROUNDED,
    SIDE,
    PhaseDifference,
    PhaseRepresentation,
    faintness,
    phase_difference,
    reduce_luma,
    usual_change,
)
from deepmag.models.remap import shift_pixels

REPRESENTATION = PhaseRepresentation()
CELL = REDUCED / SIDE  # px of the reduced picture
Y, X = np.mgrid[:REDUCED, :REDUCED].astype(np.float32) - 0.5 * (REDUCED - 1)
# a chest: a fifth of the picture, low in its middle, with a soft edge
CHEST = cv2.GaussianBlur(
    np.clip(1.6 * np.exp(-0.5 * (((Y - 67) / 35) ** 2 + (X / 40) ** 2)), 0, 1).astype(np.float32), None, 4
)
BREATH_IN = (-1.0, 0.2)  # px, down and right


def between(before, after):
    return phase_difference(REPRESENTATION.bands_of(before), REPRESENTATION.bands_of(after))


def strength(difference: PhaseDifference) -> float:
    """RMS of the phase differences, rad, where they are to be trusted."""
    return float(np.sqrt((difference.weight * difference.x**2).sum() / difference.weight.sum()))


def similarity(shift=(0.0, 0.0), turn=0.0, zoom=0.0):
    """Displacement of each pixel, px, of a camera's motion in cells, rad and 1."""
    return (CELL * shift[0] + turn * X + zoom * Y, CELL * shift[1] - turn * Y + zoom * X)


# --- phase differences ---


def test_what_is_faint_goes_with_the_light_of_a_dim_picture_down_to_its_noise() -> None:
    bands = REPRESENTATION.bands_of(natural(REDUCED))
    assert faintness(bands, bands, 150.0) == faintness(bands, bands, BRIGHT) == FAINT
    assert faintness(bands, bands, 0.5 * BRIGHT) == pytest.approx(0.5**FALL * FAINT)
    noise = np.random.default_rng(0).normal(0, 1, (2, REDUCED, REDUCED)).astype(np.float32)
    noisy = [REPRESENTATION.bands_of(natural(REDUCED) + np.float32(0.9) * one) for one in noise]
    floor = NOISE * float(np.median(np.abs(noisy[1] - noisy[0])))
    assert ROUNDED < floor < FAINT
    assert faintness(*noisy, 0.05 * BRIGHT) == pytest.approx(floor, rel=0.05)
    assert faintness(bands, 3.0 * bands, 0.05 * BRIGHT) == FAINT
    assert faintness(bands, bands, 0.0) == ROUNDED


def test_the_noise_of_a_dim_picture_is_that_of_what_is_not_black() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.float32(0.1) * natural(REDUCED) + rng.normal(0, 1.8, (REDUCED, REDUCED)) for _ in range(2)]
    lit = np.arange(REDUCED) < 0.3 * REDUCED
    whole, beside_black = (
        faintness(*(REPRESENTATION.bands_of((one * part).astype(np.float32)) for one in noisy), 0.05 * BRIGHT)
        for part in (1.0, lit)
    )
    assert whole > 2.5 * ROUNDED
    assert 0.6 * whole < beside_black < 1.1 * whole  # less: an edge reaches into the black


def test_a_motion_counts_alike_in_a_tenth_of_the_light() -> None:
    before, after = natural(REDUCED), natural(REDUCED, (0.1, 0.0))
    bright = between(before, after)
    bands = [REPRESENTATION.bands_of(np.float32(0.1) * one) for one in (before, after)]
    dim = phase_difference(*bands, 0.1 * FAINT)
    assert np.abs(dim.weight - bright.weight).max() < 1e-3
    assert phase_difference(*bands).weight.mean() < 0.2 * bright.weight.mean()


def test_who_is_well_lit_is_seen_alike_in_a_quarter_of_the_light() -> None:
    before, after = (REPRESENTATION.bands_of(natural(REDUCED, moved)) for moved in ((0.0, 0.0), (0.1, 0.0)))
    light = 150.0  # grey levels of the brighter parts
    full, quarter = (
        phase_difference(share * before, share * after, faintness(before, before, share * light))
        for share in (np.float32(1.0), np.float32(0.25))
    )
    assert np.abs(quarter.weight - full.weight).max() < 0.05


@pytest.mark.parametrize("moved", [(0.1, 0.0), (0.0, 0.3), (0.4, -0.3), (-0.02, 0.01)])
def test_a_shift_turns_the_phase_by_minus_its_slope_times_the_shift(moved) -> None:
    difference = between(natural(REDUCED), natural(REDUCED, moved))
    expected = -np.tensordot(np.array(moved) / CELL, difference.slope, 1)
    sure = difference.weight > 0.8
    sure[:, :4] = sure[:, -4:] = False  # the transform is of a picture that repeats
    sure[:, :, :4] = sure[:, :, -4:] = False
    assert sure.mean() > 0.1
    x, told = difference.x[sure], expected[sure]
    assert (x * told).sum() / (told**2).sum() == pytest.approx(1.0, abs=0.02)
    assert np.std(x - told) < 0.1 * np.std(told)


def test_a_flat_picture_has_no_weight_and_its_noise_hardly_any() -> None:
    flat = np.full((REDUCED, REDUCED), 100, np.float32)
    assert between(flat, flat).weight.max() < 1e-6
    rng = np.random.default_rng(0)
    noisy = between(*(flat + 0.3 * rng.standard_normal(flat.shape, np.float32) for _ in range(2)))
    assert noisy.weight.mean() < 0.002
    assert between(wavy(flat.shape), wavy(flat.shape)).weight.mean() > 0.5


@pytest.mark.parametrize("times", [3.0, 6.0])
def test_what_noise_alone_pulls_is_known(times: float) -> None:
    # so much that hardly any of it is as little as where a picture is black
    noise = 10 * np.random.default_rng(0).standard_normal((8, REDUCED, REDUCED)).astype(np.float32)
    bands = [REPRESENTATION.bands_of(100 + one) for one in noise]
    pairs = list(pairwise(bands))
    faint = times * float(np.mean([usual_change(*pair) for pair in pairs]))
    told = [phase_difference(*pair, faint) for pair in pairs]
    assert np.mean([one.noise for one in told]) == pytest.approx(min(1 / times, 1 / NOISE), rel=0.02)
    motions = [local_motion(one) for one in told]
    pulls = np.mean([(one.pull**2).sum(0).mean() for one in motions])
    assert pulls == pytest.approx(STRAY / times**4, rel=0.2)
    assert np.mean([one.stray for one in motions]) == pytest.approx(pulls, rel=0.2)


def test_what_moves_is_not_taken_for_more_noise_than_there_can_be() -> None:
    assert between(natural(REDUCED), natural(REDUCED, (3.0, 2.0))).noise == pytest.approx(1 / NOISE)


def test_phase_differences_stay_within_half_a_turn() -> None:
    difference = between(natural(REDUCED), natural(REDUCED, (7.0, 5.0)))
    assert np.abs(difference.x).max() <= np.pi + 1e-6
    assert np.abs(difference.x).max() > 3.0
    assert difference.weight.min() >= 0
    assert difference.weight.max() < 1


@pytest.mark.parametrize("wavelength", [4.6, 5.0, 8.0])
def test_the_slope_is_that_of_a_wave_which_turns_by_more_than_half_over_two_cells(wavelength) -> None:
    wave = 128 + 50 * np.cos(2 * np.pi * X / wavelength)
    slope = between(wave, wave).slope[:, 0, 20:-20, 20:-20]  # that orientation answers to it
    per_cell = 2 * np.pi / wavelength * CELL
    assert slope[1] == pytest.approx(np.full(slope[1].shape, per_cell), abs=0.03)
    assert np.abs(slope[0]).max() < 0.03


def test_luma_is_weighted_as_eyes_do_and_keeps_what_bytes_would_lose() -> None:
    colour = np.zeros((50, 60, 3), np.uint8)
    colour[..., 1] = 100
    assert reduce_luma(colour) == pytest.approx(np.full((REDUCED, REDUCED), 58.7), abs=1e-3)
    dithered = np.zeros((2 * REDUCED, 2 * REDUCED), np.uint8)
    dithered[::2, ::2] = 1
    assert reduce_luma(dithered) == pytest.approx(np.full((REDUCED, REDUCED), 0.25), abs=1e-6)


# --- the camera ---


@pytest.mark.parametrize(
    ("shift", "turn", "zoom"),
    [
        ((0.3, -0.2), 0.0, 0.0),
        ((0.0, 0.0), 0.004, 0.0),
        ((0.0, 0.0), 0.0, 0.003),
        ((0.2, 0.1), -0.003, 0.002),
    ],
)
def test_a_camera_that_shifts_turns_and_zooms_is_recovered_and_nothing_is_left_of_it(
    shift, turn, zoom
) -> None:
    before, after = wavy((REDUCED, REDUCED)), wavy((REDUCED, REDUCED), similarity(shift, turn, zoom))
    difference = between(before, after)
    motion = camera_motion(before, after, difference)
    assert motion[:2] == pytest.approx(shift, abs=0.006)  # cells
    assert motion[2:] == pytest.approx((turn, zoom), abs=1.5e-4)
    left, there = (
        solve_motion(found.stiffness, found.pull)[:, 6:-6, 6:-6]
        for found in (local_motion(without_camera(difference, motion)), local_motion(difference))
    )
    assert np.abs(left).mean() < 0.08 * np.abs(there).mean()


@pytest.mark.parametrize("shift", [(2.0, 2.5), (5.0, -3.0), (-12.0, 9.0)])
def test_a_jump_over_many_turns_of_the_phase_is_known_roughly(shift) -> None:
    before, after = natural(REDUCED), natural(REDUCED, (CELL * shift[0], CELL * shift[1]))
    motion = camera_motion(before, after, between(before, after))
    assert np.hypot(*(motion[:2] - shift)) < 0.15 * np.hypot(*shift)


def test_a_chest_that_moves_in_a_still_picture_is_not_taken_for_the_camera() -> None:
    before, after = wavy(Y.shape), wavy(Y.shape, (BREATH_IN[0] * CHEST, BREATH_IN[1] * CHEST))
    motion = camera_motion(before, after, between(before, after))
    assert np.abs(CELL * motion[:2]).max() < 0.01  # px, of one that the chest moves


def test_a_camera_is_told_from_the_chest_that_moves_before_it() -> None:
    down, right = similarity((0.3, -0.2), 0.001)
    before = wavy(Y.shape)
    after = wavy(Y.shape, (down + BREATH_IN[0] * CHEST, right + BREATH_IN[1] * CHEST))
    difference = between(before, after)
    motion = camera_motion(before, after, difference)
    assert motion[:2] == pytest.approx((0.3, -0.2), abs=0.02)
    rest = local_motion(without_camera(difference, motion))
    chest = CELL * solve_motion(rest.stiffness, rest.pull)[:, on_grid(CHEST[::2, ::2]) > 0.97]
    assert chest.mean(1) == pytest.approx(BREATH_IN, abs=0.06)


def test_a_still_camera_that_sees_noise_stays_still() -> None:
    rng = np.random.default_rng(0)
    before, after = (wavy(Y.shape) + rng.standard_normal(Y.shape, np.float32) for _ in range(2))
    assert np.abs(camera_motion(before, after, between(before, after))[:2]).max() < 0.01


def test_without_anything_to_see_the_camera_is_said_to_stand_still() -> None:
    flat = np.full((REDUCED, REDUCED), 100, np.float32)
    assert camera_motion(flat, flat, between(flat, flat)).tolist() == [0, 0, 0, 0]


def test_a_phase_is_wrapped_by_whole_turns_only() -> None:
    phase = np.linspace(-20, 20, 501, dtype=np.float32)
    folded = wrapped(phase)
    assert np.abs(folded).max() <= np.pi + 1e-5
    assert np.exp(1j * folded) == pytest.approx(np.exp(1j * phase), abs=1e-5)


# --- parts of the picture ---


@pytest.mark.parametrize("moved", [(-1.0, 0.0), (0.8, 0.5), (0.0, -0.4)])
def test_a_part_that_moves_is_found_with_its_motion_and_the_rest_is_still(moved) -> None:
    difference = between(wavy(Y.shape), wavy(Y.shape, (moved[0] * CHEST, moved[1] * CHEST)))
    equations = local_motion(difference)
    assert equations.stiffness.shape == (3, GRID, GRID)
    assert equations.pull.shape == (2, GRID, GRID)
    motion = CELL * solve_motion(equations.stiffness, equations.pull)
    share = on_grid(CHEST[::2, ::2])
    assert motion[:, share > 0.97].mean(1) == pytest.approx(moved, abs=0.02)
    assert motion[:, share > 0.97].std(1).max() < 0.03
    assert np.abs(motion[:, share < 0.01]).mean() < 0.005


def test_where_there_is_no_pattern_there_is_no_motion() -> None:
    bare = np.clip(np.abs(X) / 20 - 2, 0, 1)  # but for the picture's sides
    before, after = (128 + bare * (wavy(Y.shape, (0.0, moved)) - 128) for moved in (0.0, 0.6))
    rng = np.random.default_rng(0)
    before, after = (one + 0.2 * rng.standard_normal(Y.shape, np.float32) for one in (before, after))
    equations = local_motion(between(before, after))
    motion = CELL * solve_motion(equations.stiffness, equations.pull)[1, 5:-5]
    assert np.abs(motion[:, 26:36]).mean() < 0.12  # 0.46 were the equations solved as they are
    assert motion[:, 4:12].mean() == pytest.approx(0.6, abs=0.02)


def test_sums_of_equations_are_those_of_the_sum_of_motions() -> None:
    small = between(wavy(Y.shape), wavy(Y.shape, (0.2, 0.0)))
    one = local_motion(small)
    two = local_motion(replace(small, x=2 * small.x.clip(-0.5, 0.5)))
    held = local_motion(replace(small, x=small.x.clip(-0.5, 0.5)))
    assert two.pull == pytest.approx(2 * held.pull, abs=1e-5)
    assert np.array_equal(two.stiffness, one.stiffness)


# --- the frame, moved ---

SHAPE = (246, 328)  # px, H and W: of a picture whose cells are not square


def coloured(moved=(0.0, 0.0)):
    grey = wavy(SHAPE, moved)
    return np.stack([grey, 0.5 * grey, 255 - grey], -1).round().clip(0, 255).astype(np.uint8)


def even_field(down: float, right: float):
    """A displacement in px, as cells of the bands."""
    field = np.empty((2, GRID, GRID), np.float32)
    field[0], field[1] = down * SIDE / SHAPE[0], right * SIDE / SHAPE[1]
    return field


@pytest.mark.parametrize("moved", [(0.5, 0.0), (0.0, -1.5), (3.25, 2.6), (-6.0, 4.0)])
def test_a_frame_moves_by_as_many_px_as_the_field_says(moved) -> None:
    middle = (slice(30, -30), slice(30, -30))
    shown = displace_frame(coloured(), even_field(*moved))[..., 0].astype(np.float64)

    def told(down=0.0, right=0.0):
        return wavy(SHAPE, (moved[0] + down, moved[1] + right))[middle]

    slopes = [told(0.1) - told(-0.1), told(0.0, 0.1) - told(0.0, -0.1)]
    off, *_ = np.linalg.lstsq(
        np.stack([slope.ravel() for slope in slopes], 1) / 0.2, (shown[middle] - told()).ravel()
    )
    assert np.abs(off).max() < 0.05  # px; OpenCV's cubic is up to 0.04 off between whole pixels
    assert np.abs(shown[middle] - told()).mean() < 0.6  # grey levels: two roundings


def test_what_does_not_move_is_the_same_to_the_byte_and_what_moves_does_so_smoothly() -> None:
    field = even_field(0.0, 0.0)
    field[0, 25:35, 20:40] = 2.0 * SIDE / SHAPE[0]
    before = coloured()
    kept = before.copy()
    after = displace_frame(before, field)
    assert np.array_equal(before, kept)  # the frame itself is not written to
    rows, columns = (
        np.flatnonzero((after != before).any((1, 2))),
        np.flatnonzero((after != before).any((0, 2))),
    )
    cell = SHAPE[0] / GRID, SHAPE[1] / GRID
    assert rows[0] >= 24 * cell[0] - 1
    assert rows[-1] <= 36 * cell[0] + 1
    assert columns[0] >= 19 * cell[1] - 1
    assert columns[-1] <= 41 * cell[1] + 1
    inside = after[int(27 * cell[0]) : int(33 * cell[0]), int(22 * cell[1]) : int(38 * cell[1])]
    told = coloured((2.0, 0.0))[int(27 * cell[0]) : int(33 * cell[0]), int(22 * cell[1]) : int(38 * cell[1])]
    assert np.abs(inside.astype(int) - told).mean() < 1.0
    down = cv2.resize(field[0] * np.float32(SHAPE[0] / SIDE), SHAPE[::-1])
    whole = shift_pixels(before, down, np.zeros_like(down), (0, SHAPE[0], 0, SHAPE[1]))
    assert np.array_equal(after, whole)  # the fringe of what moves is not cut off


def test_a_frame_in_which_nothing_moves_is_returned_itself() -> None:
    image = coloured()
    assert displace_frame(image, even_field(0.0, 0.0)) is image
    assert displace_frame(image, even_field(0.9 * VISIBLE, 0.0)) is image
    assert displace_frame(image, even_field(1.2 * VISIBLE, 0.0)) is not image


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_a_motion_at_the_pictures_edge_brings_in_no_black(corner) -> None:
    bright = np.random.default_rng(0).integers(180, 220, (*SHAPE, 3), np.uint8)
    field = even_field(0.0, 0.0)
    field[:, corner[0], corner[1]] = 3.0
    moved = displace_frame(bright, field)
    assert not np.array_equal(moved, bright)
    assert moved.min() > 150


@pytest.mark.parametrize("grain", [0.0, 0.3])
def test_a_person_who_turns_before_black_is_not_taken_for_the_camera(grain) -> None:
    # a scene that shows nothing tells nothing: else all that the person does would be the camera's
    person = np.exp(-0.5 * ((X / 35) ** 2 + ((Y - 30) / 60) ** 4)).astype(np.float32)
    rng = np.random.default_rng(0)
    turned = (0.0, 1.5 * np.exp(-0.5 * ((Y + 20) / 25) ** 2))  # px, the head
    before, after = (
        person * wavy(Y.shape, moved) + grain * rng.standard_normal(Y.shape, np.float32)
        for moved in ((0.0, 0.0), turned)
    )
    assert camera_motion(before, after, between(before, after)) == pytest.approx(np.zeros(4), abs=0)
