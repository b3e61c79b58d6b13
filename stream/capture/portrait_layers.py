"""The four pictures that the demo's person is made of. They are painted by the generator of synthetic people.

Painting takes torch, whose import takes longer than all else before the demo's first picture. So those of the usual
size come with the package, as one picture: each below the other.

    python -c "from deepmag.stream.capture.portrait_layers import main; main()"     makes that file again
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 42
PERSON = 51  # someone whose forehead and cheeks are free
LAMPS = ((-0.45, 0.50, 0.74, 0.65), (0.80, 0.20, 0.55, 0.20))  # direction and power: a window and a wall
AMBIENT, EXPOSURE = 0.45, 0.95
PULSE = 0.012  # peak-to-peak relative change of the skin's green light: a well-lit, fair face
KEPT = Path(__file__).with_name("portrait.png")
KEPT_SIZE = (640, 480)  # px
STEPS = 450.0  # that a grey level of blood is kept in: it darkens by half a level at most


class Layers(NamedTuple):
    """Each (H, W, 3) float32, grey levels, RGB. early, late: what a unit of early and of late blood adds."""

    eyes_open: NDArray[np.float32]
    eyes_shut: NDArray[np.float32]
    early: NDArray[np.float32]
    late: NDArray[np.float32]


def layers(size: tuple[int, int]) -> Layers:
    """Of a size, (width, height), px."""
    return _read() if size == KEPT_SIZE else paint(size)


def paint(size: tuple[int, int]) -> Layers:
    """Render them in full."""
    from deepmag.models.synthetic.person import Person
    from deepmag.models.synthetic.scene import Framing, plain_wall, random_scene, render

    width, height = size
    framing = Framing(x=0.5, y=0.44, half_height=0.33, aspect=width / height)
    rng, person = np.random.default_rng(SEED), Person(PERSON, 0.19, PULSE)
    scene = random_scene(rng, 2, 30.0, framing=framing, person=person, still=True, background=plain_wall())
    scene = replace(scene, lamps=np.array(LAMPS), ambient=AMBIENT, exposure=EXPOSURE)
    zero = np.zeros(2)

    def draw(early: float, late: float, blink: float) -> NDArray[np.float32]:
        motion = replace(scene.motion, blink=zero + blink)
        take = replace(scene, pulse=zero + early, late_pulse=zero + late, motion=motion, chest=zero)
        video = render(take, height, width, slice(0, 1)).video
        return np.ascontiguousarray(video[0].permute(1, 2, 0).numpy())

    neutral = draw(0.0, 0.0, 0.0)
    return Layers(neutral, draw(0.0, 0.0, 1.0), draw(1.0, 0.0, 0.0) - neutral, draw(0.0, 1.0, 0.0) - neutral)


def _read() -> Layers:
    picture = cv2.imread(str(KEPT), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{KEPT.name} is missing: install deepmag again")
    parts = np.split(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32), 4)
    return Layers(parts[0], parts[1], parts[2] / np.float32(-STEPS), parts[3] / np.float32(-STEPS))


def main() -> None:
    """Paint those of the usual size and keep them."""
    made = paint(KEPT_SIZE)
    parts = [made.eyes_open, made.eyes_shut, -STEPS * made.early, -STEPS * made.late]
    picture = np.clip(np.rint(np.concatenate(parts)), 0, 255).astype(np.uint8)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(KEPT), bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{KEPT} could not be written")
