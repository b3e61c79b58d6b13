"""The linear baselines live: the same as on a whole clip, but for what a lag can know."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from swinging import CENTRE, RATE, as_frames, brightening, linear_magnifier, mean_of, phasor, run_live

from deepmag.models.baselines.acceleration import ColourAcceleration
from deepmag.models.baselines.eulerian import ColourEulerian
from deepmag.models.baselines.linear import magnify_linear
from deepmag.models.baselines.methods import METHODS
from deepmag.stream.settings import Method, Settings

T = np.arange(round(14 * RATE)) / RATE
SETTLED = slice(200, -40)  # frames: after the window has filled, before the lag runs out at the end
COLOUR = (ColourEulerian(), ColourAcceleration())
NAMES = [method.name for method in COLOUR]


def pictures(done):
    return [magnified.image for magnified in done]


@pytest.mark.parametrize("method", COLOUR, ids=NAMES)
@pytest.mark.parametrize("lag", [0.25, 1.0])
def test_a_swing_at_the_bands_centre_grows_gain_times_within_a_frame(method, lag):
    images = brightening(1.5 * np.sin(2 * np.pi * CENTRE * T))
    shown = pictures(run_live(method, as_frames(images), 10.0, lag))
    found = phasor(mean_of(shown)[SETTLED], CENTRE) / phasor(mean_of(images)[SETTLED], CENTRE)
    assert abs(found) == pytest.approx(10.0, rel=0.03)
    assert abs(np.angle(found)) / (2 * np.pi * CENTRE) < 1 / RATE


@pytest.mark.parametrize(("frequency", "most"), [(0.2, 1.2), (4.0, 2.0), (8.0, 2.0)])
def test_eulerian_leaves_most_of_what_lies_outside_the_band(frequency, most):
    images = brightening(1.5 * np.sin(2 * np.pi * frequency * T))
    shown = pictures(run_live(ColourEulerian(), as_frames(images), 10.0, 0.25))
    assert abs(phasor(mean_of(shown)[SETTLED], frequency)) < most * abs(
        phasor(mean_of(images)[SETTLED], frequency)
    )


def wandering() -> np.ndarray:
    """A pulse whose rate wanders, under slow and fast noise, grey levels."""
    random = np.random.default_rng(4)
    phase = 2 * np.pi * np.cumsum(1.2 * (1 + 0.05 * np.sin(0.6 * T) + 0.03 * np.sin(1.6 * T))) / RATE
    drift = np.convolve(random.standard_normal(T.size + 59), np.hanning(60), "valid") / 10
    return np.sin(phase) + 0.3 * np.sin(2 * phase + 0.5) + drift + 0.1 * random.standard_normal(T.size)


@pytest.mark.parametrize("method", COLOUR, ids=NAMES)
@pytest.mark.parametrize(("lag", "least"), [(0.25, 0.97), (1.0, 0.99)])
def test_what_is_added_live_is_what_is_added_offline(method, lag, least):
    images = brightening(wandering())
    live = mean_of(pictures(run_live(method, as_frames(images), 10.0, lag))) - mean_of(images)
    offline = mean_of(list(magnify_linear(method, images, RATE, 10.0))) - mean_of(images)
    assert np.corrcoef(live[SETTLED], offline[SETTLED])[0, 1] >= least
    assert live[SETTLED].std() == pytest.approx(offline[SETTLED].std(), rel=0.1)


def test_motion_live_is_motion_offline():
    x = np.arange(192)
    images = [
        np.broadcast_to(
            np.round(128 + 60 * np.sin(2 * np.pi / 32 * (x - d)))[None, :, None], (144, 192, 3)
        ).astype(np.uint8)
        for d in 0.2 * np.sin(2 * np.pi * 1.2 * T[:330])
    ]
    method = METHODS["evm-motion"]
    live = np.stack(pictures(run_live(method, as_frames(images), 6.0, 0.25)))[200:-40, 72, :, 1]
    offline = np.stack(list(magnify_linear(method, images, RATE, 6.0)))[200:-40, 72, :, 1]
    before = np.stack(images)[200:-40, 72, :, 1].astype(float)
    assert np.corrcoef((live - before).ravel(), (offline - before).ravel())[0, 1] > 0.97


def test_acceleration_ignores_a_linear_change_exactly():
    ramp = [np.full((48, 64, 3), 30 + i, np.uint8) for i in range(210)]
    shown = pictures(run_live(ColourAcceleration(), as_frames(ramp), 50.0, 0.25))
    # a window that is not full still knows of the ramp's beginning; at its end a clip stands still
    assert all(np.array_equal(a, b) for a, b in zip(ramp[190:200], shown[190:200], strict=True))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_one_picture_comes_out_for_each_that_goes_in_and_in_order(method):
    frames = as_frames(brightening(np.sin(T[:60])))
    machine = linear_magnifier(method)
    done, most = [], 0
    for frame in frames:
        done += machine.push(frame, Settings())
        most = max(most, machine.waiting)
    assert most == round(0.25 * RATE)
    done += machine.flush()
    assert [magnified.frame for magnified in done] == frames
    assert machine.waiting == 0


def test_a_new_session_a_gap_and_another_size_start_with_an_empty_memory():
    first = as_frames(brightening(np.sin(8 * T[:60])))
    images = brightening(np.sin(7 * T[:60]), seed=3)
    larger = brightening(np.sin(7 * T[:60]), (96, 80), seed=3)
    t = np.arange(60) / RATE
    restarts = {
        "session": as_frames(images, t, session=1, seq=60),
        "gap": as_frames(images, t + 3.0, seq=60),
        "size": as_frames(larger, t + 2.0, seq=60),
    }
    for name, second in restarts.items():
        after = pictures(run_live(ColourEulerian(), [*first, *second]))[60:]
        fresh = pictures(run_live(ColourEulerian(), second))
        assert len(after) == 60, name
        assert all(np.array_equal(a, b) for a, b in zip(after, fresh, strict=True)), name


def test_with_a_fifth_of_the_frames_lost_gain_and_phase_stay_right():
    images = brightening(1.5 * np.sin(2 * np.pi * CENTRE * T))
    keep = np.sort(np.random.default_rng(5).permutation(len(T))[: len(T) * 4 // 5])
    frames = [frame for frame in as_frames(images) if frame.seq in set(keep.tolist())]
    shown = mean_of(pictures(run_live(ColourEulerian(), frames)))
    before = phasor(mean_of(images)[SETTLED], CENTRE)
    found = phasor(np.interp(np.arange(len(T)), keep, shown)[SETTLED], CENTRE) / before
    assert abs(found) == pytest.approx(10.0, rel=0.06)
    assert abs(np.angle(found)) / (2 * np.pi * CENTRE) < 1 / RATE


def test_a_change_of_gain_acts_on_the_next_picture_out():
    frames = as_frames(brightening(np.sin(8 * T[:120])))
    done = run_live(
        ColourEulerian(), frames, settings=lambda frame: Settings(gain=10.0 if frame.seq < 90 else 1.0)
    )
    behind = round(0.25 * RATE)
    assert not np.array_equal(done[89 - behind].image, frames[89 - behind].image)
    assert np.array_equal(done[90 - behind].image, frames[90 - behind].image)


def test_the_waveform_rises_with_blood_as_the_light_falls():
    blood = np.sin(2 * np.pi * 1.2 * T)
    images = brightening(-1.1 * blood)
    pulse = np.array([magnified.pulse.wave for magnified in run_live(ColourEulerian(), as_frames(images))])
    assert np.corrcoef(pulse[SETTLED], blood[SETTLED])[0, 1] > 0.95
    # 1.1 of about 110 grey levels
    assert np.abs(pulse[SETTLED]).max() == pytest.approx(0.01, rel=0.15)


def test_without_a_face_no_rate_is_shown_and_the_reason_is():
    done = run_live(ColourEulerian(), as_frames(brightening(np.sin(8 * T))))
    assert all(magnified.pulse.reading.rate is None for magnified in done)
    assert done[-1].pulse.reading.reason == "no face"


def test_each_method_of_the_command_line_is_the_network_or_a_linear_one():
    assert set(get_args(Method)) == {"deepmag", *METHODS}
    with pytest.raises(ValueError, match="method must be one of"):
        Settings(method="magic")  # type: ignore[arg-type]
