"""How a synthetic person and the camera move: small natural sway, the paper's tasks A to D, talk, blinks, hands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Task = Literal["A", "B", "C", "D"]
Track = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Motion per frame, each (T,).

    yaw, pitch, roll: of the head, rad. x, y, scale: its shift and size, relative to its half height. jaw (open), blink,
    smile, brow (raised): in [0, 1]. camera_x, camera_y: shift, relative to the picture's height.
    """

    yaw: Track
    pitch: Track
    roll: Track
    x: Track
    y: Track
    scale: Track
    jaw: Track
    blink: Track
    camera_x: Track
    camera_y: Track
    smile: Track
    brow: Track

    @classmethod
    def none(cls, frames: int) -> Motion:
        """No motion at all."""
        zero = np.zeros(frames)
        return cls(**{f.name: zero + (f.name == "scale") for f in fields(cls)})


def wander(rng: np.random.Generator, t: Track, rms: float, slow: float) -> Track:
    """A random path of given RMS whose changes take about ``slow`` seconds. t: (T,) s, uniform. Returns (T,)."""
    dt = float(t[1] - t[0])
    pad = int(6 * slow / dt) + 8
    path = ndimage.gaussian_filter1d(rng.standard_normal(len(t) + 2 * pad), max(slow / dt / 2, 0.5))
    return np.asarray(path / (path.std() + 1e-12) * rms)[pad : pad + len(t)]


def yaw_of_task(task: Task, rng: np.random.Generator, t: Track) -> Track:
    """The paper's head rotation (section 4), rad.

    A: still. B, C: a sweep over 120 degrees at 10 and 30 degrees/s. D: a jump each second.
    """
    if task == "A":
        return np.zeros_like(t)
    if task == "D":
        targets = np.deg2rad(rng.integers(-3, 4, int(t[-1] - t[0]) + 3) * 20.0)
        path = targets[np.floor(t - t[0]).astype(int)]
        # a quick reorientation takes about a quarter of a second
        return np.asarray(ndimage.gaussian_filter1d(path, 0.12 / (t[1] - t[0]), mode="nearest"))
    speed = np.deg2rad(10.0 if task == "B" else 30.0)
    span = np.deg2rad(60.0)
    phase = (speed * t + rng.uniform(0, 4 * span)) % (4 * span)
    return np.asarray(np.where(phase < 2 * span, phase - span, 3 * span - phase))


def random_motion(rng: np.random.Generator, t: Track, task: Task | None = None) -> Motion:
    """Natural motion at times t, (T,) s.

    task None: any mixture, from a person who hardly moves to one who talks and turns before a hand-held camera. With a
    task the head turns as it says, and otherwise only sways and blinks a little.
    """
    zero = np.zeros(len(t))
    lively = 0.3 if task else float(np.exp(rng.uniform(np.log(0.1), np.log(3.0))))

    def sway(rms: float) -> Track:
        return (
            rms * lively * (wander(rng, t, 0.7, 1.5) + wander(rng, t, 0.5, 0.5) + wander(rng, t, 0.12, 0.12))
        )

    yaw, pitch, roll = sway(0.03), sway(0.025), sway(0.015)
    chosen = task
    if chosen is None and rng.random() < 0.3:
        chosen = ("B", "C", "D")[int(rng.integers(3))]
    if chosen is not None:
        yaw = yaw + yaw_of_task(chosen, rng, t)
    jaw = smile = brow = camera_x = camera_y = zero
    if task is None:
        yaw, pitch = yaw + rng.normal(0, 0.2), pitch + rng.normal(0, 0.12)
        roll = roll + rng.normal(0, 0.08)
        if rng.random() < 0.25:
            jaw = talk(rng, t)
        if rng.random() < 0.25:
            smile = np.clip(wander(rng, t, 0.6, 0.8) + rng.uniform(-0.3, 0.5), 0, 1)
        if rng.random() < 0.2:
            brow = np.clip(wander(rng, t, 0.7, 0.4) - 0.3, 0, 1)
        if rng.random() < 0.35:
            camera_x, camera_y = hand_held(rng, t, float(np.exp(rng.uniform(np.log(0.001), np.log(0.02)))))
    blinks = blink(rng, t, float(rng.uniform(0.1, 0.5)))
    return Motion(
        yaw,
        pitch,
        roll,
        sway(0.03),
        sway(0.02),
        1 + sway(0.015),
        jaw,
        blinks,
        camera_x,
        camera_y,
        smile,
        brow,
    )


def talk(rng: np.random.Generator, t: Track) -> Track:
    """Opening of the jaw, in [0, 1], of someone who speaks in sentences: some five syllables a second, and pauses."""
    sentence = np.clip(wander(rng, t, 1.0, 1.0) + 0.3, 0, 1)
    return np.asarray(np.clip(sentence * np.abs(wander(rng, t, 0.6, 0.1)), 0, 1))


def blink(rng: np.random.Generator, t: Track, rate: float) -> Track:
    """Blinks, in [0, 1], about ``rate`` a second, each a seventh of a second long."""
    shut = np.zeros(len(t))
    for start in np.flatnonzero(rng.random(len(t)) < rate * float(t[1] - t[0])):
        shut = np.maximum(shut, np.exp(-0.5 * ((t - t[start]) / 0.06) ** 2))
    return shut


def hand_held(rng: np.random.Generator, t: Track, strength: float) -> tuple[Track, Track]:
    """Shift of a camera in someone's hand along x and y, of about that RMS, picture heights: slow sway and tremor."""
    x, y = (strength * (wander(rng, t, 1, 1.0) + wander(rng, t, 0.15, 0.12)) for _ in range(2))
    return x, y
