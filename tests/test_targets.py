"""What is magnified: the pulse, respiration, or both in one picture."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_run import as_frames, shipped
from made_clip import make_clip

from deepmag.export.respiration import open_respiration_ascender
from deepmag.models.weights import RESPIRATION
from deepmag.stream.both import BothMagnifier, Plans
from deepmag.stream.capture.demo import DemoSource
from deepmag.stream.capture.timeline import HIGHEST_RATE
from deepmag.stream.combine import combine
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.methods import open_magnifier
from deepmag.stream.pictures import HostPictures
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.respiration import RespirationMagnifier
from deepmag.stream.settings import DEFAULT_LAG, LAG_RANGE, LiveSettings, Settings, Target, offline_mode

RATE = 15.0  # Hz
SIZE = (240, 200)  # px, width and height
LAG = 0.6  # s


@lru_cache(maxsize=1)
def sleeper() -> list[Frame]:
    """9 s of a blurred random texture whose lower half moves up and down by 0.6 px, 24 times a minute."""
    rng = np.random.default_rng(4)
    still = cv2.GaussianBlur(rng.uniform(0, 255, (*SIZE[::-1], 3)).astype(np.float32), None, 2.5)
    still = np.clip(128 + 4 * (still - 127), 20, 235).astype(np.float32)
    t = np.arange(round(9 * RATE)) / RATE
    share = np.clip((np.arange(SIZE[1]) - 90) / 30, 0, 1).astype(np.float32)[:, None]
    x, y = np.meshgrid(np.arange(SIZE[0], dtype=np.float32), np.arange(SIZE[1], dtype=np.float32))
    images = [
        cv2.remap(
            still, x, y - share * np.float32(0.6 * np.sin(2 * np.pi * 0.4 * now)), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ).round().astype(np.uint8)
        for now in t
    ]  # fmt: skip
    return as_frames(images, t)


@lru_cache(maxsize=3)
def magnified(target: Target, roi: tuple[int, int, int, int] | None = None) -> list[MagnifiedFrame]:
    settings = Settings(target=target, lag=LAG, gain=30.0, roi=roi or "full")
    magnifier, _ = open_magnifier(
        "deepmag",
        shipped(),
        target=target,
        respiration=open_respiration_ascender(RESPIRATION, "cpu"),
        clock=lambda: 0.0,
        nominal_rate=lambda: RATE,
        lag=LAG,
    )
    done = []
    for frame in sleeper():
        done += magnifier.push(frame, settings)
    return done + magnifier.flush()


def pipeline_of(source: DemoSource, settings: Settings) -> Pipeline:
    return Pipeline(source, None, None, settings, respiration=open_respiration_ascender(RESPIRATION, "cpu"))


@pytest.mark.parametrize("target", ["pulse", "respiration", "both"])
def test_what_comes_out_before_its_lag_has_passed_says_so(target: Target) -> None:
    done = magnified(target)
    inside = round(LAG * RATE)
    assert [one.early for one in done] == [False] * (len(done) - inside) + [True] * inside


@pytest.mark.parametrize(
    ("target", "signals"),
    [("pulse", ("pulse",)), ("respiration", ("respiration",)), ("both", ("pulse", "respiration"))],
)
def test_a_target_says_what_is_measured(target: Target, signals: tuple[str, ...]) -> None:
    assert Settings(target=target).signals == signals


def test_the_pulse_is_the_default_with_a_lag_of_its_own() -> None:
    assert Settings().target == "pulse"
    assert Settings().lag == DEFAULT_LAG["pulse"] == 0.25
    assert DEFAULT_LAG["respiration"] == DEFAULT_LAG["both"] == 2.0


@pytest.mark.parametrize("target", ["respiration", "both"])
def test_respiration_has_neither_paper_mode_nor_a_linear_method(target: Target) -> None:
    with pytest.raises(ValueError, match="steady mode only"):
        Settings(target=target, mode="paper")
    with pytest.raises(ValueError, match="the method evm has no target"):
        Settings(target=target, method="evm")
    live = LiveSettings(Settings(target=target))
    with pytest.raises(ValueError, match="steady mode only"):
        live.change(mode="paper")
    assert live.current.mode == "steady"


def test_what_a_method_would_not_heed_is_refused() -> None:
    with pytest.raises(ValueError, match="the method evm has no mode"):
        Settings(method="evm", mode="paper")
    box = (0, 0, 64, 64)
    assert Settings(method="evm", roi=box).roi == box  # live the rate is measured there
    with pytest.raises(ValueError, match="the method evm magnifies the whole picture"):
        Settings(method="evm", roi=box, whole_clip=True)
    assert offline_mode("evm", "pulse") == "steady"


def test_an_unknown_target_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="target must be one of pulse, respiration, both, not sleep"):
        Settings(target="sleep")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "kind", "runs"),
    [
        ("pulse", PulseMagnifier, "numba CPU, 1 thread"),
        ("respiration", RespirationMagnifier, "onnxruntime CPU, 1 thread"),
        ("both", BothMagnifier, "pulse: numba CPU, 1 thread; respiration: onnxruntime CPU, 1 thread"),
    ],
)
def test_a_target_opens_its_magnifier(target: Target, kind: type, runs: str) -> None:
    ascender = open_respiration_ascender(RESPIRATION, "cpu")
    opened, described = open_magnifier(
        "deepmag",
        shipped(),
        target=target,
        respiration=ascender,
        clock=lambda: 0.0,
        nominal_rate=lambda: 30.0,
        lag=0.25,
    )
    assert isinstance(opened, kind)
    assert described() == runs


@pytest.mark.parametrize(("target", "missing"), [("pulse", "pulse"), ("respiration", "respiration")])
def test_a_missing_network_is_named(target: Target, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        open_magnifier("deepmag", None, target=target, clock=lambda: 0.0, nominal_rate=lambda: None, lag=0.25)


@pytest.mark.parametrize("target", ["pulse", "both"])
def test_on_a_cpu_nothing_waits_for_torch_to_be_imported(target: Target, tmp_path: Path) -> None:
    """It takes a second and a half and 180 MB."""
    code = (
        "import sys; from deepmag.stream.cli import main\n"
        "try: main()\n"
        "finally: assert 'torch' not in sys.modules\n"
    )
    vitals = tmp_path / "vitals.csv"
    clip = make_clip(tmp_path / "clip.mp4", frames=30, size=(320, 240))
    options = [
        "--target",
        target,
        "--device",
        "cpu",
        "--pace",
        "max",
        "--show",
        "none",
        "--vitals",
        str(vitals),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "live", str(clip), *options],
        check=True,
        timeout=60,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert vitals.exists()
    assert "30 frames magnified; ended | -- bpm (" in done.stderr  # at the end, too, why there is no rate
    assert "latency" not in done.stderr  # which says nothing where nobody waits for real time


def test_both_give_each_frame_once_in_order_with_both_signals() -> None:
    done = magnified("both")
    assert [item.frame.seq for item in done] == [frame.seq for frame in sleeper()]
    alone = magnified("pulse"), magnified("respiration")
    assert [item.pulse for item in done] == [item.pulse for item in alone[0]]
    assert [item.respiration for item in done] == [item.respiration for item in alone[1]]
    assert {tuple(item.signals) for item in done} == {("pulse", "respiration")}


def test_what_the_pulse_adds_is_added_to_the_picture_that_respiration_moved() -> None:
    coloured, moved = magnified("pulse"), magnified("respiration")
    breathes = [not np.array_equal(item.image, item.frame.image) for item in moved]
    assert sum(breathes) > len(breathes) / 2
    for both, colour, move in zip(magnified("both"), coloured, moved, strict=True):
        original = both.frame.image.astype(int)
        expected = np.clip(move.image + (colour.image - original), 0, 255)
        apart = np.abs(both.image - expected)  # of a sum that rounds to the other side
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3


def test_colours_that_leave_the_range_are_cut_not_wrapped() -> None:
    original, moved, coloured = (
        np.full((2, 2, 3), value, np.uint8) for value in ((100, 100, 100), (250, 2, 50), (120, 80, 90))
    )
    np.testing.assert_array_equal(combine(original, moved, coloured), np.full((2, 2, 3), (255, 0, 40)))


class Gives:
    """A magnifier that gives each frame ``lag`` frames later."""

    waiting, rate = 0, HIGHEST_RATE

    def __init__(self, lag: int, *, early: bool = False) -> None:
        self._lag, self._early, self._inside = lag, early, deque[MagnifiedFrame]()

    def push(self, frame: Frame, *_: object) -> list[MagnifiedFrame]:
        image, box = frame.image, (0, 0, 64, 64)
        self._inside.append(MagnifiedFrame(frame, image, None, None, box, 0.0, self._early))
        return [self._inside.popleft()] if len(self._inside) > self._lag else []

    def expect(self, frame: Frame) -> None: ...

    def flush(self) -> list[MagnifiedFrame]:
        return list(self._inside)


@pytest.mark.parametrize(
    ("pulse", "respiration", "early"), [(True, False, False), (False, True, False), (True, True, True)]
)
def test_a_frame_that_one_of_both_gave_at_its_time_came_out_at_its_time(
    pulse: bool, respiration: bool, early: bool
) -> None:
    """As where the face's square moves on, and the chest's does not."""
    both = BothMagnifier(
        Gives(0, early=pulse), Gives(0, early=respiration), Plans(HostPictures()), clock=lambda: 0.0
    )
    (frame,) = as_frames([np.full((64, 64, 3), 100, np.uint8)], np.zeros(1))
    (done,) = both.push(frame, Settings(target="both"))
    assert done.early == early


def test_at_the_highest_rate_one_may_hold_all_frames_of_the_longest_lag() -> None:
    """As after a cut inside the face's square, which the other does not see."""
    image = np.full((64, 64, 3), 100, np.uint8)
    plans = Plans(HostPictures())

    longest = round(HIGHEST_RATE * LAG_RANGE[1])
    both = BothMagnifier(Gives(0), Gives(longest), plans, clock=lambda: 0.0)
    frames = as_frames([image] * (longest + 20), np.arange(longest + 20) / HIGHEST_RATE)
    done = [one for frame in frames for one in both.push(frame, Settings(target="both"))]
    assert [one.frame for one in done] == frames[:20]


def test_a_box_that_reaches_out_of_the_picture_is_cut_alike_for_both() -> None:
    outside = (100, 60, SIZE[0], SIZE[1])
    done = magnified("both", outside)
    assert [item.frame.seq for item in done] == [frame.seq for frame in sleeper()]
    assert {item.roi for item in done} == {(100, 60, SIZE[0] - 100, SIZE[1] - 60)}


def test_before_its_first_picture_a_run_connects_and_says_why_it_takes_so_long() -> None:
    pipeline = pipeline_of(DemoSource(size=(160, 120)), Settings(target="respiration", lag=2.0, roi="full"))
    pipeline.start()
    while pipeline.capture.state(time.monotonic())[0] != "live":
        assert not pipeline.wait(0.02)
    status = pipeline.status()
    pipeline.stop()
    assert (status.state, status.detail) == ("connecting", "the lag of 2 s must pass first")


@pytest.mark.parametrize(("target", "taken"), [("pulse", False), ("respiration", True), ("both", True)])
def test_a_frame_may_wait_for_a_tick_of_respiration_but_not_for_the_pulse(
    target: Target, taken: bool
) -> None:
    """A tenth of a second."""
    now = 0.0
    pipeline = Pipeline(
        DemoSource(size=(160, 120)),
        shipped(),  # type: ignore[arg-type]
        None,
        Settings(target=target),
        respiration=open_respiration_ascender(RESPIRATION, "cpu"),
        clock=lambda: now,
    )
    pipeline.ring.put(sleeper()[0])
    now = 0.1
    assert (pipeline.ring.get(timeout=0.0) is not None) == taken
    pipeline.stop()


def test_a_recording_of_respiration_is_told_the_frames_rate_not_the_ticks() -> None:
    camera = DemoSource(size=(160, 120))
    camera.nominal_rate = None  # type: ignore[assignment]  # as a camera, which does not say
    pipeline = pipeline_of(camera, Settings(target="respiration"))
    assert pipeline.magnifier.rate == 5.0
    assert pipeline.rate == 30.0
    pipeline.stop()
