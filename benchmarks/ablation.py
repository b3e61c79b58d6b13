"""What each part of the `steady` ascent is worth, on synthetic people whose pulse is known.

Every variant magnifies the same clips (a face as the live view crops it, 144x144 px through a sensor of 8 bits, reduced
to 36x36) through the offline filter, in the paper's band; one thing is changed at a time. Per task A to D, the median
over people of: coherence (the face's added green against the true blood volume), blocks (the same for each reduced
pixel of skin), leak (what is added outside the skin / inside) and gain (of the true pulse, at gain 10).
The people are drawn with seeds of their own, so no network has seen them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.amplitude import Amplitudes, RunningAmplitudes
from deepmag.models.direction import pulse_direction
from deepmag.models.magnify import log_factors
from deepmag.models.pulse_estimate import RunningEstimate, seen_beside
from deepmag.models.representation import L, normalized_difference, reduce_frame
from deepmag.models.running_difference import SPAN, centred_difference
from deepmag.models.steady import REFERENCE_GAIN, ascend_symmetric
from deepmag.models.step_size import STEADY_ITERATIONS, gamma_for_rate
from deepmag.models.synthetic.clip import NOISE
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.motion import Task
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.render import GAMMA
from deepmag.models.synthetic.scene import random_scene, render
from deepmag.models.synthetic.sensor import Sensor
from deepmag.models.temporal import PULSE_BAND, zero_phase
from deepmag.models.weights import PULSE

TASKS: tuple[Task, ...] = ("A", "B", "C", "D")
SEED = 7_000_000  # of the first person; training counts from 1
TONES = (0.1, 0.35, 0.6, 0.85)  # melanin, taken in turn
PULSE_DEPTH = 0.010  # of the lightest skin, peak to peak
SIDE = 144  # px: four by four for each reduced pixel
CHUNK = 8  # frames rendered at once
SKIN, NO_SKIN = 0.9, 0.02  # a reduced pixel is skin above the first share, and is not below the second
Floats = np.ndarray


@dataclass(frozen=True)
class Variant:
    """One way to ascend.

    memory: s over which the gradient is averaged, 0 is none. blur: reduced pixels, of it. project: on the colour of
    blood; without it the skin's colour and the pixels' amplitudes are not looked at either. span: s over
    which X is averaged, 0 is none. skin: whether the skin's own change is followed beside the network. rate: Hz.
    noise: times an ordinary webcam's. bits: of H.264 per pixel, 0 is no compression.
    """

    name: str
    mode: str = "steady"
    memory: float = 1.0
    span: float = SPAN
    blur: float = 0.7
    project: bool = True
    colour: bool = True
    amplitudes: bool = True
    skin: bool = True
    symmetry: Literal["both", "odd", "none"] = "both"
    iterations: int = STEADY_ITERATIONS
    rate: float = 30.0
    noise: float = 1.0
    bits: float = 0.0


BASE = Variant("as shipped")
VARIANTS = (
    BASE,
    replace(BASE, name="X of single pairs", span=0.0),
    replace(BASE, name="X averaged over 0.1 s", span=0.1),
    *(replace(BASE, name=f"gradient averaged over {s:g} s", memory=s) for s in (0.0, 0.25, 0.5, 2.0, 4.0)),
    replace(BASE, name="not projected on the colour of blood", project=False),
    replace(BASE, name="the skin's colour not looked at", colour=False),
    replace(BASE, name="pixels' amplitudes not looked at", amplitudes=False),
    replace(BASE, name="neither of both", colour=False, amplitudes=False),
    replace(BASE, name="the network alone followed", skin=False),
    replace(BASE, name="no blur of the direction", blur=0.01),
    replace(BASE, name="blur of 1.5 reduced pixels", blur=1.5),
    replace(BASE, name="the network's odd part, without its mirror image", symmetry="odd"),
    replace(BASE, name="the network as it is", symmetry="none"),
    replace(BASE, name="N = 5", iterations=5),
    replace(BASE, name="N = 20", iterations=20),
    replace(BASE, name="paper (Eq. 4), N = 20", mode="paper"),
    *(replace(BASE, name=f"{rate:g} frames/s", rate=rate) for rate in (15.0, 20.0)),
    *(
        replace(BASE, name=f"{rate:g} frames/s{name}", rate=rate, span=span)
        for rate in (60.0, 120.0)
        for name, span in (("", SPAN), (", X of single pairs", 0.0))
    ),
    *(replace(BASE, name=f"{times:g} times the noise", noise=times) for times in (0.3, 2.0, 4.0)),
    *(replace(BASE, name=f"H.264, {bits:g} bit per pixel", bits=bits) for bits in (0.8, 0.4, 0.2, 0.1)),
)


@dataclass(frozen=True)
class Clip:
    """small: (T, 3, L, L) grey levels. skin: (T, L, L). depth: (T,) true relative pulse of the skin's green."""

    small: Floats
    skin: Floats
    depth: Floats


def make_clip(task: Task, person: int, seconds: float, rate: float, noise: float, bits: float) -> Clip:
    """One clip: same seed, same person and take."""
    rng = np.random.default_rng(SEED + person)
    melanin = TONES[person % len(TONES)]
    pulse = PULSE_DEPTH * (1 - 0.55 * melanin)
    scene = random_scene(
        rng, round(seconds * rate), rate, person=Person(SEED + person, melanin, pulse), task=task
    )
    sensor, pictures, skin = Sensor(NOISE * noise), [], []
    for start in range(0, len(scene.t), CHUNK):
        rendered = render(scene, SIDE, SIDE, slice(start, start + CHUNK))
        pictures += [
            sensor.expose(np.ascontiguousarray(picture), sensor.grain(rng, SIDE, SIDE))
            for picture in rendered.video.permute(0, 2, 3, 1).numpy()
        ]
        skin.append(torch.nn.functional.avg_pool2d(rendered.skin, SIDE // L).numpy())
    video = np.stack(pictures)
    if bits:
        video, _ = h264(video, rate, bits * SIDE * SIDE * rate)
    small = np.stack([reduce_frame(picture) for picture in video])
    # more blood is less light; the camera's response makes a change of light 1 / GAMMA of it
    depth = -0.5 * (scene.pulse + scene.late_pulse) * pulse / GAMMA
    return Clip(small, np.concatenate(skin), depth)


def directions(small: Floats, x: Floats, y: Floats, gradient: Floats, variant: Variant) -> Floats:
    """The causal direction for each pair: from the gradients of the pairs before it.

    small: (P, 3, L, L), each pair's later picture; x, gradient: (P, 3, L, L); y: (P,).
    """
    found = np.zeros_like(gradient)
    amplitudes, mean, weight = RunningAmplitudes(), np.zeros_like(gradient[0]), 0.0
    share = 1 - np.exp(-1 / variant.rate / variant.memory) if variant.memory else 1.0
    for i, own in enumerate(gradient):
        if variant.memory == 0:  # this pair's own gradient
            mean, weight = own, 1.0
        if weight:
            found[i] = _direction(mean / np.float32(weight), small[i], amplitudes.current(), variant)
        mean = mean + np.float32(share) * (own - mean)
        weight += share * (1 - weight)
        amplitudes.update(x[i], float(y[i]), 1, variant.rate)
    return found


def _direction(mean: Floats, picture: Floats, amplitudes: Amplitudes | None, variant: Variant) -> Floats:
    if not variant.project:
        return mean / max(float((mean**2).sum()), 1e-12)
    return pulse_direction(
        mean,
        picture if variant.colour else None,
        amplitudes if variant.amplitudes else None,
        variant.blur,
    )


def steps_of(ascent: Ascender, clip: Clip, variant: Variant) -> Floats:
    """What the ascent adds to X of each pair, (P, 3, L, L)."""
    x = normalized_difference(clip.small[:-1], clip.small[1:]).astype(np.float32)
    if variant.mode == "paper":
        return ascent.paper(x, gamma_for_rate(variant.rate))[0]
    x = centred_difference(x, np.ones(len(x), np.int64), slice(0, len(x)), variant.rate, variant.span)
    nothing = np.zeros_like(x)
    y, gradient = _ascend(ascent, x, nothing, 0.0, variant)[1:]
    along = directions(clip.small[1:], x, y, gradient, variant)
    growth = REFERENCE_GAIN ** (1 / (variant.iterations - 1)) - 1
    pulse = followed(clip.small[1:], x, y, along, variant.rate) if variant.skin else y
    if variant.iterations == STEADY_ITERATIONS:
        return np.float32(growth) * pulse[:, None, None, None] * along
    follows = pulse / np.where(y == 0.0, np.float32(1.0), y)
    return follows[:, None, None, None] * _ascend(ascent, x, along, growth, variant)[0]


def followed(small: Floats, x: Floats, y: Floats, along: Floats, rate: float) -> Floats:
    """The pulse of each pair as it is followed live, (P,). Arguments as in `directions`; along: (P, 3, L, L) of it."""
    estimate, found = RunningEstimate(), y.copy()
    for i, seen in enumerate(map(seen_beside, x, small, along)):
        if seen is not None:
            found[i] = estimate.update(float(y[i]), *seen, 1, rate)
    return found


def _ascend(
    ascent: Ascender, x: Floats, along: Floats, growth: float, variant: Variant
) -> tuple[Floats, Floats, Floats]:
    if variant.symmetry == "none":
        return ascent.steady(x, along, growth)
    return ascend_symmetric(ascent, x, along, growth, mirrored=variant.symmetry == "both")


def judge(clip: Clip, factors: Floats, rate: float) -> dict[str, float]:
    """Scores of one clip. factors: (T, 3, L, L) log factors."""
    edge = round(1.5 * rate)
    inner = slice(edge, len(factors) - edge)
    green, skin = factors[inner, 1], clip.skin[inner]
    truth = zero_phase(clip.depth, PULSE_BAND, rate)[inner]
    face = (green * skin).sum((1, 2)) / skin.sum((1, 2))
    alive = (skin > SKIN).mean(0) > 0.9
    blocks = [np.corrcoef(green[:, i, j], truth)[0, 1] for i, j in zip(*np.nonzero(alive), strict=True)]
    added = green * clip.small[inner, 1]
    inside, outside = skin > SKIN, skin < NO_SKIN
    return {
        "coherence": float(np.corrcoef(face, truth)[0, 1]),
        "blocks": float(np.median(blocks)) if blocks else float("nan"),
        "leak": float(np.sqrt((added[outside] ** 2).mean() / (added[inside] ** 2).mean())),
        "gain": float(1 + (face * truth).sum() / (truth**2).sum()),
    }


def run(people: int, seconds: float, weights: Path, report: Any = lambda _line: None) -> dict[str, Any]:
    """Scores per variant and task: the median over people."""
    result: dict[str, Any] = {}
    clips: dict[tuple[Any, ...], Clip] = {}
    for variant, following in zip(VARIANTS, (*VARIANTS[1:], BASE), strict=True):
        iterations = variant.iterations if variant.mode == "steady" else STEADY_ITERATIONS
        ascent = open_ascender(weights, device="cpu", steady_iterations=iterations)
        rows = {}
        for task in TASKS:
            scores = []
            for person in range(people):
                key = (task, person, variant.rate, variant.noise, variant.bits)
                if key not in clips:
                    clips[key] = make_clip(*key[:2], seconds, *key[2:])
                steps = steps_of(ascent, clips[key], variant)
                scores.append(judge(clips[key], log_factors(steps, variant.rate), variant.rate))
            rows[task] = {name: _median([s[name] for s in scores]) for name in scores[0]}
        result[variant.name] = rows
        report(variant.name)
        kept = [(one.rate, one.noise, one.bits) for one in (BASE, following)]
        clips = {key: clip for key, clip in clips.items() if key[2:] in kept}
    return result


def _median(values: list[float]) -> float:
    """Of what is known; NaN where nothing is (no reduced pixel stays skin while a head turns)."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def _cell(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "   -"


def main() -> None:
    """Print one row a variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=8, help="per task")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--weights", type=Path, default=PULSE)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    result = run(
        args.people, args.seconds, args.weights, lambda name: print(name, file=sys.stderr, flush=True)
    )
    if args.json:
        print(json.dumps(result))
        return
    print(
        f"{'':40s}"
        + "".join(f"{f'{score} A / B / C / D':>30s}" for score in ("coherence", "blocks", "leak", "gain"))
    )
    for name, rows in result.items():
        cells = [
            " / ".join(_cell(rows[task][score]) for task in TASKS)
            for score in ("coherence", "blocks", "leak", "gain")
        ]
        print(f"{name:40s}" + "".join(f"{cell:>30s}" for cell in cells))


if __name__ == "__main__":
    main()
