"""A judged clip: a synthetic person as a camera delivers them, with the truth, and the same with a larger pulse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.disturbed import Disturbances, disturbed
from deepmag.models.synthetic.layers import TRAINED_HALF_HEIGHT
from deepmag.models.synthetic.motion import Task
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.scene import Framing, Scene, patterned_background, random_scene, render
from deepmag.models.synthetic.sensor import Sensor
from deepmag.models.synthetic.waveforms import Rhythm, beat_phase

# Of the head, as a share of the picture's height: head and shoulders, as in the paper's Fig. 4.
HALF_HEIGHT = 0.275
NOISE = 1.3  # grey levels at middle grey, one photosite: an ordinary webcam in a lit room
CHUNK = 1_000_000  # px rendered at once, which bounds the memory: about 100 bytes each
SMALLEST = 16  # px: less is no picture, and no codec takes it
UNDISTURBED = Disturbances()


@dataclass(frozen=True)
class SyntheticClip:
    """A clip and its truth.

    video: (T, H, W, 3) RGB, what the camera delivers. ideal: the same with its pulse ``factor`` and its breathing
    ``breath_factor`` times larger, with the same noise and never compressed, or None. skin: (T, H, W) in [0, 1], cover
    by skin that pulses. blood: (T,) blood volume, mean over the face, peak-to-peak about 1. respiration: (T,) chest
    expansion in [-1, 1]. bpm, breaths: true mean rates, per minute. rate: Hz. region: (x, y, w, h) px, the square that
    a network should look at, the same for the whole clip. bit_rate: bits per second that the codec produced, or None.
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
    breath_factor: float = 1.0


def make_clip(
    task: Task,
    *,
    seed: int,
    seconds: float = 10.0,
    rate: float = 30.0,
    size: tuple[int, int] = (320, 240),
    melanin: float | None = None,
    bpm: float | None = None,
    breaths: float | None = None,
    factor: float | None = None,
    noise: float = 1.0,
    bit_rate: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
    breath_factor: float = 1.0,
    disturbances: Disturbances = UNDISTURBED,
    wall: int | None = None,
) -> SyntheticClip:
    """A person, head and shoulders, in steady light, who does one of the paper's tasks A to D.

    The same seed is the same clip, and in all tasks the same person, rhythm, light, exposure and sensor noise: only
    motion and background depend on the task. size: (width, height), px. melanin: in [0, 1]; bpm, breaths: per minute;
    all drawn where not given. factor: of the ideal video's pulse; breath_factor: of its breathing; without either there
    is no ideal. noise: times an ordinary webcam's. bit_rate: bits per second of H.264; None is no compression.
    disturbances: what happens besides, in the video and in the ideal. wall: seed of a patterned wall; where not given,
    A and D have one each, B and C are before black. progress(done, frames) is called as frames are made. Raises
    ValueError for a clip of less than two frames and for values that nobody has.
    """
    width, height = size
    _check(task, seed, seconds, rate, size, melanin, bpm, breaths, factor, noise, bit_rate, breath_factor)
    frames = round(seconds * rate)
    if frames < 2:
        raise ValueError(f"a clip needs at least two frames: {seconds} s at {rate} Hz has {frames}")
    # streams of their own, so that tasks can be compared person by person: what someone does, where, and what disturbs
    # them decides nothing about who they are
    rng, stage = np.random.default_rng([seed]), np.random.default_rng([seed, ord(task)])
    person = Person.random(rng, melanin=melanin, good_light=True)
    rhythm = Rhythm.random(rng)
    if bpm is not None:
        rhythm = replace(rhythm, bpm=bpm)
    if breaths is not None:
        rhythm = replace(rhythm, breaths=breaths)
    framing = Framing(0.5, 0.43, HALF_HEIGHT, width / height)
    background = None
    if wall is not None:
        background = patterned_background(np.random.default_rng([wall, 2]))
    scene = random_scene(
        rng,
        frames,
        rate,
        background=background,
        framing=framing,
        person=person,
        rhythm=rhythm,
        task=task,
        steady_light=True,
        stage=stage,
    )
    scene = disturbed(scene, disturbances, np.random.default_rng([seed, 1]), device)
    sensor = Sensor(NOISE * noise)
    video = np.empty((frames, height, width, 3), np.uint8)
    ideal = None if factor is None and breath_factor == 1 else np.empty_like(video)
    skin = np.empty((frames, height, width), np.float32)
    step = max(1, CHUNK // (width * height))
    for start in range(0, frames, step):
        part = slice(start, start + step)
        pictures, skin[part] = _draw(
            scene, height, width, part, device, 1.0 if factor is None else factor, breath_factor
        )
        for i in range(len(pictures[0])):
            grain = sensor.grain(rng, height, width)
            video[start + i] = sensor.expose(pictures[0][i], grain)
            if ideal is not None:
                ideal[start + i] = sensor.expose(pictures[-1][i], grain)
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
        breath_factor,
    )


def _check(
    task: str,
    seed: int,
    seconds: float,
    rate: float,
    size: tuple[int, int],
    melanin: float | None,
    bpm: float | None,
    breaths: float | None,
    factor: float | None,
    noise: float,
    bit_rate: float | None,
    breath_factor: float,
) -> None:
    """Raises ValueError that says in words which value is out of its range. NaN is out of every range."""
    if task not in ("A", "B", "C", "D"):
        raise ValueError(f"the tasks are A, B, C and D, not {task!r}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")
    if min(size) < SMALLEST:
        raise ValueError(f"a clip has at least {SMALLEST} px in width and height, not {size[0]} x {size[1]}")
    for name, value, low, high, unit in (
        ("the length", seconds, 0, math.inf, " s"),
        ("the frame rate", rate, 1, 1000, " Hz"),
        ("melanin", melanin, 0, 1, ""),
        ("the pulse rate", bpm, 20, 300, " beats per minute"),
        ("the breathing rate", breaths, 2, 100, " breaths per minute"),
        ("the ideal's pulse", factor, 0, math.inf, " times the person's"),
        ("the ideal's breath", breath_factor, 0, math.inf, " times the person's"),
        ("the noise", noise, 0, math.inf, " times a webcam's"),
        ("the bit rate", bit_rate, 1000, math.inf, " bits per second"),
    ):
        if value is not None and not (low <= value <= high and math.isfinite(value)):
            allowed = f"{low}{unit} or more" if high == math.inf else f"{low} to {high}{unit}"
            raise ValueError(f"{name} is {allowed}, not {value}")


def _draw(
    scene: Scene, height: int, width: int, part: slice, device: str, factor: float, breath_factor: float
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Noiseless pictures (T, H, W, 3), of the take and of its ideal, and the skin (T, H, W)."""
    if breath_factor == 1:  # the same rays, shaded twice
        gains = (1.0,) if factor == 1 else (1.0, factor)
        drawn = render(scene, height, width, part, device, pulse_gains=gains)
        videos = [drawn.video, *drawn.magnified]
    else:
        drawn = render(scene, height, width, part, device)
        larger = scene.with_breath_times(breath_factor).with_pulse_times(factor)
        videos = [drawn.video, render(larger, height, width, part, device).video]
    return [_channels_last(video) for video in videos], drawn.skin.cpu().numpy()


def _channels_last(video: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(video.permute(0, 2, 3, 1).cpu().numpy())
