"""The complex steerable pyramid: exact, steerable, and the same as an independent one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pyrtools.pyramids import SteerablePyramidFreq

from deepmag.models.pyramid import SMALLEST, Coefficients, SteerablePyramid
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.pyramid_level import PyramidLevel

BANDWIDTHS = ("octave", "half-octave")
SIZES = [(480, 480), (123, 123), (90, 160), (101, 67), (16, 16), (17, 23), (16, 250)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Grey levels with every frequency in them."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return 10 * math.log10(255**2 / max(float(((a - b).double() ** 2).mean()), 1e-30))


def sinusoid(
    size: tuple[int, int], cycles: tuple[int, int], shift: tuple[float, float] = (0, 0)
) -> torch.Tensor:
    """A wave with whole numbers of ``cycles`` (rows, columns) in the picture, moved by ``shift`` px."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    phase = cycles[0] * (y - shift[0]) / size[0] + cycles[1] * (x - shift[1]) / size[1]
    return torch.from_numpy(np.cos(2 * np.pi * phase))


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_comes_back_from_its_coefficients(size, bandwidth):
    pyramid = SteerablePyramid(size, bandwidth=bandwidth)
    picture = noise(*size)
    assert psnr(pyramid.synthesise(pyramid.analyse(picture)), picture) > 110


@pytest.mark.parametrize("orientations", [2, 3, 6, 8])
@pytest.mark.parametrize("levels", [1, 2])
def test_it_comes_back_with_any_number_of_orientations_and_levels(orientations, levels):
    pyramid = SteerablePyramid((60, 75), orientations=orientations, levels=levels)
    coefficients = pyramid.analyse(noise(60, 75))
    assert len(coefficients.bands) == levels
    assert coefficients.bands[0].shape == (orientations, 60, 75)
    assert psnr(pyramid.synthesise(coefficients), noise(60, 75)) > 110


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
def test_pictures_together_are_the_pictures_one_by_one(bandwidth):
    pyramid = SteerablePyramid((50, 61), bandwidth=bandwidth)
    pictures = noise(2, 3, 50, 61)
    together = pyramid.analyse(pictures)
    shown = pyramid.synthesise(together)
    for i in range(2):
        for j in range(3):
            alone = pyramid.analyse(pictures[i, j])
            for a, b in zip(alone.bands, together.bands, strict=True):
                torch.testing.assert_close(a, b[i, j], rtol=1e-5, atol=1e-3)
            torch.testing.assert_close(pyramid.synthesise(alone), shown[i, j], rtol=1e-5, atol=1e-3)


def test_bands_halve_from_level_to_level_and_keep_at_least_eight_pixels():
    pyramid = SteerablePyramid((123, 250))
    shapes = [pyramid.shape(level) for level in range(pyramid.levels)]
    assert shapes == [(123, 250), (62, 125), (31, 63)]
    assert min(pyramid.analyse(noise(123, 250)).low.shape) >= SMALLEST


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
@pytest.mark.parametrize(("level", "cycles"), [(0, 56), (1, 28), (2, 14)])
def test_a_motion_of_d_pixels_turns_the_phase_by_k_d(level, cycles, bandwidth):
    """k is the wave's angular frequency, 2 pi cycles / 160 rad/px; d is not a whole number of pixels."""
    size, d = (128, 160), 0.3
    pyramid = SteerablePyramid(size, bandwidth=bandwidth)
    index = level if bandwidth == "octave" else 2 * level
    before, after = (
        pyramid.analyse(sinusoid(size, (0, cycles), (0, shift)), only=[index]).bands[0] for shift in (0, d)
    )
    assert float(before[0].abs().min()) > 0.1
    turned = torch.angle(after[0] * before[0].conj())
    assert turned.numpy() == pytest.approx(-2 * np.pi * cycles / 160 * d, abs=1e-4)


def test_phase_grows_along_rows_in_the_band_of_a_quarter_turn():
    pyramid = SteerablePyramid((128, 128), levels=2)
    band = pyramid.analyse(sinusoid((128, 128), (30, 0)), only=[0]).bands[0][ORIENTATIONS // 2]
    assert torch.angle(band[1:] * band[:-1].conj()).numpy() == pytest.approx(2 * np.pi * 30 / 128, abs=1e-3)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_wave_is_strongest_in_the_band_of_its_own_orientation(orientation):
    angle = np.pi * orientation / ORIENTATIONS
    cycles = (round(32 * np.sin(angle)), round(32 * np.cos(angle)))
    band = SteerablePyramid((128, 128)).analyse(sinusoid((128, 128), cycles), only=[0]).bands[0]
    strength = band.abs().mean((-2, -1))
    assert int(strength.argmax()) == orientation
    # cos^3 of 90 degrees, on the other side of which a band is deaf
    assert float(strength[(orientation + 2) % ORIENTATIONS]) < 0.01 * float(strength[orientation])


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
def test_a_wave_is_strongest_in_the_level_of_its_own_wavelength(bandwidth):
    pyramid = SteerablePyramid((128, 128), bandwidth=bandwidth)
    step = 1.0 if bandwidth == "octave" else 0.5
    for level in range(pyramid.levels - 1):
        # a level's filter peaks one ``step`` below its upper corner
        cycles = round(64 * 2.0 ** (-(level + 1) * step))
        bands = pyramid.analyse(sinusoid((128, 128), (0, cycles))).bands
        assert int(np.argmax([float(band[0].abs().mean()) for band in bands])) == level


def test_magnitudes_are_in_grey_levels():
    """A wave of amplitude 1 has a mean square of 1/2, and at a level's peak its four bands have all of it."""
    pyramid = SteerablePyramid((128, 128))
    for level, cycles in enumerate((32, 16, 8)):
        band = pyramid.analyse(sinusoid((128, 128), (0, cycles)), only=[level]).bands[0]
        assert float((band.abs() ** 2).sum(0).mean()) == pytest.approx(0.5, rel=0.01)


def test_a_constant_is_in_no_band():
    coefficients = SteerablePyramid((48, 64)).analyse(torch.full((48, 64), 200.0))
    assert all(float(band.abs().max()) < 1e-3 for band in coefficients.bands)
    assert float(coefficients.high.abs().max()) < 1e-3


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
def test_only_the_levels_asked_for_are_made_and_they_are_the_same(bandwidth):
    pyramid = SteerablePyramid((90, 122), bandwidth=bandwidth)
    everything = pyramid.analyse(noise(90, 122))
    some = pyramid.analyse(noise(90, 122), only=[2, 0])
    assert some.high is None
    assert some.low is None
    assert len(some.bands) == 2
    torch.testing.assert_close(some.bands[0], everything.bands[2])
    torch.testing.assert_close(some.bands[1], everything.bands[0])


@pytest.mark.parametrize("size", [(246, 246), (101, 67), (90, 160), (64, 63)])
@pytest.mark.parametrize("level", [0, 1])
def test_one_level_without_torch_is_that_of_the_pyramid(size, level):
    pictures = noise(2, *size)
    expected = SteerablePyramid(size, levels=2).analyse(pictures, only=[level]).bands[0]
    alone = PyramidLevel(size, level)
    found = alone.bands(pictures.numpy())
    assert alone.shape == expected.shape[-2:]
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5 * float(expected.abs().max()))


def test_the_change_of_some_bands_can_be_taken_back_by_itself():
    """The inverse is linear: changed minus unchanged is the inverse of the difference, without residuals."""
    pyramid = SteerablePyramid((64, 80))
    before = pyramid.analyse(noise(64, 80))
    turned = tuple(band * (1 + 0.1j) for band in before.bands)
    whole = pyramid.synthesise(replace(before, bands=turned)) - pyramid.synthesise(before)
    change = Coefficients(None, tuple(b - a for a, b in zip(before.bands, turned, strict=True)), None)
    torch.testing.assert_close(pyramid.synthesise(change), whole, rtol=0, atol=1e-3)


def test_pictures_that_are_too_small_and_levels_that_do_not_fit_are_refused_in_words():
    with pytest.raises(ValueError, match=r"15x40 px is too small.*16 px"):
        SteerablePyramid((40, 15))
    with pytest.raises(ValueError, match="has 1 to 3 levels, not 4"):
        SteerablePyramid((64, 64), levels=4)
    with pytest.raises(ValueError, match="levels, not 0"):
        SteerablePyramid((64, 64), levels=0)
    with pytest.raises(ValueError, match="too small"):
        SteerablePyramid((0, 0))


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (480, 480)])
def test_it_is_the_pyramid_of_pyrtools(size):
    """Even sizes, since pyrtools is inexact at odd ones. Its bands are sqrt(2) i 4^level times ours, no more."""
    picture = noise(*size).double()
    ours = SteerablePyramid(size)
    theirs = SteerablePyramidFreq(picture.numpy(), height=ours.levels, order=3, is_complex=True, twidth=1)
    found = ours.analyse(picture)
    scale = float(picture.std())
    assert found.high.numpy() == pytest.approx(theirs.pyr_coeffs["residual_highpass"], abs=1e-4 * scale)
    low = theirs.pyr_coeffs["residual_lowpass"] / 4**ours.levels
    assert found.low.numpy() == pytest.approx(low, rel=1e-4)
    for level, band in enumerate(found.bands):
        for o in range(ORIENTATIONS):
            truth = theirs.pyr_coeffs[level, o] * (-1j / np.sqrt(2) / 4**level)
            assert np.abs(band[o].numpy() - truth).max() < 1e-4 * scale


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the pyramid ran on the CPU only")
@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
def test_the_graphics_card_gives_what_the_processor_gives(bandwidth):
    pictures = noise(2, 240, 321)
    here = SteerablePyramid((240, 321), bandwidth=bandwidth)
    there = SteerablePyramid((240, 321), bandwidth=bandwidth, device="cuda")
    coefficients = there.analyse(pictures.cuda())
    for a, b in zip(here.analyse(pictures).bands, coefficients.bands, strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-4, atol=1e-2)
    assert psnr(there.synthesise(coefficients).cpu(), pictures) > 110
