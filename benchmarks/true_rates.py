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
from dataclasses import replace
from pathlib import Path

import numpy as np
from negatives import DATA, outputs, pairs
from people import FPS, PERSON, WORSE, Take, Wave, coded, drawn, frames, rhythm, scene_of
from scipy.signal import find_peaks

from deepmag.export.runtime import open_ascender
from deepmag.models.running_difference import delay
from deepmag.models.synthetic.assets import load_rhythm
from deepmag.models.synthetic.breathing import random_breathing
from deepmag.models.weights import PULSE
from deepmag.stream.breath_ticks import TICK, BreathTicks
from deepmag.stream.face import FaceDetector
from deepmag.stream.networks import open_respiration
from deepmag.stream.vitals import EVERY, PulseRate

BREATH_SECONDS = 60.0
DEPTH = 0.3  # px of 246, RMS: how far the chest moves

Look = tuple[float, float | None, float, float]  # s, what is shown, what was found, truth


PULSES = {f"rhythm of {name}": Take(name) for name in ("ECG", "wave 1", "wave 2", "wave 3", "wave 4")} | {
    "PPG, nothing else": Take(),
    **WORSE,
    "glasses": Take(person=105),
    "pulse of 0.5 %": Take(pulse=0.005),
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


def counted(times: Wave, now: float, seconds: float) -> float:
    """Beats or breaths a minute over the last seconds, from when each was, s."""
    first, last = max(now - seconds, times[0]), min(now, times[-1])
    count = np.diff(np.interp([first, last], times, np.arange(len(times))))[0]
    return float(60 * count / max(last - first, 1.0))


def pulse_looks(take: Take, data: Path, detector: FaceDetector, network) -> list[Look]:
    """All looks at a pulse."""
    heart, beats = rhythm(take.rhythm, data)
    pictures = frames(take, drawn(take, scene_of(take, heart, data)))
    seen = pairs(((i / FPS, one) for i, one in enumerate(coded(pictures, take))), detector)
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
