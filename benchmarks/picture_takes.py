"""What a camera sees of synthetic people, and by how much the pulse alone changes it: plain, and one thing worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from negatives import Image
from numpy.typing import NDArray
from people import FPS, WORSE, Take, beating, coded, drawn, frames, rhythm, scene_of

from deepmag.models.metrics.traces import BLOCK
from deepmag.models.synthetic.recorded import RecordedRhythm
from deepmag.models.synthetic.scene import Rendered
from deepmag.models.synthetic.waveforms import AnyRhythm, Rhythm
from deepmag.models.temporal import PULSE_BAND, Band

SECONDS = 21.0
CHANGE = 10.0  # s, at which it cuts or leaps
LEAP = (65.0, 100.0)  # beats a minute
RATES = (42, 50, 70, 120, 150, 175)  # beats a minute
WIDE = (0.5, 4.5)  # Hz: holds each of them with what makes its wave
STEADY = {"": (6.0, 20.0)}
# H.264: its rate comes late, and what is added is larger from there on
LONGER, LATER = 41.0, {"": (6.0, 20.0), "from 26 s": (26.0, 40.0)}
EVENT = {"before": (6.0, 9.5), "first 3 s": (10.5, 13.5), "later": (14.0, 20.0)}
FAR = 9.0  # picture widths
OTHER = 40  # added to a person's number: the one beside them
# Where the two are, as a share of the picture's width: the left one nearer to its middle, so that he is followed.
PAIRS = {"apart": (0.33, 0.78), "cheek to cheek": (0.42, 0.68)}


@dataclass(frozen=True)
class Condition:
    """take: who, and what is made worse. windows: names, and from and to when, s, the picture is judged.

    event: what else there is: a pair's distance, a cut to somebody else, nobody. band: Hz, in which what was added is
    compared with the pulse. people: in place of those asked for.
    """

    take: Take = field(default_factory=Take)
    event: str = ""
    windows: Mapping[str, tuple[float, float]] = field(default_factory=lambda: STEADY)
    seconds: float = SECONDS
    band: Band = PULSE_BAND
    people: tuple[int, ...] = ()


class Drawn(NamedTuple):
    """Without noise. video: (T, 3, h, w). skin: (T, h, w) its cover. pulse: (T, h, w) of green, grey levels."""

    video: torch.Tensor
    skin: torch.Tensor
    pulse: torch.Tensor


@dataclass(frozen=True)
class Seen:
    """pictures: (H, W, 3) uint8, as the camera sends them. For each of them: skin, pulse and blocks.

    skin: (h, w), cover by the skin that is to pulse. pulse: of its mean green, grey levels: the true one, or what that
    of somebody without one would be. blocks: (H // 8, W // 8), the same of each block.
    """

    pictures: Iterator[Image]
    skin: NDArray[np.float32]
    pulse: NDArray[np.float64]
    blocks: NDArray[np.float32]


def conditions() -> dict[str, Condition]:
    """All by name."""
    still = Take(pulse=0.0)
    takes = {
        "plain": Take(),
        **WORSE,
        "rhythm of ECG": Take("ECG"),
        "noise 5": Take(noise=5.0),
        "H.264 of 1 Mb/s, key frames each s": Take(coded=1e6, key=1.0),
        "320x240": Take(size=(320, 240)),
        "320x240, H.264 of 0.5 Mb/s": Take(size=(320, 240), coded=5e5),
        "nodding": Take(disturbance="nod"),
        "hand-held": Take(disturbance="hand-held"),
        "dark, dim, head as recorded": Take(
            melanin=0.9, pulse=0.006, exposure=0.4, noise=2.0, disturbance="track"
        ),
    }
    none = {
        "no pulse": still,
        "no pulse, dim": replace(still, exposure=0.25, noise=3.0),
        "no pulse, noise 5": replace(still, noise=5.0),
        "no pulse, JPEG of quality 80": replace(still, coded=80),
        "no pulse, H.264 of 4 Mb/s": replace(still, coded=4e6),
        "no pulse, H.264 of 1 Mb/s": replace(still, coded=1e6),
        "no pulse, H.264 of 1 Mb/s, key frames each s": replace(still, coded=1e6, key=1.0),
        "no pulse, white balance": replace(still, disturbance="white balance"),
        "no pulse, light drifts": replace(still, disturbance="drift"),
        "no pulse, exposure follows": replace(still, disturbance="exposure"),
        "no pulse, talking": replace(still, disturbance="talk"),
        "no pulse, nodding": replace(still, disturbance="nod"),
        "no pulse, head as recorded": replace(still, disturbance="track"),
        "no pulse, hand-held": replace(still, disturbance="hand-held"),
    }
    rates = {f"pulse of {rate} a minute": Condition(Take(str(rate)), band=WIDE) for rate in RATES}
    pairs = {f"two, {name}": Condition(Take(half=0.2), name) for name in PAIRS}
    events = {
        "first seconds": Condition(windows={"0.5 to 3": (0.5, 3.0), "3 to 6": (3.0, 6.0)}),
        "glasses": Condition(people=(105, 129, 133)),
        "leap from 65 to 100": Condition(Take("leap"), windows=EVENT),
        "cut to somebody else": Condition(event="cut", windows=EVENT),
        "a step aside": Condition(Take(disturbance="aside"), windows=EVENT),
        "away for 8 s": Condition(
            Take(disturbance="away"),
            windows={"gone": (9.0, 16.0), "first 3 s": (17.0, 20.0), "later": (20.0, 25.0)},
            seconds=26.0,
        ),
        "nobody": Condition(still, "nobody"),
        "nobody, dim": Condition(replace(still, exposure=0.25, noise=3.0), "nobody"),
        "nobody, H.264 of 1 Mb/s": Condition(replace(still, coded=1e6), "nobody"),
    }
    return (
        {name: _condition(take) for name, take in takes.items()}
        | rates
        | pairs
        | events
        | {name: Condition(take) for name, take in none.items()}
    )


def _condition(take: Take) -> Condition:
    """Of a bit rate for longer; a JPEG has a quality, up to 100."""
    if take.coded is not None and take.coded > 100:
        return Condition(take, windows=LATER, seconds=LONGER)
    return Condition(take)


def heart(name: str, data: Path, seed: int) -> AnyRhythm:
    """A recording's pulse, one that leaps, or an even one of so many beats a minute."""
    if name == "leap":
        before = np.arange(0.0, CHANGE, 60 / LEAP[0])
        beats = np.concatenate([before, before[-1] + np.arange(1, 60) * 60 / LEAP[1]])
        wave = beating(beats)
        return RecordedRhythm(wave, np.sin(2 * np.pi * 0.24 * np.arange(len(wave)) / 100), 100.0)
    if name.isdigit():
        return Rhythm(bpm=float(name), variability=0.02, seed=seed)
    found = rhythm(name, data)[0]
    return replace(found, start=5.0 * seed)


@lru_cache(maxsize=3)
def drawn_take(take: Take, seconds: float, x: float, data: Path) -> Drawn:
    """One person. x: where the head is, as a share of the picture's width."""
    share = float(take.pulse > 0)
    take = replace(take, pulse=take.pulse or Take().pulse)
    scene = scene_of(take, heart(take.rhythm, data, take.seed), data, seconds)
    parts = list(drawn(take, replace(scene, framing=replace(scene.framing, x=x)), (share, share + 1.0)))
    return Drawn(
        torch.cat([part.video for part in parts]),
        torch.cat([part.skin for part in parts]),
        torch.cat([part.magnified[0][:, 1] - part.video[:, 1] for part in parts]),
    )


def drawn_condition(condition: Condition, take: Take, data: Path) -> Drawn:
    """One person, two beside each other, one after the other, or none."""
    take = replace(
        take, noise=0.0, coded=None
    )  # they come after it, so takes that differ by them are drawn once
    if condition.event == "nobody":
        return drawn_take(take, condition.seconds, FAR, data)
    if condition.event not in ("cut", *PAIRS):
        return drawn_take(take, condition.seconds, 0.5, data)
    x, x_other = PAIRS.get(condition.event, (0.5, 0.6))
    other = replace(take, person=take.person + OTHER, rhythm="ECG", melanin=0.3)
    a, b = drawn_take(take, condition.seconds, x, data), drawn_take(other, condition.seconds, x_other, data)
    if condition.event == "cut":
        first = round(CHANGE * FPS)
        return Drawn(
            *(torch.cat([before[:first], after[first:]]) for before, after in zip(a, b, strict=True))
        )
    half = round(a.video.shape[-1] * (x + x_other) / 2)
    both = (torch.cat([left[..., :half], right[..., half:]], -1) for left, right in zip(a, b, strict=True))
    return Drawn(*both)


def seen(condition: Condition, take: Take, data: Path) -> Seen:
    """What a camera and its codec make of it."""
    video, skin, pulse = drawn_condition(condition, take, data)
    pictures = coded(frames(take, [Rendered(video, skin)]), take)
    if condition.event in PAIRS:
        # one face is followed; the other one and its skin are what is beside it
        skin, pulse = skin.clone(), pulse.clone()
        half = round(skin.shape[-1] * sum(PAIRS[condition.event]) / 2)
        skin[..., half:] = pulse[..., half:] = 0.0
    columns, rows = (side // BLOCK for side in take.size)
    total = skin.sum((1, 2))
    return Seen(
        pictures,
        skin.numpy(),
        (pulse * skin).sum((1, 2)).numpy() / np.maximum(total.numpy(), 1.0),
        np.stack([cv2.resize(one, (columns, rows), interpolation=cv2.INTER_AREA) for one in pulse.numpy()]),
    )
