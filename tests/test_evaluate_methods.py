"""All magnifiers behind one function, and an ascender that remembers."""

from __future__ import annotations

import numpy as np
import pytest

from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.synthetic.clip import SyntheticClip, make_clip
from deepmag.models.weights import PULSE
from deepmag.stream.evaluation.calibration import (
    equal_strengths,
    matched_gain,
    matched_strengths,
    mean_gains,
    strength_for,
)
from deepmag.stream.evaluation.methods import METHODS, OFFLINE, PAPER_STRENGTH, MultipliedStep, magnify_clip
from deepmag.stream.evaluation.remembered import RememberingAscender
from deepmag.stream.evaluation.scores import score_picture, score_pulse, true_frame, truth_of

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


@pytest.mark.parametrize("method", ["evm", "vam", "evm-offline", "vam-offline", "steady", "steady-offline"])
def test_what_a_method_adds_to_a_still_face_is_in_step_with_the_true_pulse(
    clip: SyntheticClip, ascender: Ascender, method: str
) -> None:
    truth = truth_of(clip)
    shown = magnify_clip(method, clip.video, clip.rate, clip.region, 15.0, ascender=ascender)
    scores = score_pulse(clip, truth, shown, FACTOR)
    assert scores["coherence"] > 0.7
    assert scores["gain"] > 4
    assert method.startswith(("evm", "vam")) or scores["residual"] < 1


def test_a_fast_pulse_grows_offline_as_far_as_live(ascender: Ascender) -> None:
    quick = make_clip(
        "A", seed=5, seconds=4.0, size=(128, 96), melanin=0.1, bpm=170.0, factor=FACTOR, noise=0.2
    )

    def grown(method: str) -> float:
        shown = magnify_clip(method, quick.video, quick.rate, quick.region, 15.0, ascender=ascender)
        return score_pulse(quick, truth_of(quick), shown, FACTOR)["gain"]

    assert grown("steady-offline") == pytest.approx(grown("steady"), rel=0.2)


@pytest.mark.parametrize("method", ["evm", "vam"])
def test_a_linear_method_without_delay_magnifies_as_the_live_one(clip: SyntheticClip, method: str) -> None:
    truth = truth_of(clip)
    live, offline = (
        score_pulse(clip, truth, magnify_clip(name, clip.video, clip.rate, clip.region, 10.0), FACTOR)["gain"]
        for name in (method, f"{method}-offline")
    )
    assert offline - 1 == pytest.approx(live - 1, rel=0.25)


def test_a_multiple_of_the_step_is_an_ascent_of_its_own(clip: SyntheticClip, ascender: Ascender) -> None:
    truth = truth_of(clip)

    def gain(times: float, strength: float = PAPER_STRENGTH) -> float:
        stepped = MultipliedStep(ascender, times)
        shown = magnify_clip("paper", clip.video, clip.rate, clip.region, strength, ascender=stepped)
        return score_pulse(clip, truth, shown, FACTOR)["gain"]

    gains = [gain(times) for times in (0.5, 1.0, 2.0, 4.0)]
    assert gains == sorted(gains)
    # signs that turn on the way make four times the step another video than four times the gain of one step
    amplified = gain(1.0, 1.0 + 4.0 * (PAPER_STRENGTH - 1.0))
    assert abs(gains[3] - amplified) > 0.05 * (amplified - 1)


def test_a_multiplied_step_multiplies_gamma_and_leaves_steady_alone(ascender: Ascender) -> None:
    x = (0.01 * np.random.default_rng(3).standard_normal((1, 3, 36, 36))).astype(np.float32)
    longer = MultipliedStep(ascender, 4.0)
    assert np.array_equal(longer.paper(x, 1e-5)[0], ascender.paper(x, 4e-5)[0])
    assert not np.array_equal(longer.paper(x, 1e-5)[0], ascender.paper(x, 1e-5)[0])
    for ours, theirs in zip(longer.steady(x, x, 0.5), ascender.steady(x, x, 0.5), strict=True):
        assert np.array_equal(ours, theirs)


def test_methods_set_alike_on_one_person_magnify_another_alike(
    clip: SyntheticClip, ascender: Ascender
) -> None:
    target = 1.5
    other = make_clip(
        "A", seed=6, seconds=4.0, size=(128, 96), melanin=0.3, bpm=60.0, factor=FACTOR, noise=0.2
    )

    def gain(who: SyntheticClip, method: str, strength: float) -> float:
        shown = magnify_clip(method, who.video, who.rate, who.region, strength, ascender=ascender)
        return score_pulse(who, truth_of(who), shown, FACTOR)["gain"]

    seen = {method: gain(clip, method, 10.0) for method in METHODS}
    grown = {}
    for method, strength in equal_strengths(target, seen, 10.0).items():
        assert strength is not None
        grown[method] = (gain(other, method, strength) - 1) / (target - 1)
    # people differ, and a network is not linear; at one and the same strength the methods differ by more than ten times
    assert all(0.5 < share < 2 for share in grown.values()), grown


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


def test_noise_is_no_magnification(clip: SyntheticClip) -> None:
    rng = np.random.default_rng(0)
    flicker = 2.0 * rng.standard_normal((len(clip.video), 1, 1, 1))
    noisy = np.clip(clip.video + flicker + rng.standard_normal(clip.video.shape), 0, 255).astype(np.uint8)
    scores = score_pulse(clip, truth_of(clip), noisy, FACTOR)
    assert abs(scores["coherence"]) < 0.5
    assert scores["leak"] > 0.5
    assert scores["residual"] > 1


def skin_trace(clip: SyntheticClip, frames: list[np.ndarray]) -> np.ndarray:
    """Mean green that frames have more than the clip, over its skin, (T,)."""
    pairs = zip(frames, clip.video, clip.skin, strict=True)
    return np.array(
        [
            ((now[..., 1] - before[..., 1].astype(float)) * skin).sum() / skin.sum()
            for now, before, skin in pairs
        ]
    )


@pytest.mark.parametrize("factor", [1.5, 4.0])
def test_the_true_video_at_another_factor_has_the_pulse_that_would_be_rendered(
    clip: SyntheticClip, factor: float
) -> None:
    rendered = make_clip(
        "A", seed=5, seconds=4.0, size=(128, 96), melanin=0.1, bpm=75.0, factor=factor, noise=0.2
    )
    assert rendered.ideal is not None
    assert np.array_equal(rendered.video, clip.video)
    wanted = skin_trace(clip, list(rendered.ideal))
    true = [true_frame(clip, i, factor) for i in range(len(clip.video))]

    def error(frames: list[np.ndarray]) -> float:
        return float(np.std(skin_trace(clip, frames) - wanted) / np.std(wanted))

    assert error(true) < 0.15
    assert error(list(clip.video)) > 0.9
    if factor == 1.5:
        # rounded to bytes most of this pulse would be gone
        assert error([np.rint(frame) for frame in true]) > 2 * error(true)


def test_what_happens_outside_the_region_does_not_count_inside_it(clip: SyntheticClip) -> None:
    x = clip.region[0]
    assert x > 16
    shown = clip.video.copy()
    shown[1::2, :, : x - 8] += 9  # flicker in a margin that the region does not reach
    scores = score_picture(clip, shown, FACTOR, ssim_every=4)
    assert scores["psnr_region"] == 100.0
    assert scores["ssim_region"] == pytest.approx(1.0)
    assert scores["psnr"] < 80
    pulse = score_pulse(clip, truth_of(clip), shown, FACTOR)
    assert pulse["residual"] == pytest.approx(1.0)


def test_psnr_in_the_region_is_lower_by_its_share_of_the_picture(clip: SyntheticClip) -> None:
    x, y, w, h = clip.region
    shown = clip.video.astype(int)
    shown[:, y : y + h, x : x + w] += np.where(shown[:, y : y + h, x : x + w] < 128, 3, -3)
    scores = score_picture(clip, shown.astype(np.uint8), FACTOR, ssim_every=30)
    share = w * h / (clip.video.shape[1] * clip.video.shape[2])
    assert scores["psnr_region"] == pytest.approx(20 * np.log10(255 / 3), abs=1e-3)
    assert scores["psnr"] - scores["psnr_region"] == pytest.approx(-10 * np.log10(share), abs=1e-3)


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


def test_a_method_that_does_not_magnify_has_no_strength_and_the_others_keep_theirs() -> None:
    assert strength_for(10.0, 0.9, 10.0) is None
    assert strength_for(10.0, float("nan"), 10.0) is None
    matched = matched_strengths({"paper": 2.0, "evm": 7.0, "vam": 0.7}, 10.0)
    assert matched == {"paper": 10.0, "evm": pytest.approx(2.5), "vam": None}


def test_where_paper_does_not_magnify_the_least_of_the_others_stands_in_for_it() -> None:
    seen = {"paper": 0.95, "evm": 7.0, "steady": 4.0}
    assert matched_gain(seen) == 4.0
    assert matched_strengths(seen, 10.0) == {
        "paper": None,
        "evm": pytest.approx(5.5),
        "steady": pytest.approx(10.0),
    }
