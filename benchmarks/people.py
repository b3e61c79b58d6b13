"""Synthetic people with the rhythms of real ones before a camera, with one thing made worse at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from negatives import Image
from numpy.typing import NDArray

from deepmag.models.synthetic.assets import load_rhythm, load_tracks
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.disturbances import auto_exposure, white_balance
from deepmag.models.synthetic.disturbed import exposed
from deepmag.models.synthetic.motion import hand_held, talk, wander
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.recorded import RecordedRhythm
from deepmag.models.synthetic.scene import Framing, Rendered, Scene, random_scene, render
from deepmag.models.synthetic.sensor import Sensor

FPS, SECONDS, SIZE = 15.0, 42.0, (640, 480)
CHUNK = 16  # frames rendered at once
PERSON = 3
NOD = 0.01  # rad
SHAKE = 0.004  # of the picture's height, RMS: a camera in a hand
# From and to when, s, they go how far to the right, half head heights: a step, or out of the picture and back again.
WALKS = {"aside": ((10.0, 11.0, 0.7),), "away": ((8.0, 9.0, 5.0), (16.0, 17.0, -5.0))}

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Take:
    """What somebody's pulse is seen by. pulse: peak-to-peak share of green light. noise: grey levels of a photosite.

    half: height of half the head, of the picture's. coded: JPEG's quality up to 100, or H.264's bits a second, with a
    key frame each ``key`` s. person: who, and seed: by what chance noise and disturbances are as they are.
    """

    rhythm: str = "PPG"
    pulse: float = 0.012
    melanin: float = 0.15
    half: float = 0.275
    exposure: float = 0.85
    noise: float = 1.3
    coded: float | None = None
    disturbance: str = ""
    person: int = PERSON
    size: tuple[int, int] = SIZE
    seed: int = 0
    key: float = 4.0


# One thing worse than in a plain take, each; for rates and for pictures alike.
WORSE = {
    "talking": Take(disturbance="talk"),
    "head as recorded": Take(disturbance="track"),
    "light drifts by 5 %": Take(disturbance="drift"),
    "the same, exposure follows": Take(disturbance="exposure"),
    "white balance hunts": Take(disturbance="white balance"),
    "head of a quarter's height": Take(half=0.12),
    "dim, noise 3": Take(exposure=0.25, noise=3.0),
    "pulse of 0.3 %": Take(pulse=0.003),
    "melanin 0.6, pulse of 0.8 %": Take(melanin=0.6, pulse=0.008),
    "melanin 0.9, pulse of 0.6 %": Take(melanin=0.9, pulse=0.006),
    "JPEG of quality 95": Take(coded=95),
    "JPEG of quality 80": Take(coded=80),
    "H.264 of 4 Mb/s": Take(coded=4e6),
    "H.264 of 2 Mb/s": Take(coded=2e6),
    "H.264 of 1 Mb/s": Take(coded=1e6),
}


def beating(beats: Wave, rate: float = 100.0) -> Wave:
    """Blood volume at ``rate`` Hz of beats at those times, s."""
    age = np.arange(0, beats[-1], 1 / rate)[:, np.newaxis] - beats
    quick = (1 - np.exp(-np.maximum(age, 0) / 0.08)) * np.exp(-np.maximum(age, 0) / 0.45)
    return np.asarray((quick + 0.25 * np.exp(-0.5 * ((age - 0.4) / 0.09) ** 2)).sum(axis=1))


def rhythm(name: str, data: Path) -> tuple[RecordedRhythm, Wave]:
    """A pulse and when it beats, s. Of the contact signals the recordings' own marks, else the wave's peaks."""
    if name.startswith("wave"):
        found = load_rhythm(data / "waveforms" / f"real_wave_{name[-1]}.npz")
        return found, beats_of(found)
    stored = scipy.io.loadmat(data / "waveforms" / f"{name}Data.mat")[name][0, 0]
    rate = float(stored["fs"].item())
    beats = (stored["peaks"].ravel() - 1) / rate
    wave = stored["data"].ravel().astype(float) if name == "PPG" else beating(beats)
    rate = rate if name == "PPG" else 100.0
    return RecordedRhythm(wave, np.sin(2 * np.pi * 0.24 * np.arange(len(wave)) / rate), rate), beats


def beats_of(recorded: RecordedRhythm) -> Wave:
    """Where a recording's phase is whole, s."""
    t = np.arange(0, SECONDS + 1, 0.01)
    phase = recorded.beat_phase(t)
    return np.interp(np.arange(np.ceil(phase[0]), phase[-1]), phase, t)


def disturbed(scene: Scene, kind: str, data: Path, seed: int = 0) -> Scene:
    """The take with one thing that disturbs it."""
    t, rng = scene.t, np.random.default_rng(8 + 100 * seed)
    if kind == "talk":
        return replace(scene, motion=replace(scene.motion, jaw=talk(rng, t)))
    if kind == "track":
        tracks = load_tracks(data / "waveforms" / "head_tracks48.npz")
        track = tracks[seed % len(tracks)]
        length = len(track.x) / track.rate - 0.05
        return replace(scene, motion=track.applied(scene.motion, length - np.abs(length - t % (2 * length))))
    if kind == "nod":  # evenly, as often as a heart beats
        return replace(scene, motion=replace(scene.motion, pitch=scene.motion.pitch + NOD * np.sin(7.1 * t)))
    if kind == "hand-held":
        x, y = hand_held(rng, t, SHAKE)
        return replace(scene, motion=replace(scene.motion, camera_x=x, camera_y=y))
    if kind in ("aside", "away"):
        x = sum(far * np.clip((t - begin) / (end - begin), 0, 1) for begin, end, far in WALKS[kind])
        return replace(scene, motion=replace(scene.motion, x=scene.motion.x + x))
    if kind == "white balance":
        return replace(scene, light=scene.light * white_balance(rng, t, 2e-3))
    if kind in ("drift", "exposure"):
        scene = replace(scene, light=scene.light * np.exp(wander(rng, t, 0.05, 4.0))[:, np.newaxis])
    return exposed(scene, lambda seen: auto_exposure(seen, t)) if kind == "exposure" else scene


def scene_of(take: Take, heart: RecordedRhythm, data: Path, seconds: float = SECONDS) -> Scene:
    """Who is seen, how they move, in what light."""
    scene = random_scene(
        np.random.default_rng([take.person, 7]),
        round(seconds * FPS),
        FPS,
        framing=Framing(0.5, 0.45, take.half, take.size[0] / take.size[1]),
        person=Person(take.person, take.melanin, take.pulse),
        rhythm=heart,
        task="A",
        steady_light=True,
    )
    return disturbed(replace(scene, exposure=take.exposure), take.disturbance, data, take.seed)


def drawn(take: Take, scene: Scene, gains: tuple[float, ...] = (1.0,)) -> Iterator[Rendered]:
    """A few frames at a time, without noise. gains: by how much the pulse is larger; see `render`."""
    height = 180 if take.half > 0.2 else 240
    for first in range(0, len(scene.t), CHUNK):
        part = slice(first, first + CHUNK)
        yield render(scene, height, round(height * take.size[0] / take.size[1]), part, pulse_gains=gains)


def frames(take: Take, parts: Iterable[Rendered]) -> Iterator[Image]:
    """The pictures as they come out of the camera."""
    sensor, rng = Sensor(take.noise), np.random.default_rng(9 + 100 * take.seed)
    for part in parts:
        for picture in part.video.permute(0, 2, 3, 1).numpy():
            large = cv2.resize(np.ascontiguousarray(picture), take.size, interpolation=cv2.INTER_CUBIC)
            yield sensor.expose(np.asarray(large, np.float32), sensor.grain(rng, *take.size[::-1]))


def coded(pictures: Iterator[Image], take: Take) -> Iterator[Image]:
    """What a codec leaves."""
    how = take.coded
    if how is None:
        yield from pictures
    elif how > 100:
        yield from h264(np.stack(list(pictures)), FPS, how, keyframe_seconds=take.key)[0]
    else:
        for picture in pictures:
            _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(how)])
            yield np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1])
