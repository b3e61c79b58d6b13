"""Disturbances by choice: talk, a camera in a hand, flicker, someone who walks past, auto-exposure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepmag.models.synthetic.disturbances import Flicker, Light, Passer, auto_exposure
from deepmag.models.synthetic.motion import hand_held, talk
from deepmag.models.synthetic.render import GAMMA
from deepmag.models.synthetic.scene import Scene, render

SHAKIEST = 0.1  # picture heights, RMS: beyond it a camera no longer keeps the person in the picture
METERED_ROWS = 24  # of the rendering from which a camera's meter is read


@dataclass(frozen=True)
class Disturbances:
    """What disturbs a take; by default nothing does.

    talk: the person speaks. hand_held: RMS of the camera's shift, picture heights, 0.001 (elbows on a table) to 0.02
    (walking); 0 is a tripod. flicker: of the lamps. passer_by: someone walks past behind the person, or near the camera
    at the picture's edge. auto_exposure: the camera steers the mean of its picture back to the first frame's.
    """

    talk: bool = False
    hand_held: float = 0.0
    flicker: Flicker | None = None
    passer_by: Literal["behind", "near"] | None = None
    auto_exposure: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for what is no disturbance."""
        if not 0 <= self.hand_held <= SHAKIEST:
            raise ValueError(
                f"a hand-held camera shifts by 0 to {SHAKIEST} of the picture's height, not {self.hand_held}"
            )
        if self.passer_by not in (None, "behind", "near"):
            raise ValueError(f"a passer-by walks behind or near, not {self.passer_by!r}")


def disturbed(
    scene: Scene, disturbances: Disturbances, rng: np.random.Generator, device: str = "cpu"
) -> Scene:
    """The take with those disturbances, and with what it has of others.

    rng: draws how each goes. One that is switched on or off changes none of the others, but for the exposure, which
    answers to what is seen.
    """
    voice, hand, street = rng.spawn(3)
    seconds = float(scene.t[-1] - scene.t[0])
    if disturbances.talk:
        scene = replace(scene, motion=replace(scene.motion, jaw=talk(voice, scene.t)))
    if disturbances.hand_held:
        x, y = hand_held(hand, scene.t, disturbances.hand_held)
        scene = replace(scene, motion=replace(scene.motion, camera_x=x, camera_y=y))
    if disturbances.flicker is not None:
        scene = replace(scene, flicker=disturbances.flicker)
    if disturbances.passer_by is not None:
        walker = Passer.random(street, seconds, scene.framing.aspect, near=disturbances.passer_by == "near")
        # whoever was asked for is seen: half way, at the picture's middle or where they turn back, within the take
        half_way = abs((0.0 if walker.turn is None else walker.turn) - walker.x0) / abs(walker.speed)
        start = seconds * float(street.uniform(0.2, 0.8)) - half_way
        scene = replace(scene, passers=(*scene.passers, replace(walker, start=start)))
    if disturbances.auto_exposure:
        scene = exposed(scene, lambda brightness: auto_exposure(brightness, scene.t), device)
    return scene


def exposed(
    scene: Scene, loop: Callable[[Callable[[Light], NDArray[np.float64]]], Light], device: str = "cpu"
) -> Scene:
    """The take as a camera sees it that sets its own exposure.

    loop: from a function that gives each frame's mean linear light under a given light, to the camera's gain (T, 3);
    see `disturbances.auto_exposure`. The mean is taken from a rendering of `METERED_ROWS` rows.
    """

    def brightness(factor: Light) -> NDArray[np.float64]:
        columns = round(METERED_ROWS * scene.framing.aspect)
        small = render(replace(scene, light=scene.light * factor), METERED_ROWS, columns, device=device).video
        return np.asarray(((small / 255) ** GAMMA).mean((1, 2, 3)).cpu().numpy(), np.float64)

    return replace(scene, light=scene.light * loop(brightness))
