"""The demo's person: what they do that is to be found."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.models.metrics.motion import displacement
from deepmag.models.phase import reduce_luma
from deepmag.stream.breath_ticks import TICK, BreathTicks
from deepmag.stream.capture import portrait_layers
from deepmag.stream.capture.portrait import BREATHS, Portrait
from deepmag.stream.networks import open_respiration

SIZE = (320, 240)
TIMES = np.arange(0.0, 14.0, TICK)
LONG = np.arange(0.0, 36.0, TICK)  # longer than breaths are counted over


@pytest.fixture(scope="module")
def pictures():
    portrait = Portrait(SIZE)
    return [portrait.frame(float(t)) for t in TIMES]


def test_the_layers_that_are_kept_are_those_that_the_generator_paints():
    """Where this fails, the generator has changed: paint them anew, see `portrait_layers`."""
    kept, painted = portrait_layers.layers((640, 480)), portrait_layers.paint((640, 480))
    for name, unit in (("eyes_open", 1.0), ("eyes_shut", 1.0), ("early", 1 / 450), ("late", 1 / 450)):
        apart = np.abs(getattr(kept, name) - getattr(painted, name))
        assert np.quantile(apart, 0.999) < 0.51 * unit, name  # rounded to a level, or to a step of blood
        assert apart.max() < 3 * unit, name
    assert np.abs(kept.eyes_open - kept.eyes_shut).max() > 20
    assert kept.early.min() < -0.3


def test_the_chest_breathes_by_less_than_anyone_sees(pictures):
    width, height = SIZE
    chest = (width // 3, round(0.88 * height), width // 3, round(0.12 * height))
    path = displacement((picture.astype(np.float32).mean(2) for picture in pictures), chest)[:, 0]
    at_480 = path * 480 / height
    assert 0.3 < at_480.std() < 0.6
    spectrum = np.abs(np.fft.rfft((path - path.mean()) * np.hanning(len(path)), 4096))
    assert 60 * np.fft.rfftfreq(4096, TICK)[int(spectrum.argmax())] == pytest.approx(BREATHS, abs=1.0)


def test_its_breathing_rate_is_found_within_twelve_seconds_and_shown_from_then_on():
    ticks, portrait = BreathTicks(open_respiration()), Portrait(SIZE)
    shown = {}
    for t in LONG:
        assert ticks.take(float(t), reduce_luma(portrait.frame(float(t))))
        shown[float(t)] = ticks.reading(float(t)).rate
    first = min(t for t, rate in shown.items() if rate is not None)
    assert first < 12.0
    assert all(rate == pytest.approx(BREATHS, abs=1.0) for t, rate in shown.items() if t >= first)
