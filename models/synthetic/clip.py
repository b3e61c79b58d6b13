"""A judged clip: a synthetic person as a camera delivers them, with the truth, and the same with a larger pulse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.layers import TRAINED_HALF_HEIGHT
from deepmag.models.synthetic.motion import Task
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, random_scene, render
from deepmag.models.synthetic.sensor import Sensor
from deepmag.models.synthetic.waveforms import Rhythm, beat_phase

HALF_HEIGHT = (
    0.275  # of the head, as a share of the picture's height: head and shoulders, as in the paper's Fig. 4
)
NOISE = 1.3  # grey levels at middle grey, one photosite: an ordinary webcam in a lit room
CHUNK = 1_000_000  # px rendered at once, which bounds the memory: about 100 bytes each


@dataclass(frozen=True)
class SyntheticClip:
    """A clip and its truth.

    video: (T, H, W, 3) RGB, what the camera delivers. ideal: the same with its pulse ``factor`` times larger, with the
    same noise and never compressed, or None. skin: (T, H, W) in [0, 1], cover by skin that pulses. blood: (T,) blood
    volume, mean over the face, peak-to-peak about 1. respiration: (T,) chest expansion in [-1, 1]. bpm, breaths: true
    mean rates, per minute. rate: Hz. region: (x, y, w, h) px, the square that a network should look at, the same for
    the whole clip. bit_rate: bits per second that the codec produced, or None.
    """

    video: NDArray[np.uint8]
    ideal: NDArray[np.uint8] | None
    factor: float
    skin: NDArray[np.float32]
    blood: NDArray[np.float64]
    respiration: NDArray[np.float64]
    bpm: float
    breaths: float
    rate: float
    region: tuple[int, int, int, int]
    person: Person
    bit_rate: float | None = None


def make_clip(
    task: Task,
    *,
    seed: int,
    seconds: float = 10.0,
    rate: float = 30.0,
    size: tuple[int, int] = (320, 240),
    melanin: float | None = None,
    bpm: float | None = None,
    factor: float | None = None,
    noise: float = 1.0,
    bit_rate: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> SyntheticClip:
    """A person, head and shoulders, in steady light, who does one of the paper's tasks A to D.

    The same seed is the same clip. size: (width, height), px. melanin: in [0, 1]; bpm: beats per minute; both drawn
    where not given. factor: of the ideal video's pulse; None makes no ideal. noise: times an ordinary webcam's.
    bit_rate: bits per second of H.264; None is no compression. progress(done, frames) is called as frames are made.
    Raises ValueError for a clip of less than two frames.
    """
    width, height = size
    frames = round(seconds * rate)
    if frames < 2:
        raise ValueError(f"a clip needs at least two frames: {seconds} s at {rate} Hz has {frames}")
    rng = np.random.default_rng([seed, ord(task)])
    person = Person.random(rng, melanin=melanin, good_light=True)
    rhythm = Rhythm.random(rng)
    if bpm is not None:
        rhythm = replace(rhythm, bpm=bpm)
    framing = Framing(0.5, 0.43, HALF_HEIGHT, width / height)
    scene = random_scene(
        rng, frames, rate, framing=framing, person=person, rhythm=rhythm, task=task, steady_light=True
    )
    gains = (1.0,) if factor is None else (1.0, factor)
    sensor = Sensor(NOISE * noise)
    video = np.empty((frames, height, width, 3), np.uint8)
    ideal = None if factor is None else np.empty_like(video)
    skin = np.empty((frames, height, width), np.float32)
    step = max(1, CHUNK // (width * height))
    for start in range(0, frames, step):
        drawn = render(scene, height, width, slice(start, start + step), device, pulse_gains=gains)
        pictures = [_channels_last(v) for v in (drawn.video, *drawn.magnified)]
        skin[start : start + step] = drawn.skin.cpu().numpy()
        for i in range(len(pictures[0])):
            grain = sensor.grain(rng, height, width)
            video[start + i] = sensor.expose(pictures[0][i], grain)
            if ideal is not None:
                ideal[start + i] = sensor.expose(pictures[1][i], grain)
        if progress is not None:
            progress(min(start + step, frames), frames)
    produced = None
    if bit_rate is not None:
        video, produced = h264(video, rate, bit_rate)
    beats = beat_phase(rhythm, scene.t)
    duration = float(scene.t[-1] - scene.t[0])
    side = round(HALF_HEIGHT / TRAINED_HALF_HEIGHT * height)
    return SyntheticClip(
        video,
        ideal,
        1.0 if factor is None else factor,
        skin,
        0.5 * (scene.pulse + scene.late_pulse),
        scene.chest,
        float(beats[-1] - beats[0]) / duration * 60,
        rhythm.breaths,
        rate,
        (round(framing.x * width - side / 2), round(framing.y * height - 0.46 * side), side, side),
        person,
        produced,
    )


def _channels_last(video: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(video.permute(0, 2, 3, 1).cpu().numpy())
