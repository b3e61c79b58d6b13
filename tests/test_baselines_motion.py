"""What magnifies motion, by phase or learned: a picture that moves by d moves by gain d, and nothing else happens.

They run here in the pulse's band, where a window is full after six seconds; the filter does not know what it filters.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from swinging import CENTRE, RATE, as_frames, linear_magnifier, phasor, run_live

from deepmag.models.baselines.learned import LearnedEulerian
from deepmag.models.baselines.linear import magnify_linear
from deepmag.models.baselines.methods import METHODS
from deepmag.models.baselines.phase import PhaseEulerian
from deepmag.models.baselines.phase_acceleration import PhaseAcceleration
from deepmag.models.baselines.riesz import RieszEulerian
from deepmag.models.temporal import PULSE_BAND
from deepmag.stream.settings import Settings, default_lag

BAND_PASSES = (PhaseEulerian(band=PULSE_BAND), RieszEulerian(band=PULSE_BAND))
METHODS_OF_MOTION = (*BAND_PASSES, PhaseAcceleration(band=PULSE_BAND))
each = pytest.mark.parametrize("method", METHODS_OF_MOTION, ids=lambda method: method.name)
LEARNED = LearnedEulerian(band=PULSE_BAND)  # no phase; test_baselines_learned has by how much it moves what
every = pytest.mark.parametrize("method", [*METHODS_OF_MOTION, LEARNED], ids=lambda method: method.name)

SIZE = (96, 128)  # px, height and width
T = np.arange(150) / RATE
INNER = (slice(20, -20), slice(20, -20))
DIRECTION = np.array([0.6, 0.8])  # down, right


def texture(shortest: float, longest: float, size=SIZE) -> np.ndarray:
    """A random pattern of wavelengths in a range, px, with the spectrum of a natural picture. 30 grey levels RMS."""
    random = np.random.default_rng(3)
    f = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    inside = (f >= 1 / longest) & (f <= 1 / shortest)
    spectrum = np.where(inside, 1 / np.maximum(f, 1e-6), 0.0) * np.exp(2j * np.pi * random.random(size))
    picture = np.fft.ifft2(spectrum).real
    return 30.0 * picture / picture.std()


def grating(wavelength: float) -> np.ndarray:
    """Rows are alike; a whole number of waves fits."""
    return np.tile(60.0 * np.sin(2 * np.pi * np.arange(SIZE[1]) / wavelength), (SIZE[0], 1))


def shifted(picture: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The picture moved by d = (down, right) px, exactly: by a turn of its spectrum."""
    y, x = np.fft.fftfreq(picture.shape[0])[:, None], np.fft.fftfreq(picture.shape[1])
    return np.fft.ifft2(np.fft.fft2(picture) * np.exp(-2j * np.pi * (y * d[0] + x * d[1]))).real


def moving(picture: np.ndarray, path: np.ndarray, noise: float = 0.0) -> list[np.ndarray]:
    """Pictures, uint8, of a pattern displaced by path (T,) px along DIRECTION, rounded at random."""
    random = np.random.default_rng(5)
    images = []
    for d in path:
        grey = 128.0 + shifted(picture, DIRECTION * d) + noise * random.standard_normal(picture.shape)
        grey = np.floor(grey + random.random(picture.shape))
        images.append(np.clip(grey, 0, 255).astype(np.uint8)[..., None].repeat(3, 2))
    return images


def displacement(picture: np.ndarray, image: np.ndarray) -> float:
    """How far an image shows the pattern along DIRECTION, px: registration by Gauss and Newton."""
    d = 0.0
    for _ in range(20):
        moved = shifted(picture, DIRECTION * d)
        slope = sum(part * share for part, share in zip(np.gradient(moved), DIRECTION, strict=True))[INNER]
        step = ((moved - (image[..., 1] - 128.0))[INNER] * slope).sum() / (slope**2).sum()
        d += step
        if abs(step) < 1e-4:
            break
    return d


def growth(method, picture, amplitude: float, gain: float, frequency: float = CENTRE) -> complex:
    """By how much the motion grows, in the middle of a whole clip."""
    path = amplitude * np.sin(2 * np.pi * frequency * T)
    shown = list(magnify_linear(method, moving(picture, path), RATE, gain))
    chosen = slice(45, 105)
    found = np.array([displacement(picture, image) for image in shown[chosen]])
    return phasor(found, frequency) / phasor(path[chosen], frequency)


@each
@pytest.mark.parametrize(("amplitude", "gain"), [(0.05, 11.0), (0.2, 6.0), (0.1, 21.0)])
def test_a_texture_moves_gain_times_as_far(method, amplitude, gain):
    found = growth(method, texture(6, 16), amplitude, gain)
    assert abs(found) == pytest.approx(gain, rel=0.1)
    assert abs(np.angle(found)) < np.radians(2)


@each
@pytest.mark.parametrize("wavelength", [8.0, 12.8, 16.0])
def test_a_grating_moves_gain_times_as_far_up_to_a_quarter_of_its_wavelength(method, wavelength):
    # along the grating's normal it moves 0.8 of the path
    amplitude = wavelength / 4 / 0.8 / 8
    assert abs(growth(method, grating(wavelength), amplitude, 9.0)) == pytest.approx(9.0, rel=0.1)


@pytest.mark.parametrize("method", BAND_PASSES, ids=lambda method: method.name)
@pytest.mark.parametrize("frequency", [0.2, 6.0])
def test_motion_outside_the_band_stays_as_it_is(method, frequency):
    path = 0.3 * np.sin(2 * np.pi * frequency * np.arange(240) / RATE)
    picture = texture(8, 32)
    shown = list(magnify_linear(method, moving(picture, path), RATE, 10.0))
    off = [displacement(picture, shown[i]) - path[i] for i in range(60, 180, 7)]
    assert np.abs(off).max() < 0.1 * 0.3


def test_acceleration_magnifies_a_swing_on_a_steady_motion_and_not_the_motion():
    method, picture = PhaseAcceleration(band=PULSE_BAND), texture(6, 16)
    steady, swing = 0.02 * np.arange(len(T)), 0.1 * np.sin(2 * np.pi * CENTRE * T)
    shown = list(magnify_linear(method, moving(picture, steady + swing), RATE, 10.0))
    chosen = slice(45, 105)
    off = np.array([displacement(picture, image) for image in shown[chosen]]) - steady[chosen]
    assert abs(phasor(off, CENTRE) / phasor(swing[chosen], CENTRE)) == pytest.approx(10.0, rel=0.1)
    assert np.polyfit(T[chosen], off - 10.0 * swing[chosen], 1)[0] == pytest.approx(0.0, abs=0.05)


@every
def test_a_still_picture_is_untouched(method):
    images = moving(texture(4, 64), np.zeros(1)) * 40
    for shown in (magnify_linear(method, images, RATE, 100.0), pictures(run_live(method, as_frames(images)))):
        assert all(np.array_equal(a, b) for a, b in zip(images, shown, strict=True))


@every
def test_the_noise_of_a_flat_wall_is_not_magnified(method):
    images = moving(np.zeros(SIZE), np.zeros(len(T)), noise=1.0)
    shown = list(magnify_linear(method, images, RATE, 50.0))
    assert np.std(np.stack(shown)) < 1.2 * np.std(np.stack(images))


@every
def test_stripes_too_fine_to_move_are_left_alone(method):
    stripes = np.tile(40.0 * (-1.0) ** np.arange(SIZE[1]), (SIZE[0], 1))
    images = moving(np.zeros(SIZE), np.zeros(60), noise=1.0)
    images = [(image + stripes[..., None]).astype(np.uint8) for image in images]
    shown = list(magnify_linear(method, images, RATE, 20.0))
    assert np.abs(np.stack(shown).astype(int) - np.stack(images)).max() < 10


@every
def test_light_that_pulses_moves_nothing(method):
    picture = texture(8, 32)
    images = [
        np.round((128 + picture) * (1 + 0.02 * np.sin(2 * np.pi * CENTRE * t)))
        .astype(np.uint8)[..., None]
        .repeat(3, 2)
        for t in T
    ]
    shown = list(magnify_linear(method, images, RATE, 10.0))
    found = np.array([displacement(picture, image) for image in shown[45:105]])
    assert np.abs(found - found.mean()).max() < 0.05


def pictures(done):
    return [magnified.image for magnified in done]


@every
def test_live_is_offline_but_for_the_lag(method):
    t = np.arange(330) / RATE
    images = moving(texture(8, 32), 0.15 * np.sin(2 * np.pi * 1.2 * t))
    settled = slice(200, -40)
    before = np.stack(images)[settled, 20:-20, 20:-20, 1].astype(float)
    live = np.stack(pictures(run_live(method, as_frames(images), 8.0, 0.25)))[settled, 20:-20, 20:-20, 1]
    offline = np.stack(list(magnify_linear(method, images, RATE, 8.0)))[settled, 20:-20, 20:-20, 1]
    assert np.corrcoef((live - before).ravel(), (offline - before).ravel())[0, 1] > 0.97
    assert (live - before).std() == pytest.approx((offline - before).std(), rel=0.1)


@each
def test_a_picture_that_moves_on_and_on_is_not_magnified(method):
    """Its phase turns without end; the window holds only steps, so nothing drifts."""
    picture = grating(16.0)
    path = 1.25 * np.arange(300)  # px; a whole one a frame across the grating
    shown = pictures(run_live(method, as_frames(moving(picture, path)), 20.0, 0.25))
    off = [displacement(shifted(picture, DIRECTION * path[i]), shown[i]) for i in range(240, 280, 4)]
    assert np.abs(off).max() < 1.0  # of the 20 px a frame that its motion would have


@every
def test_a_new_session_a_gap_and_another_size_start_with_an_empty_memory(method):
    t = np.arange(50) / RATE
    path = 0.2 * np.sin(2 * np.pi * 1.2 * t)
    first = as_frames(moving(texture(8, 32), path))
    images, larger = moving(texture(6, 24), path), moving(texture(6, 24, (120, 160)), path)
    restarts = {
        "session": as_frames(images, t, session=1, seq=50),
        "gap": as_frames(images, t + 3.0, seq=50),
        "size": as_frames(larger, t + 2.0, seq=50),
    }
    for name, second in restarts.items():
        after = pictures(run_live(method, [*first, *second]))[50:]
        fresh = pictures(run_live(method, second))
        assert len(after) == 50, name
        assert all(np.array_equal(a, b) for a, b in zip(after, fresh, strict=True)), name


@every
def test_too_small_a_picture_is_refused_in_words(method):
    images = [np.zeros((40, 3000, 3), np.uint8)] * 2
    with pytest.raises(ValueError, match="3000x40 px is too small"):
        list(magnify_linear(method, images, RATE, 5.0))
    with pytest.raises(ValueError, match="3000x40 px is too small"):
        linear_magnifier(method).push(as_frames(images)[0], Settings())


@every
def test_by_name_a_method_looks_for_breath(method):
    low, high = METHODS[method.name].band
    assert low == 0.16
    assert high >= 0.5
    assert default_lag(method.name, "pulse") == default_lag("deepmag", "respiration")
    assert default_lag("evm", "pulse") == default_lag("deepmag", "pulse")


def test_a_method_without_phase_does_not_wait_for_torch():
    code = "import sys, deepmag.models.baselines.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
