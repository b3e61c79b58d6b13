"""Rates that change: what is shown of a synthetic person whose pulse or breath speeds up, falters or stops.

    python benchmarks/rate_changes.py [NAME ...]

The demo's person, from pictures through the live magnifiers as the engine drives them. truth: beats or breaths a
minute at the end. shown: share of the time after the first 10 s. rates: least and most that were shown. off: by how
much at most, from the mean over the window that is looked at (10 s of pulse, 20 s of breath). At the change, if there
is one: for how long the old rate went on being shown, and how long after it a right one came.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE
from deepmag.stream.capture.portrait import Portrait
from deepmag.stream.engine import FaceFinder
from deepmag.stream.face import FaceDetector
from deepmag.stream.frames import Frame, Reading
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.networks import open_respiration
from deepmag.stream.respiration import RespirationMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

FPS = {"pulse": 15.0, "breath": 5.0}  # Hz
WINDOW = {"pulse": 10.0, "breath": 20.0}  # s
NEAR = {"pulse": 3.0, "breath": 1.5}  # a minute: so near is right
EARLY = 10.0  # s
STEP = 0.01  # s
TIMES = np.arange(-15.0, 130.0, STEP)

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """kind: pulse or breath. wave: over TIMES. counts: beats or breaths so far, over TIMES. changes: s."""

    kind: str
    wave: Wave
    counts: Wave
    seconds: float
    changes: float | None = None


class Changing(Portrait):
    """The demo's person with another pulse and breath, each a function of TIMES."""

    def __init__(self, blood: Wave, chest: Wave) -> None:
        super().__init__()
        self._blood_wave, self._chest_wave = blood, chest

    def _blood(self, t: Wave) -> Wave:
        return np.interp(t, TIMES, self._blood_wave)

    def _chest(self, t: float) -> float:
        return float(np.interp(t, TIMES, self._chest_wave))


def beating(beats: Wave, sizes: Wave | float = 1.0) -> Wave:
    """Blood volume of beats at those times, s: a quick rise, a slow run-off, and the wave that comes back."""
    wave = np.zeros_like(TIMES)
    for beat, size in zip(beats, np.broadcast_to(sizes, beats.shape), strict=True):
        age = np.maximum(TIMES - beat, 0.0)
        wave += size * (1 - np.exp(-age / 0.08)) * np.exp(-age / 0.45)
        wave += size * 0.25 * np.exp(-0.5 * ((TIMES - beat - 0.4) / 0.09) ** 2)
    later = wave[TIMES > 0]
    return np.asarray((wave - later.mean()) / np.ptp(later))


def pulse(intervals: Callable[[float, int], float], sizes=None, *, seconds=45.0, changes=None, until=np.inf):
    """intervals: s from a beat at t, s, the how manieth. sizes: of the how manieth; 0 is none."""
    beats = [TIMES[0]]
    while beats[-1] < TIMES[-1]:
        beats.append(beats[-1] + intervals(beats[-1], len(beats)))
    kept = np.array(beats)[np.array(beats) < until]
    size = np.array([1.0 if sizes is None else sizes(i) for i in range(len(kept))])
    seen = kept[size > 0]
    last = seen[-1] if until < np.inf else np.inf
    counts = np.interp(np.minimum(TIMES, last), seen, np.arange(len(seen)))
    return Case("pulse", beating(kept, size), counts, seconds, changes)


def breath(rate: Callable[[Wave], Wave], depth: Callable[[Wave], Wave] = np.ones_like, *, changes=None):
    """rate: breaths a minute at times, s. depth: of each, by how many there were; 0 is none. It rests empty."""
    counts = np.cumsum(rate(TIMES)) * STEP / 60
    phase = 2 * np.pi * counts
    wave = -np.cos(phase + 0.35 * np.sin(phase))
    return Case("breath", (1 + wave) * depth(counts) - 1, counts, 90.0, changes)


def resting(rate: float, on: float, off: float) -> Callable[[Wave], Wave]:
    """A rate for ``on`` s, which are whole breaths, and none for ``off`` s, again and again."""
    return lambda t: rate * ((t - TIMES[0]) % (on + off) < on)


def between(low: float, high: float, begin: float, end: float) -> Callable[[Wave], Wave]:
    """From one rate to another."""
    return lambda t: low + (high - low) * np.clip((t - begin) / (end - begin), 0, 1)


def cases() -> dict[str, Case]:
    """All by name."""
    rng = np.random.default_rng(0)
    ramp = between(60, 110, 15, 35)
    found = {f"pulse of {bpm}": pulse(lambda t, i, b=bpm: 60 / b) for bpm in (30, 42, 70, 150, 178, 190)}
    found |= {
        "pulse 60 to 110 in 20 s": pulse(lambda t, i: 60 / ramp(t), changes=35.0, seconds=60.0),
        "pulse 70 to 90 at once": pulse(lambda t, i: 60 / (70 if t < 15 else 90), changes=15.0),
        "pulse 90 to 70 at once": pulse(lambda t, i: 60 / (90 if t < 15 else 70), changes=15.0),
        "pulse 70 stops": pulse(lambda t, i: 60 / 70, changes=15.0, until=15.0),
        "pulse 75, each 4th beat missing": pulse(lambda t, i: 0.8, lambda i: float(i % 4 > 0)),
        "pulse 100, each 2nd beat early and weak": pulse(
            lambda t, i: 0.6 * (0.75 if i % 2 else 1.25), lambda i: 0.6 if i % 2 else 1.0
        ),
    }
    for share in (0.1, 0.2, 0.3):
        found[f"pulse 90, intervals at random by {100 * share:.0f} %"] = pulse(
            lambda t, i, s=share: 60 / 90 * max(0.45, 1 + s * float(rng.standard_normal())), seconds=90.0
        )
    found |= {f"breath of {rate}": breath(lambda t, r=rate: r + 0 * t) for rate in (8, 15, 30, 39, 45, 60)}
    for rate in (8, 15, 30):
        at = TIMES[0] + 60 / rate * np.ceil((40.0 - TIMES[0]) * rate / 60)  # at the end of a breath out
        found[f"breath {rate} stops"] = breath(lambda t, r=rate, a=at: r * (t < a), changes=float(at))
    found |= {
        "breath 8 to 30 in 20 s": breath(between(8, 30, 40, 60), changes=60.0),
        "breath 24 to 12 at once": breath(lambda t: np.where(t < 40, 24.0, 12.0), changes=40.0),
        "breath 12 to 24 at once": breath(lambda t: np.where(t < 40, 12.0, 24.0), changes=40.0),
        "breath 15, each 3rd a sigh": breath(
            lambda t: 15 + 0 * t, lambda n: 1 + 2.0 * (np.floor(n) % 3 == 0)
        ),
        "breath 37.5 for 8 s, rest for 6 s": breath(resting(37.5, 8, 6)),
        "breath 36 for 10 s, rest for 5 s": breath(resting(36, 10, 5)),
        "breath 24, waxing and waning in 30 s": breath(
            lambda t: 24 + 0 * t, lambda n: np.maximum(np.sin(2 * np.pi * n / 12), 0.0)
        ),
    }
    return found


def readings(case: Case, magnifier, finder) -> list[tuple[float, Reading]]:
    """What is shown at each time, s."""
    still = np.sin(2 * np.pi * TIMES / 4)
    blood = beating(np.arange(TIMES[0], TIMES[-1], 60 / 68))
    person = Changing(case.wave, still) if case.kind == "pulse" else Changing(blood, case.wave)
    settings = Settings(lag=0.25 if case.kind == "pulse" else 2.0)
    shown = []
    for i in range(round(case.seconds * FPS[case.kind])):
        t = i / FPS[case.kind]
        frame = Frame(0, i, t, 0.0, person.frame(t))
        for done in magnifier.push(frame, settings, finder.faces(frame)):
            signal = done.pulse if case.kind == "pulse" else done.respiration
            shown.append((t, signal.reading))
    return shown


def row(name: str, case: Case, shown: list[tuple[float, Reading]]) -> str:
    """One line of the table."""
    window = WINDOW[case.kind]

    def truth(t: float, seconds: float) -> float:
        now, then = np.interp([t, t - seconds], TIMES, case.counts)
        return 60 * (now - then) / seconds

    late = [(t, one) for t, one in shown if t >= EARLY]
    rates = [(t, one.rate) for t, one in late if one.rate is not None]
    text = f"{name:40s} {truth(case.seconds, window):5.0f} {100 * len(rates) / len(late):5.0f} %"
    if not rates:
        reasons = [one.reason for _, one in late]
        return f"{text}  -- ({max(set(reasons), key=reasons.count)})"
    least, most = min(rate for _, rate in rates), max(rate for _, rate in rates)
    off = max(abs(rate - truth(t, min(window, t + 10.0))) for t, rate in rates)
    text += f" {f'{least:.1f}..{most:.1f}':>13s} {off:5.1f}"
    if case.changes is None:
        return text
    after = [(t - case.changes, one.rate) for t, one in shown if t >= case.changes]
    new = truth(case.seconds, 5.0)
    right = next((t for t, rate in after if rate is not None and abs(rate - new) < NEAR[case.kind]), None)
    gone = next((t for t, rate in after if rate is None), right)
    text += f" {'-' if gone is None else f'{gone:.1f} s':>8s}"
    return text + f" {'-' if right is None else f'{right:.1f} s':>8s}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="those to run; default: all")
    names = parser.parse_args().names
    detector = FaceDetector()
    pulse_network, breath_network = open_ascender(PULSE, device="cpu"), open_respiration("cpu")
    print(
        f"{'':40s} {'truth':>5s} {'shown':>7s} {'rates':>13s} {'off':>5s} {'old for':>8s} {'new after':>9s}"
    )
    for name, case in cases().items():
        if names and name not in names:
            continue
        rate = FPS[case.kind]
        if case.kind == "pulse":
            finder = FaceFinder(detector, at_once=True)
            magnifier = PulseMagnifier(
                pulse_network, RoiTracker(), PulseRate(), clock=lambda: 0.0, nominal_rate=lambda r=rate: r
            )
        else:
            finder = FaceFinder(None, at_once=True)
            magnifier = RespirationMagnifier(breath_network, clock=lambda: 0.0, lag=2.0)
        print(row(name, case, readings(case, magnifier, finder)), flush=True)


if __name__ == "__main__":
    main()
