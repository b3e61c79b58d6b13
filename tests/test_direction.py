from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.amplitude import Amplitudes
from deepmag.models.blood import BLOOD
from deepmag.models.direction import SmoothedDirection, pulse_direction
from deepmag.models.representation import L

RANDOM = np.random.default_rng(0)


def blood_like(strength=1.0):
    """A gradient as a network that looks for blood has it: y rises where the skin gets darker."""
    patch = np.zeros((L, L), np.float32)
    patch[8:28, 8:28] = strength
    return (-BLOOD[:, None, None] * patch).astype(np.float32)


def test_a_step_along_the_direction_raises_the_output_in_proportion():
    direction = SmoothedDirection()
    gradient = blood_like()
    direction.update(gradient, 1 / 30)
    rise = float((gradient * direction.direction()).sum())
    direction = SmoothedDirection()
    direction.update(2 * gradient, 1 / 30)
    assert float((2 * gradient * direction.direction()).sum()) == pytest.approx(rise, rel=1e-4)
    assert rise > 0


def test_it_moves_all_channels_together_and_green_most():
    direction = SmoothedDirection()
    direction.update(blood_like() + RANDOM.normal(0, 0.1, (3, L, L)).astype(np.float32), 1 / 30)
    red, green, blue = direction.direction()[:, 18, 18]
    assert green < blue < red < 0.0


def test_noise_averages_out_over_about_a_second():
    def off_the_patch(pairs):
        direction = SmoothedDirection()
        for _ in range(pairs):
            direction.update(blood_like() + RANDOM.normal(0, 3.0, (3, L, L)).astype(np.float32), 1 / 30)
        found = -direction.direction()[1]
        return found[:5].mean() / found[10:26, 10:26].mean()

    assert off_the_patch(60) < 0.5 * off_the_patch(1)


def test_early_directions_are_not_small_because_the_average_has_just_begun():
    direction = SmoothedDirection()
    direction.update(blood_like(), 1 / 30)
    early = direction.direction()
    for _ in range(90):
        direction.update(blood_like(), 1 / 30)
    assert direction.direction() == pytest.approx(early, rel=1e-3, abs=1e-6)


def test_the_memory_is_in_seconds_whatever_the_frame_rate():
    def after_one_second(rate):
        direction = SmoothedDirection()
        direction.update(blood_like(1.0), 10.0)
        for _ in range(rate):
            direction.update(np.roll(blood_like(1.0), 10, axis=2), 1 / rate)
        return direction.direction()

    assert after_one_second(60) == pytest.approx(after_one_second(15), rel=1e-3, abs=1e-6)


def test_where_the_network_sees_no_pulse_it_is_zero():
    direction = SmoothedDirection()
    direction.update(-blood_like(), 1 / 30)
    assert not direction.direction().any()
    direction.reset()
    assert not direction.ready
    with pytest.raises(ValueError, match="no gradient"):
        direction.direction()


def test_where_the_gradient_is_weaker_the_direction_is_nearly_as_strong():
    gradient = blood_like(0.0)
    gradient[:, :, :18], gradient[:, :, 18:] = -BLOOD[:, None, None], -0.5 * BLOOD[:, None, None]
    found = -pulse_direction(gradient, None, None)[1]
    level = 0.7**2 * (1.0 + 0.5**2) / 2  # of a strength that counts by half, squared
    assert found[:, 24:].mean() / found[:, :12].mean() == pytest.approx(
        0.5**2 / (0.5**2 + level) * (1.0 + level), rel=0.02
    )


def test_a_wall_beside_the_face_is_left_out_by_its_colour():
    halo = blood_like(0.1)
    halo[:, 8:28, 8:28] = blood_like()[:, 8:28, 8:28]
    halo[:, 8:28, 2:8] = -0.5 * BLOOD[:, None, None]  # where the network's fields reach over the edge
    picture = np.full((3, L, L), 150.0, np.float32)
    picture[:, 8:28, 8:28] = np.array([190.0, 140.0, 115.0])[:, None, None]

    def beside(found):
        return found[1, 8:28, 2:8].mean() / found[1, 12:24, 12:24].mean()

    assert beside(pulse_direction(halo, picture, None)) < 0.2 * beside(pulse_direction(halo, None, None))


def test_skin_that_pulses_less_is_moved_less_and_y_still_rises_by_one():
    gradient = blood_like()
    both = np.ones((L, L), np.float32)
    both[:, 18:] = 0.5
    amplitudes = Amplitudes(both, both**2, 1.0, 1000.0)
    found = pulse_direction(gradient, None, amplitudes)
    assert found[1, 10:26, 20:26].mean() == pytest.approx(0.5 * found[1, 10:26, 10:16].mean(), rel=0.05)
    assert float((gradient * found).sum()) == pytest.approx(1.0, rel=1e-4)


def test_in_another_square_of_the_picture_it_is_where_it_was():
    direction = SmoothedDirection()
    direction.update(blood_like(), 1.0)
    before = direction.direction()
    direction.move((100, 50, 360, 360), (130, 30, 360, 360))  # by three reduced pixels and two
    assert direction.direction() == pytest.approx(np.roll(before, (2, -3), (1, 2)), abs=1e-7)
