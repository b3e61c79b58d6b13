"""How soon, how often and how rightly a rate is shown for synthetic people who have the rhythms of real ones.

    python benchmarks/true_rates.py [--data ../shared/data] [--person N] [NAME ...]

Pulses of contact PPG and ECG and of four people seen by a camera, in a 640x480 picture of 15 frames a second for 42 s,
one thing made worse at a time; breaths of three of the four for a minute, as they were, slower and faster, which are as
irregular at another rate. truth: the mean a minute. shown: share of the time after 22 s of pulse, 20 s of breath.
first: s. off: from the mean of beats or breaths over the last
10 s or 20 s, in the mean, at the 95th percentile and at worst. far: share of what is shown that is off by more than 3
beats or 2 breaths. jumps: RMS of the number's steps, twice a second of pulse, five times of breath. right: share of
the looks without a rate that had one within 3 beats or 2 breaths of the truth, and did not trust it. Of those without
a pulse the truth is one that cannot be seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from negatives import DATA, Image, outputs, pairs
from numpy.typing import NDArray
from scipy.signal import find_peaks

from deepmag.export.runtime import open_ascender
from deepmag.models.running_difference import delay
from deepmag.models.synthetic.assets import load_rhythm, load_tracks
from deepmag.models.synthetic.breathing import random_breathing
from deepmag.models.synthetic.codec import h264
from deepmag.models.synthetic.disturbances import auto_exposure, white_balance
from deepmag.models.synthetic.disturbed import exposed
from deepmag.models.synthetic.motion import talk, wander
from deepmag.models.synthetic.person import Person
from deepmag.models.synthetic.recorded import RecordedRhythm
from deepmag.models.synthetic.scene import Framing, Scene, random_scene, render
from deepmag.models.synthetic.sensor import Sensor
from deepmag.models.weights import PULSE
from deepmag.stream.breath_ticks import TICK, BreathTicks
from deepmag.stream.face import FaceDetector
from deepmag.stream.networks import open_respiration
from deepmag.stream.vitals import EVERY, PulseRate

FPS, SECONDS, SIZE = 15.0, 42.0, (640, 480)
BREATH_SECONDS = 60.0
CHUNK = 16  # frames rendered at once
PERSON = 3
NOD = 0.01  # rad
DEPTH = 0.3  # px of 246, RMS: how far the chest moves

Wave = NDArray[np.float64]
Look = tuple[float, float | None, float, float]  # s, what is shown, what was found, truth


@dataclass(frozen=True)
class Take:
    """What somebody's pulse is seen by. pulse: peak-to-peak share of green light. noise: grey levels of a photosite.

    half: height of half the head, of the picture's. coded: JPEG's quality up to 100, or H.264's bits a second.
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


PULSES = {f"rhythm of {name}": Take(name) for name in ("ECG", "wave 1", "wave 2", "wave 3", "wave 4")} | {
    "PPG, nothing else": Take(),
    "talking": Take(disturbance="talk"),
    "head as recorded": Take(disturbance="track"),
    "light drifts by 5 %": Take(disturbance="drift"),
    "the same, exposure follows": Take(disturbance="exposure"),
    "white balance hunts": Take(disturbance="white balance"),
    "glasses": Take(person=105),
    "head of a quarter's height": Take(half=0.12),
    "dim, noise 3": Take(exposure=0.25, noise=3.0),
    "pulse of 0.5 %": Take(pulse=0.005),
    "pulse of 0.3 %": Take(pulse=0.003),
    "melanin 0.6, pulse of 0.8 %": Take(melanin=0.6, pulse=0.008),
    "melanin 0.9, pulse of 0.6 %": Take(melanin=0.9, pulse=0.006),
    "JPEG of quality 95": Take(coded=95),
    "JPEG of quality 80": Take(coded=80),
    "H.264 of 4 Mb/s": Take(coded=4e6),
    "H.264 of 2 Mb/s": Take(coded=2e6),
    "H.264 of 1 Mb/s": Take(coded=1e6),
    "1920x1080, H.264 of 4 Mb/s": Take(size=(1920, 1080), coded=4e6),
    "1920x1080, H.264 of 2 Mb/s": Take(size=(1920, 1080), coded=2e6),
    "no pulse, talking": Take(pulse=0.0, disturbance="talk"),
    "no pulse, talking, H.264": Take(pulse=0.0, disturbance="talk", coded=4e6),
    "no pulse, head as recorded": Take(pulse=0.0, disturbance="track", coded=80),
    "no pulse, exposure follows": Take(pulse=0.0, disturbance="exposure", coded=2e6),
    "no pulse, nodding": Take(pulse=0.0, disturbance="nod"),
    "no pulse, nodding, H.264": Take(pulse=0.0, disturbance="nod", coded=4e6),
}
# where wave 1 breathes once it may be twice
BREATHS = {
    f"breath of wave {number}{'' if speed == 1.0 else f', {speed:g} as fast'}": (number, speed)
    for number in (2, 3, 4)
    for speed in (1.0, 0.6, 1.5)
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


def disturbed(scene: Scene, kind: str, data: Path) -> Scene:
    """The take with one thing that disturbs it."""
    t, rng = scene.t, np.random.default_rng(8)
    if kind == "talk":
        return replace(scene, motion=replace(scene.motion, jaw=talk(rng, t)))
    if kind == "track":
        track = load_tracks(data / "waveforms" / "head_tracks48.npz")[0]
        length = len(track.x) / track.rate - 0.05
        return replace(scene, motion=track.applied(scene.motion, length - np.abs(length - t % (2 * length))))
    if kind == "nod":  # evenly, as often as a heart beats
        return replace(scene, motion=replace(scene.motion, pitch=scene.motion.pitch + NOD * np.sin(7.1 * t)))
    if kind == "white balance":
        return replace(scene, light=scene.light * white_balance(rng, t, 2e-3))
    if kind in ("drift", "exposure"):
        scene = replace(scene, light=scene.light * np.exp(wander(rng, t, 0.05, 4.0))[:, np.newaxis])
    return exposed(scene, lambda seen: auto_exposure(seen, t)) if kind == "exposure" else scene


def frames(take: Take, heart: RecordedRhythm, data: Path) -> Iterator[Image]:
    """The pictures as they come out of the camera, and of its codec."""
    count, height = round(SECONDS * FPS), 180 if take.half > 0.2 else 240
    aspect = take.size[0] / take.size[1]
    scene = random_scene(
        np.random.default_rng([take.person, 7]),
        count,
        FPS,
        framing=Framing(0.5, 0.45, take.half, aspect),
        person=Person(take.person, take.melanin, take.pulse),
        rhythm=heart,
        task="A",
        steady_light=True,
    )
    scene = disturbed(replace(scene, exposure=take.exposure), take.disturbance, data)
    sensor, rng = Sensor(take.noise), np.random.default_rng(9)
    for first in range(0, count, CHUNK):
        drawn = render(scene, height, round(height * aspect), slice(first, first + CHUNK)).video
        for picture in drawn.permute(0, 2, 3, 1).numpy():
            large = cv2.resize(np.ascontiguousarray(picture), take.size, interpolation=cv2.INTER_CUBIC)
            yield sensor.expose(np.asarray(large, np.float32), sensor.grain(rng, *take.size[::-1]))


def coded(pictures: Iterator[Image], how: float | None) -> Iterator[Image]:
    """What a codec leaves."""
    if how is None:
        yield from pictures
    elif how > 100:
        yield from h264(np.stack(list(pictures)), FPS, how)[0]
    else:
        for picture in pictures:
            _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(how)])
            yield np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1])


def counted(times: Wave, now: float, seconds: float) -> float:
    """Beats or breaths a minute over the last seconds, from when each was, s."""
    first, last = max(now - seconds, times[0]), min(now, times[-1])
    count = np.diff(np.interp([first, last], times, np.arange(len(times))))[0]
    return float(60 * count / max(last - first, 1.0))


def pulse_looks(take: Take, data: Path, detector: FaceDetector, network) -> list[Look]:
    """All looks at a pulse."""
    heart, beats = rhythm(take.rhythm, data)
    seen = pairs(
        ((i / FPS, one) for i, one in enumerate(coded(frames(take, heart, data), take.coded))), detector
    )
    meter, looks = PulseRate(), []
    for pair, y in zip(seen, outputs(seen, network, FPS), strict=True):
        meter.update(pair.t, y, pair.before, pair.after, pair.roi, late=delay(FPS) / FPS)
        if not looks or pair.t - looks[-1][0] >= EVERY - 0.01:
            looks.append(
                (pair.t, meter.reading(pair.t).rate, meter.evidence.rate, counted(beats, pair.t, 10.0))
            )
    return looks


def breath_looks(number: int, speed: float, data: Path, ticks: BreathTicks) -> list[Look]:
    """All looks at a breath, played so many times as fast."""
    t = np.arange(round(BREATH_SECONDS / TICK)) * TICK
    wave = load_rhythm(data / "waveforms" / f"real_wave_{number}.npz").breath(speed * t)
    wave = (wave - wave.mean()) / wave.std()
    breaths = t[find_peaks(np.concatenate([[-9.0], wave, [-9.0]]), prominence=0.5)[0] - 1]
    still = random_breathing(np.random.default_rng(1), t)
    paths = 0 * still.paths
    paths[0] = wave * DEPTH * still.paths[0].std() / still.chest.std()
    rng, looks = np.random.default_rng(2), []
    ticks.reset()
    for now, luma in zip(t, replace(still, paths=paths, gain=np.ones(len(t))).frames(), strict=True):
        # 1.3 grey levels of a photosite, some five of which make one of these
        ticks.take(now, luma + np.float32(0.6) * rng.standard_normal(luma.shape, np.float32))
        looks.append((now, ticks.reading(now).rate, ticks._rate.evidence.rate, counted(breaths, now, 20.0)))
    return looks


def row(name: str, looks: list[Look], early: float, near: float) -> str:
    """One line of the table."""
    late = [look for look in looks if look[0] >= early]
    first = next((t for t, rate, _, _ in looks if rate is not None), None)
    shown = np.array([(rate, truth) for _, rate, _, truth in late if rate is not None]).reshape(-1, 2)
    hidden = [abs(found - truth) <= near for _, rate, found, truth in late if rate is None]
    text = f"{name:28s} {np.mean([look[3] for look in late]):5.1f} {100 * len(shown) / len(late):4.0f} %"
    text += f" {'-' if first is None else f'{first:.1f}':>5s}"
    if len(shown) > 1:
        off = abs(shown[:, 0] - shown[:, 1])
        jumps = np.sqrt(np.mean(np.diff(shown[:, 0]) ** 2))
        text += f" {off.mean():5.1f} {np.percentile(off, 95):5.1f} {off.max():5.1f}"
        text += f" {100 * (off > near).mean():4.0f} % {jumps:5.2f}"
    else:
        text += f" {'-':>5s} {'-':>5s} {'-':>5s} {'-':>6s} {'-':>5s}"
    return text + f" {f'{100 * np.mean(hidden):.0f} %' if hidden else '-':>6s}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the recordings")
    parser.add_argument(
        "--person", type=int, default=PERSON, help="of the pulses, but for the one with glasses"
    )
    parser.add_argument("names", nargs="*", help="those to run; default: all")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"the recordings are not in {arguments.data}; name their folder with --data")
    print(
        f"{'':28s} {'truth':>5s} {'shown':>6s} {'first':>5s} {'off':>5s} {'95 %':>5s} {'worst':>5s} {'far':>6s} "
        f"{'jumps':>5s} {'right':>6s}"
    )
    detector, network = FaceDetector(), open_ascender(PULSE, device="cpu")
    for name, take in PULSES.items():
        if not arguments.names or name in arguments.names:
            shown = replace(take, person=arguments.person) if take.person == PERSON else take
            looks = pulse_looks(shown, arguments.data, detector, network)
            print(row(name, looks, 22.0, 3.0), flush=True)
    ticks = BreathTicks(open_respiration("cpu"))
    for name, (number, speed) in BREATHS.items():
        if not arguments.names or name in arguments.names:
            print(row(name, breath_looks(number, speed, arguments.data, ticks), 20.0, 2.0), flush=True)


if __name__ == "__main__":
    main()
