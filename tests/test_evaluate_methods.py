"""All magnifiers behind one function, and an ascender that remembers."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.weights import PULSE
from deepmag.stream.evaluation.calibration import equal_strengths, matched_strengths, mean_gains, strength_for
from deepmag.stream.evaluation.methods import METHODS, OFFLINE, magnify_clip, strength_of_gamma
from deepmag.stream.evaluation.remembered import RememberingAscender
from deepmag.stream.evaluation.scores import score_pulse, true_frame, truth_of

FACTOR = 10.0


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    """A still fair person, small and noiseless, with a strong slow pulse."""
    return make_clip(
        "A", seed=5, seconds=4.0, size=(128, 96), melanin=0.1, bpm=75.0, factor=FACTOR, noise=0.2
    )


@pytest.fixture(scope="module")
def ascender() -> Ascender:
    """The shipped network with a short ascent."""
    return RememberingAscender(open_ascender(PULSE, device="cpu", threads=1, paper_iterations=3))


@pytest.mark.parametrize("method", METHODS + OFFLINE)
def test_every_method_gives_each_frame_back_at_gain_one(
    clip: SyntheticClip, ascender: Ascender, method: str
) -> None:
    shown = magnify_clip(method, clip.video[:40], clip.rate, clip.region, 1.0, ascender=ascender)
    assert np.array_equal(shown, clip.video[:40])


@pytest.mark.parametrize("method", ["evm", "vam", "steady", "steady-offline"])
def test_what_a_method_adds_to_a_still_face_is_in_step_with_the_true_pulse(
    clip: SyntheticClip, ascender: Ascender, method: str
) -> None:
    truth = truth_of(clip)
    shown = magnify_clip(method, clip.video, clip.rate, clip.region, 15.0, ascender=ascender)
    scores = score_pulse(clip, truth, shown, FACTOR)
    assert scores["coherence"] > 0.8
    assert scores["gain"] > 4
    assert method in ("evm", "vam") or scores["residual"] < 1


def test_paper_adds_in_proportion_to_its_step(clip: SyntheticClip, ascender: Ascender) -> None:
    truth = truth_of(clip)
    gains = [
        score_pulse(
            clip,
            truth,
            magnify_clip(
                "paper", clip.video, clip.rate, clip.region, strength_of_gamma(times), ascender=ascender
            ),
            FACTOR,
        )["gain"]
        for times in (1.0, 4.0)
    ]
    assert strength_of_gamma(1.0) == 10.0
    assert gains[1] - 1 == pytest.approx(4 * (gains[0] - 1), rel=0.1, abs=0.02)


def test_an_unknown_method_is_refused_by_name(clip: SyntheticClip) -> None:
    with pytest.raises(ValueError, match="not lucas"):
        magnify_clip("lucas", clip.video, clip.rate, clip.region, 2.0)


def test_the_true_video_scores_as_itself(clip: SyntheticClip) -> None:
    truth = truth_of(clip)
    assert clip.ideal is not None
    scores = score_pulse(clip, truth, clip.ideal, FACTOR)
    assert scores["gain"] == pytest.approx(FACTOR, rel=1e-3)
    assert scores["coherence"] > 0.98
    assert scores["blocks"] > 0.9
    assert scores["leak"] < 0.2
    assert scores["residual"] == pytest.approx(0.0, abs=1e-6)


def test_the_video_itself_has_gained_nothing(clip: SyntheticClip) -> None:
    scores = score_pulse(clip, truth_of(clip), clip.video, FACTOR)
    assert scores["gain"] == pytest.approx(1.0)
    assert scores["coherence"] == 0
    assert scores["residual"] == pytest.approx(1.0)


def test_the_true_video_at_another_factor_is_the_one_that_would_be_rendered(clip: SyntheticClip) -> None:
    rendered = make_clip(
        "A", seed=5, seconds=4.0, size=(128, 96), melanin=0.1, bpm=75.0, factor=4.0, noise=0.2
    )
    assert rendered.ideal is not None
    for i in (0, 37, 90):
        error = true_frame(clip, i, 4.0).astype(float) - rendered.ideal[i]
        assert np.sqrt(np.mean(error**2)) < 0.35  # what rounding to bytes makes of either
        assert np.abs(error).max() <= 2


def test_a_clip_without_its_ideal_cannot_be_judged() -> None:
    plain = make_clip("A", seed=5, seconds=0.2, size=(64, 48))
    with pytest.raises(ValueError, match="ideal"):
        truth_of(plain)


class Counting:
    """An ascender that counts its calls."""

    description = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def paper(self, x: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        return gamma * np.sign(x), x.sum(axis=(1, 2, 3))

    def steady(
        self, x: np.ndarray, direction: np.ndarray, growth: float | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.calls += 1
        return growth * direction, x.sum(axis=(1, 2, 3)), x


def test_the_same_ascent_is_made_once() -> None:
    inner = Counting()
    remembering = RememberingAscender(inner)
    x = np.random.default_rng(0).standard_normal((1, 3, 36, 36)).astype(np.float32)
    first = remembering.paper(x, 0.5)
    again = remembering.paper(x.copy(), 0.5)
    assert inner.calls == 1
    assert np.array_equal(first[0], again[0])
    remembering.paper(x, 0.25)
    remembering.steady(x, x, 1.0)
    remembering.steady(x, 2 * x, 1.0)
    assert inner.calls == 4


def test_what_is_remembered_cannot_be_spoilt_by_who_asked_for_it() -> None:
    remembering = RememberingAscender(Counting())
    x = np.ones((1, 3, 36, 36), np.float32)
    remembering.paper(x, 0.5)[0].fill(7)
    assert remembering.paper(x, 0.5)[0].max() == 0.5


def test_strengths_follow_the_linear_rule() -> None:
    seen = mean_gains([{"paper": 2.0, "evm": 7.0}, {"paper": 3.0, "evm": 9.0}])
    assert seen == {"paper": 2.5, "evm": 8.0}
    matched = matched_strengths(seen, 10.0)
    assert matched["paper"] == 10.0
    assert matched["evm"] == pytest.approx(1 + 1.5 * 9 / 7)
    assert equal_strengths(8.0, seen, 10.0)["evm"] == pytest.approx(10.0)


def test_a_strength_is_held_to_what_a_person_may_set() -> None:
    assert strength_for(10.0, 1.1, 10.0) == 100.0


def test_a_method_that_does_not_magnify_has_no_strength() -> None:
    with pytest.raises(ValueError, match="no strength"):
        strength_for(10.0, 0.9, 10.0)
