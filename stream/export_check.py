"""``deepmag export --check``: an exported model against torch, on pairs and by what it does to a clip."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.export.device import CPU
from deepmag.export.exported import ExportedPulse, ExportedRespiration
from deepmag.export.model_parity import compare_pulse, compare_respiration
from deepmag.export.torch_ascender import TorchAscender
from deepmag.export.torch_respiration import TorchRespiration
from deepmag.models import respiration
from deepmag.models.magnify import clip_rate
from deepmag.models.metrics.motion import added_displacement, displacement, motion_scores
from deepmag.models.networks import PulseNet, RespirationNet
from deepmag.models.phase import SIDE, reduce_luma
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.representation import INPUT_SCALE, L, normalized_difference
from deepmag.models.synthetic.clip import make_clip
from deepmag.stream.clip_file import read_frames
from deepmag.stream.evaluation.measurement import reduce_clip
from deepmag.stream.evaluation.methods import PAPER_STRENGTH, magnify_clip
from deepmag.stream.evaluation.scores import score_pulse, truth_of
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.offline import choose_region, magnify_file
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.tick_pairs import TickPairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from deepmag.export.model_parity import ModelParity
    from deepmag.export.respiration import GradientAscender
    from deepmag.export.runtime import Ascender
    from deepmag.models.synthetic.clip import SyntheticClip

    Floats = NDArray[np.float32]
    Progress = Callable[[str, float], None]

MODES = ("paper", "steady")
PAIRS = 8  # of each kind
READ = 4.0  # s of a clip, from which they are taken
DIGIT = 0.005  # what a score may differ by at least: half a unit of its second decimal
PULSE_CLIP = (4.0, (128, 96))  # s; px, width and height
BREATH_CLIP = (12.0, (160, 120))
BREATH_CLIP_RATE = 15.0  # Hz
BREATH_BAND = (0.16, 0.8)  # Hz, of the scores
# x, y, w, h, px, of the breath clip's person, and of what is still
CHEST, WALL = (45, 90, 70, 30), (2, 2, 30, 40)


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """A score of a magnified clip, with torch and with the exported model."""

    name: str
    torch: float
    exported: float

    @property
    def unchanged(self) -> bool:
        """Whether the two are the same to two digits: to half a unit of the second significant one, or decimal."""
        if math.isnan(self.torch):  # a score that the clip has not
            return math.isnan(self.exported)
        unit = 10.0 ** math.floor(math.log10(max(abs(self.torch), 1e-9))) / 10.0
        return abs(self.exported - self.torch) <= max(DIGIT, unit / 2)


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. parities: by the kind of pairs. scores: of a synthetic clip magnified in both modes."""

    parities: Mapping[str, Sequence[ModelParity]]
    scores: Sequence[ScoreChange]

    @property
    def passed(self) -> bool:
        """Whether every bound is kept."""
        alike = all(parity.agrees for found in self.parities.values() for parity in found)
        return alike and all(score.unchanged for score in self.scores)


def check_pulse(
    model: onnx.ModelProto,
    weights: Mapping[str, NDArray[np.float32]],
    source: Path | None = None,
    progress: Progress = lambda _stage, _share: None,
) -> Check:
    """Check an exported model of the pulse against the weights it was made from.

    source: a video file, whose first seconds give the real pairs; else they are the synthetic clip's. progress: called
    with a stage's name and the share of all that is done. Raises ValueError or SourceError for a file that cannot be
    used.
    """
    progress("rendering a person", 0.0)
    seconds, size = PULSE_CLIP
    clip = make_clip("A", seed=5, seconds=seconds, size=size, melanin=0.1, bpm=75.0, factor=10.0, noise=0.5)
    small, rate = reduce_clip(clip.video, clip.region), clip.rate
    if source is not None:
        small, rate = _reduced(source)
    x = normalized_difference(small[:-1], small[1:])
    real = np.ascontiguousarray(x[np.linspace(0, len(x) - 1, min(PAIRS, len(x))).astype(int)])
    random = np.random.default_rng(1).normal(0.0, INPUT_SCALE, (PAIRS, 3, L, L)).astype(np.float32)
    net = PulseNet.from_weights(_tensors(weights))
    progress("random pairs", 0.1)
    parities = {"random": compare_pulse(model, net, random)}
    progress("real pairs", 0.2)
    parities[_name(source)] = compare_pulse(model, net, real, rate)
    exported = ExportedPulse(model.SerializeToString())
    steps = tuple(int(exported.model.properties[f"{mode}_iterations"]) for mode in ("paper", "steady"))
    ours = TorchAscender(weights, CPU, 1, steps[0], steps[1])
    scores = []
    for i, mode in enumerate(MODES):
        progress(f"a clip, {mode}", 0.3 + 0.45 * i)
        scores += _pulse_scores(clip, mode, ours, exported)
    return Check(parities, scores)


def check_respiration(
    model: onnx.ModelProto,
    weights: Mapping[str, NDArray[np.float32]],
    source: Path | None = None,
    progress: Progress = lambda _stage, _share: None,
) -> Check:
    """The same for respiration. Raises OSError, too, where the synthetic clip cannot be kept for a while."""
    progress("rendering a person", 0.0)
    seconds, size = BREATH_CLIP
    clip = make_clip("A", seed=1, seconds=seconds, size=size, rate=BREATH_CLIP_RATE)
    times = [i / clip.rate for i in range(len(clip.video))]
    x, weight = tick_pairs(list(clip.video), times) if source is None else tick_pairs(*_pictures(source))
    rng = np.random.default_rng(1)
    shape = (PAIRS // 2, ORIENTATIONS, SIDE, SIDE)
    random = rng.normal(0.0, respiration.INPUT_SCALE, shape).astype(np.float32)
    trust = rng.uniform(0.0, 1.0, shape).astype(np.float32)
    net = RespirationNet.from_weights(_tensors(weights))
    progress("random pairs", 0.05)
    parities = {"random": compare_respiration(model, net, random, trust, respiration.ASCENT_RATE)}
    progress("real pairs", 0.15)
    parities[_name(source)] = compare_respiration(model, net, x, weight, respiration.ASCENT_RATE)
    exported = ExportedRespiration(model.SerializeToString())
    ours = TorchRespiration(weights, CPU, paper_iterations=int(exported.model.properties["paper_iterations"]))
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for i, mode in enumerate(MODES):
            progress(f"a clip, {mode}", 0.3 + 0.5 * i)
            scores += _breath_scores(clip, mode, ours, exported, Path(folder))
    return Check(parities, scores)


def _tensors(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}


def _name(source: Path | None) -> str:
    return "synthetic person" if source is None else source.name


def _pulse_scores(clip: SyntheticClip, mode: str, ours: Ascender, exported: Ascender) -> list[ScoreChange]:
    """Gain, coherence, blocks and leak of the clip, magnified as a whole."""
    truth = truth_of(clip)
    found = []
    for ascender in (ours, exported):
        shown = magnify_clip(
            f"{mode}-offline", clip.video, clip.rate, clip.region, PAPER_STRENGTH, ascender=ascender
        )
        found.append(score_pulse(clip, truth, shown, PAPER_STRENGTH))
    return [
        ScoreChange(f"{mode} {name}", found[0][name], found[1][name])
        for name in ("gain", "coherence", "blocks", "leak")
    ]


def _breath_scores(
    clip: SyntheticClip, mode: str, ours: GradientAscender, exported: GradientAscender, folder: Path
) -> list[ScoreChange]:
    """Gain, coherence and leak of the chest's motion."""
    original = folder / "clip.mkv"
    if not original.exists():
        _write(original, clip)
    before = list(_grey(original))
    found = []
    for ascender in (ours, exported):
        out = folder / "magnified.mkv"
        magnify_file(
            original,
            out,
            mode="paper" if mode == "paper" else "steady",
            target="respiration",
            roi="full",
            lossless=True,
            respiration=ascender,
        )
        after = list(_grey(out))
        found.append(
            motion_scores(
                displacement(before, CHEST),
                displacement(after, CHEST),
                added_displacement(before, after, WALL),
                BREATH_BAND,
                clip.rate,
            )
        )
    return [
        ScoreChange(f"{mode} {name}", getattr(found[0], name), getattr(found[1], name))
        for name in ("gain", "coherence", "leak")
    ]


def _write(path: Path, clip: SyntheticClip) -> None:
    recorder = Recorder(path, rate=clip.rate, lossless=True)
    recorder.open()
    for i, image in enumerate(clip.video):
        frame = Frame(0, i, i / clip.rate, 0.0, np.ascontiguousarray(image))
        recorder.render(
            MagnifiedFrame(frame, frame.image, None, None, (0, 0, *clip.video.shape[2:0:-1]), 0.0)
        )
    recorder.close()


def _grey(path: Path) -> list[Floats]:
    return [frame.image.astype(np.float32).mean(2) for frame in read_frames(path, lambda: False)]


def _pictures(source: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """The pictures of a file's first seconds, and their times, s. Raises ValueError where there are too few."""
    images, times = [], []
    for frame in read_frames(source, lambda: False):
        if frame.session > 0 or frame.pts > READ:
            break
        images.append(frame.image)
        times.append(frame.pts)
    if len(images) < 2 or times[-1] < 1.0:
        raise ValueError(f"{source}: a second of video at least is needed for the check")
    return images, times


def _reduced(source: Path) -> tuple[Floats, float]:
    """The reduced pictures of a file's first seconds, and their rate, Hz."""
    region = choose_region(source, "auto", None, lambda: False).box
    images, times = _pictures(source)
    return reduce_clip(np.stack(images), region), clip_rate(times)


def tick_pairs(images: Sequence[NDArray[np.uint8]], times: Sequence[float]) -> tuple[Floats, Floats]:
    """Phase differences and their weights, (B, 4, SIDE, SIDE), as the network of respiration is given them."""
    pairs = TickPairs()
    period = float(np.median(np.diff(times)))
    x: list[Floats] = []
    weight: list[Floats] = []
    for image, time in zip(images, times, strict=True):
        if not pairs.due(time, period):
            continue
        luma = reduce_luma(image)
        if not pairs.take(time, luma):
            pairs.reset()
            pairs.take(time, luma)
        if pairs.pair is not None and len(x) < PAIRS:
            difference = pairs.pair.difference
            reach = respiration.REACH
            x.append(np.clip(difference.x / np.float32(pairs.pair.ticks), -reach, reach))
            weight.append(difference.weight)
    if not x:
        raise ValueError("the clip shows another scene in every picture: there is no pair to check with")
    return np.stack(x).astype(np.float32), np.stack(weight).astype(np.float32)
