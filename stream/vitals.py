"""The pulse rate, or the reason why there is none. Time is an argument; there is no clock in here."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.capture.timeline import HIGHEST_RATE
from deepmag.stream.frames import Reading
from deepmag.stream.vitals_evidence import FAINT_SECONDS, NOTHING, Evidence, Traces, weigh
from deepmag.stream.vitals_regions import Regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.stream.roi import FloatBox, IntBox, Roi

WINDOW = 10.0  # s that are looked at
LONG = 20.0  # the same for a pulse that is too faint for so few
FIRST = 7.5  # s before the first look: 8 beats at 64 a minute
EVERY = 0.5  # s between looks
SHOW = (
    0.42  # quality from which a rate may appear: half-way, on a scale of dB, between clip_a and any negative
)
KEEP = 0.32  # quality below which it is withdrawn
AS_GOOD = 10.0  # dB of the network's output at which such a pulse is as good as one that is only just kept
HOLD = 1.0  # s that the quality has to last before a rate appears
FAINT_HOLD = 2.0  # s that the network has to agree with a faint pulse before its rate appears
STEADY = 6.0  # beats per minute that the rate may move, between looks and of a faint pulse over LONG
GAP = 0.5  # s without a frame after which the traces are cut
STALE = 1.0  # s without a frame after which no rate is shown
MAX_FRAMES = int(LONG * HIGHEST_RATE * 1.05)  # bounded also for a source that gives too many
MIN_FPS = 10.0  # frames a second below which the band of comparison is not covered
SMOOTHING = 0.5  # share of a new look in the rate shown
# Mean difference between the highest and the lowest of R, G, B of a face, as a share of their mean, below which it is
# grey, as of a camera's night vision: what tells blood from light is not in it. Faces in real clips in colour have
# 0.14 or more.
COLOUR = 0.02


class PulseRate:
    """Collects samples, weighs them twice a second, and lets a rate be shown only while it can be trusted."""

    def __init__(self) -> None:
        self._regions = Regions()
        self._rows: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=MAX_FRAMES)
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new session."""
        self._regions.reset()
        self._box: IntBox | None = None
        self._person = 0
        self._last: float | None = None
        self._cut("measuring")

    @property
    def evidence(self) -> Evidence:
        """What the last look found, for benchmarks and for the curious."""
        return self._evidence

    def update(
        self,
        t: float,
        y: float | None,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        roi: Roi,
        ticks: int = 1,
        late: float = 0.0,
    ) -> None:
        """Take one frame pair. Pairs that do not run forward are ignored.

        t: s, the later frame's presentation time. y: the network's output for the pair, or None. before, after:
        (3, L, L) in [0, 255], both reduced from the same ``roi``. ticks: how many ticks of the filter's clock the pair
        spans; here real time decides. late: s by which y tells of what was before the pair.
        """
        if self._last is not None and t <= self._last:
            return
        gap = 0.0 if self._last is None else t - self._last
        self._last = t
        face = roi.face_cells
        if face is None:
            self._cut("no face")
            return
        if _is_grey(after, face):
            self._cut("no colour")
            return
        if gap > GAP or self._reason in ("no face", "no colour") or roi.person != self._person:
            self._cut("measuring")
        self._person = roi.person
        if roi.box != self._box:
            self._regions.reset()
            self._box = roi.box
        found = self._regions.increments(before, after, face)
        row = np.concatenate(
            [found.blood, found.light, found.tint, found.shift.ravel(), [late, np.nan if y is None else y]]
        )
        if not self._rows:
            row[np.isfinite(row)] = 0.0  # it ends a pair that began before the window
        self._rows.append((t, row))
        while t - self._rows[0][0] > LONG:
            self._rows.popleft()
        if t - self._rows[0][0] >= FIRST and t - self._looked >= EVERY - 0.01:
            self._look(t)

    def reading(self, t: float) -> Reading:
        """Tell the rate as of t, s, on the same clock as ``update``'s."""
        if self._last is None:
            return Reading(None, 0.0, "measuring")
        if t - self._last > STALE:
            return Reading(None, 0.0, "no new frames")
        if self._rate is None:
            return Reading(None, self._evidence.quality, self._reason)
        faint = KEEP * min(1.0, max(0.0, self._evidence.agreement) / AS_GOOD)
        return Reading(self._rate, max(self._evidence.quality, faint), "")

    def _cut(self, reason: str) -> None:
        self._rows.clear()
        self._evidence: Evidence = NOTHING
        self._looked = -np.inf
        self._trusted_since: float | None = None
        self._missed = False
        self._rate: float | None = None
        self._reason = reason

    def _look(self, t: float) -> None:
        self._looked = t
        times = np.array([time for time, _ in self._rows])
        rows = np.stack([row for _, row in self._rows])
        recent = times >= t - WINDOW
        # a picture that repeats is none: what changes three times a second is as aliased where thirty come
        told = np.count_nonzero(np.nan_to_num(rows[recent][1:, :-2]).any(axis=1))
        if told / (t - times[recent][0]) < MIN_FPS:
            self._withdraw("too few frames a second" if told else "no new frames")
            return
        before = self._evidence
        found = weigh(_traces(times[recent], rows[recent]))
        enough = found.quality >= (SHOW if self._rate is None else KEEP)
        if not enough and t - times[0] > FAINT_SECONDS:
            longer = weigh(_traces(times, rows))
            if abs(longer.peak - found.peak) <= STEADY:
                # in noise the phase may slip by a beat, which is 6 a minute
                rate = float(np.median([found.rate, found.peak, longer.rate]))
                found = replace(found, agreement=longer.agreement, rate=rate)
        if not enough and not np.isfinite(found.agreement):
            # noise may hide a faint pulse from one look
            if self._rate is not None and np.isfinite(before.agreement) and not self._missed:
                self._missed = True
                return
            self._evidence = found
            self._withdraw(found.objection or "signal too weak")
            return
        self._evidence, self._missed = found, False
        steady = abs(found.peak - before.peak) <= STEADY
        if self._rate is not None:
            if steady:
                self._rate += SMOOTHING * (found.rate - self._rate)
            else:
                self._withdraw(found.objection or "signal too weak")
            return
        if self._trusted_since is None or not steady:
            self._trusted_since = t
        self._reason = "measuring"
        if t - self._trusted_since >= (HOLD if enough else FAINT_HOLD):
            self._rate, self._reason = found.rate, ""

    def _withdraw(self, reason: str) -> None:
        self._rate = None
        self._trusted_since = None
        self._reason = reason


def _is_grey(picture: NDArray[np.float32], face: FloatBox) -> bool:
    """Whether a face has no colour. picture: (3, L, L). face: (x, y, w, h), cells."""
    # not all of the picture: a white wall has no colour, and a clock in a grey picture may have some
    x, y, w, h = face
    seen = picture[:, max(round(y), 0) : max(round(y + h), 0), max(round(x), 0) : max(round(x + w), 0)]
    return bool(seen.size and np.ptp(seen, axis=0).mean() < COLOUR * seen.mean())


def _traces(times: NDArray[np.float64], rows: NDArray[np.float64]) -> Traces:
    """What was collected at some times, s, region by region."""
    n = (rows.shape[1] - 2) // 5
    return Traces(
        times,
        blood=rows[:, :n],
        light=rows[:, n : 2 * n],
        tint=rows[:, 2 * n : 3 * n],
        shift=rows[:, 3 * n : 5 * n].reshape(-1, n, 2),
        network=rows[:, -1],
        late=float(rows[1:, -2].mean()),
    )
