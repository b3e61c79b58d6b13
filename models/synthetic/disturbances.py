"""What else happens in a room: lamps that flicker, screens, hunting cameras, and people who walk past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.synthetic.motion import wander

if TYPE_CHECKING:
    from collections.abc import Callable

Light = NDArray[np.float64]  # (T, 3) factors on the light of R, G, B


@dataclass(frozen=True)
class Flicker:
    """A lamp on alternating current, seen by a camera that samples it.

    frequency: of the lamp's light, Hz: twice the mains'. depth: of its ripple, relative. exposure: s, over which the
    camera averages. readout: s from the first row to the last of a rolling shutter, which makes bands.
    """

    frequency: float = 100.0
    depth: float = 0.1
    exposure: float = 0.004
    readout: float = 0.0
    phase: float = 0.0

    def factor(self, t: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Light at times t (T, 1, 1), s, on rows (1, H, 1) in [0, 1]; sampling folds it to a slower ripple."""
        left = self.depth * float(np.sinc(self.frequency * self.exposure))
        # in double: hundreds of turns would cost single precision its phase
        turns = self.frequency * (t.double() + self.readout * rows.double())
        return (1 + left * torch.sin(2 * torch.pi * turns + self.phase)).float()

    @classmethod
    def random(cls, rng: np.random.Generator) -> Flicker:
        """A lamp at 50 or 60 Hz, its ripple from hardly there to bad, with or without bands."""
        return cls(
            frequency=float(rng.choice([100.0, 120.0])) + float(rng.normal(0, 0.05)),
            depth=float(np.exp(rng.uniform(np.log(0.002), np.log(0.1)))),
            exposure=float(rng.uniform(0.001, 0.02)),
            readout=float(rng.uniform(0.005, 0.03)) * bool(rng.random() < 0.7),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )


@dataclass(frozen=True)
class Passer:
    """Someone who walks past, behind the person or, ``near``, at the picture's edge before everything.

    start: s, when they are at ``x0``. speed: picture heights a second. x0: picture heights from the picture's middle.
    turn: x at which they turn back, or None. colour, skin: linear RGB. tall: height of the head's centre above the
    middle. size: half the head's height, picture heights.
    """

    start: float
    speed: float
    x0: float
    colour: tuple[float, float, float]
    skin: tuple[float, float, float]
    size: float = 0.12
    tall: float = 0.15
    near: bool = False
    turn: float | None = None

    def where(self, t: torch.Tensor) -> torch.Tensor:
        """Where along x they are at times t, s."""
        x = self.x0 + self.speed * (t - self.start)
        if self.turn is not None:
            side = np.sign(self.speed)
            x = self.turn - side * (side * (x - self.turn)).abs()
        return x

    def paint(self, picture: torch.Tensor, x: torch.Tensor, y: torch.Tensor, t: torch.Tensor) -> None:
        """Lay over a linear picture (3, T, H, W), in place.

        x, y: picture heights from the middle, broadcast to (T, H, W). t: (T, 1, 1) s.
        """
        bob = 0.03 * self.size * torch.sin(2 * torch.pi * 1.8 * t)
        u, v = (x - self.where(t)) / self.size, (y - self.tall - bob) / self.size
        head = 1 - torch.sqrt((u / 0.75) ** 2 + v**2)
        trunk = torch.minimum(1.55 - 0.25 * (v + 1.3).clamp(min=-2) ** 2 * (v > -1.3) - u.abs(), -1.1 - v)
        for inside, colour in ((trunk, self.colour), (head, self.skin)):
            cover = (0.5 + 12 * inside).clamp(0, 1)
            shade = 0.55 + 0.35 * (1 - (u / 1.6).clamp(-1, 1) ** 2)
            paint = torch.tensor(colour, dtype=picture.dtype, device=picture.device)[:, None, None, None]
            picture += cover * (paint * shade - picture)

    @classmethod
    def random(cls, rng: np.random.Generator, seconds: float, aspect: float, *, near: bool = False) -> Passer:
        """Someone on their way through within a take of ``seconds``."""
        side = float(rng.choice([-1.0, 1.0]))
        size = float(rng.uniform(0.3, 0.45)) if near else float(rng.uniform(0.08, 0.2))
        reach = aspect / 2 + 2 * size
        colour = np.exp(rng.uniform(np.log(0.02), np.log(0.5))) * rng.uniform(0.6, 1.4, 3)
        skin = np.exp(rng.uniform(np.log(0.06), np.log(0.5))) * np.array([1.3, 0.9, 0.7])
        return cls(
            start=float(rng.uniform(-0.5, 0.7) * seconds),
            speed=-side * float(rng.uniform(0.3, 1.2)),
            x0=side * reach,
            colour=(float(colour[0]), float(colour[1]), float(colour[2])),
            skin=(float(skin[0]), float(skin[1]), float(skin[2])),
            size=size,
            tall=float(rng.uniform(0.0, 0.3)),
            near=near,
            turn=side * (aspect / 2 + 0.9 * size) if near else None,
        )


def drift(rng: np.random.Generator, t: NDArray[np.float64]) -> Light:
    """Daylight and lamps that wander a little, and one slow or fast ripple."""
    log = wander(rng, t, float(np.exp(rng.uniform(np.log(2e-4), np.log(1e-2)))), 0.8)
    if rng.random() < 0.3:
        ripple = float(np.exp(rng.uniform(np.log(5e-4), np.log(1e-2))))
        log = log + ripple * np.sin(2 * np.pi * rng.uniform(0.3, 7) * t + rng.uniform(0, 7))
    return np.asarray(np.exp(log)[:, None] * np.ones(3))


def screen(rng: np.random.Generator, t: NDArray[np.float64], strength: float = 0.01) -> Light:
    """The light of a screen whose picture changes about once a second, coloured."""
    changes = rng.standard_normal((len(t), 3)) * (rng.random(len(t)) < (t[1] - t[0]))[:, None]
    return np.asarray(np.exp(strength * np.cumsum(changes, 0)))


def white_balance(rng: np.random.Generator, t: NDArray[np.float64], rms: float) -> Light:
    """A white balance that hunts: the colours' gains wander about each other, RMS relative."""
    return np.asarray(np.exp(wander(rng, t, rms, 1.0)[:, None] * rng.standard_normal(3)))


def auto_exposure(
    brightness: Callable[[Light], NDArray[np.float64]],
    t: NDArray[np.float64],
    *,
    target: float | None = None,
    seconds: float = 0.6,
    delay: float = 0.1,
) -> Light:
    """The gain of a camera that steers the mean of its picture towards ``target``, delayed.

    brightness: gives the mean linear light of each frame, (T,), at a given light, here with gain 1. target: of the
    mean; None is what the first frame has. seconds: the loop's time constant; delay: s until a measurement acts.
    Returns (T, 3) factors.
    """
    mean = brightness(np.ones((len(t), 3)))
    goal = np.log(float(mean[0]) if target is None else target)
    step = float(t[1] - t[0])
    late = max(1, round(delay / step))
    share = 1 - np.exp(-step / seconds)
    gain = np.zeros(len(t))
    gain[: min(late, len(t))] = 0.0 if target is None else goal - np.log(mean[0])
    for i in range(late, len(t)):
        # what the camera saw `late` frames ago, with the gain it had then
        error = goal - (np.log(mean[i - late]) + gain[i - late])
        gain[i] = gain[i - 1] + share * error
    return np.asarray(np.exp(gain)[:, None] * np.ones(3))
