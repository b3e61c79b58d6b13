"""What looks like a pulse and is none: light on the face, behind and around it, and a face that shifts.

Each may be there beside a pulse, and some of it is the pulse's own doing. So it counts where it has a clear peak at the
same rate, and is too large beside the pulse to be its effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepmag.stream.vitals_spectrum import at, followed, ratio

if TYPE_CHECKING:
    from deepmag.stream.vitals_spectrum import Spectrum

CLEAR = 3.0  # dB by which a peak stands out that has to be explained
LIGHT_RATIO = 1.5  # the face's change common to all colours, per pulse. evm_face 0.3, flicker 6
# The same of what neither blood nor white light does to the face's colour. Of a pulse 0.01 to 0.11 on real clips and
# synthetic skin of all tones, 0.3 where a camera makes colours half as strong again. Of a bluish screen's light 0.96,
# of a white balance that hunts 0.6, of a shine that comes and goes 0.45; a green lamp has 0.14, as blood may.
TINT_RATIO = 0.4
SHIFT_RATIO = 25.0  # cells per pulse. evm_face 2, clip_a 16 (not a peak), a photo that is moved 150 to 600
# The background's "pulse", in phase, per the face's. Quiet places count more, for something may move in others; but a
# plain wall that compression has made still is so whatever lights it, and with that a lamp was a pulse.
BACKGROUND_RATIO = 0.3
# The same of hair, clothes and what is close behind, and the tangent of its phase, in two places of three: a collar
# that moved with the breath had 1.7, at one side. A lamp that lights all of the picture has 0.9 to 1.1, one that lights
# a head alone 0.25 to 0.5. Of a pulse it is what lens and codec spread: up to 0.14 where it is clear, in one place.
AROUND_RATIO = 0.25
AROUND_PHASE = 0.5
AROUND_CLEAR = -2.0  # dB, less than CLEAR since there have to be two; noise has -6.5
# The same of all that is around, taken together, and of the multiples of the rate, too: a flash is mostly these, and a
# lamp that lights a head alone is lost in noise place by place. Such have 0.2 to 0.5 and, where a rate would be shown,
# -5 to 5 dB; of 2615 clear looks at pulses six have it, all of one person's pulse of 0.5 %.
TOGETHER_RATIO = 0.2
TOGETHER_CLEAR = -6.0  # dB


@dataclass(frozen=True, slots=True)
class Disturbances:
    """What else changes at the rate of what seems to be a pulse: spectra, (BINS / 2 + 1, ...).

    frequency: the rate, Hz. face: of its blood. pulse: what that has at the rate. light, tint: of the face. shift:
    (..., 2) of the face. behind: (..., 2) what blood and white light would do in the background, quiet places counting
    more, or None where it is not seen. sides: the same, each side of the face counting for a half. around: (...,
    places) what blood would do around the face, where no skin is. together: their mean, quiet places counting more, or
    None where there is none.
    """

    frequency: float
    pulse: complex
    face: Spectrum
    light: Spectrum
    tint: Spectrum
    shift: Spectrum
    behind: Spectrum | None
    sides: Spectrum | None
    around: Spectrum
    together: Spectrum | None

    def shift_suffices(self) -> bool:
        """Whether the face shifts so far that this may be all."""
        return any(self._outweighs(along, SHIFT_RATIO, CLEAR) for along in self.shift.T)

    def light_suffices(self, clear: float = CLEAR) -> bool:
        """Whether light is what changes the face's colour. clear: dB by which it has to stand out."""
        return (
            self._outweighs(self.light, LIGHT_RATIO, clear)
            or self._outweighs(self.tint, TINT_RATIO, clear)
            or self._is_behind(self.behind, clear)
            or self._is_behind(self.sides, max(clear, CLEAR))  # clearly: one may move
            or self._are_around(min(clear, AROUND_CLEAR))
            or self._is_all_around()
        )

    def _outweighs(self, spectrum: Spectrum, limit: float, clear: float) -> bool:
        """Whether one has a clear peak at the rate, too large beside the pulse to be its effect."""
        size = abs(spectrum[at(self.frequency)])
        return bool(ratio(spectrum, self.frequency) > clear and size > limit * abs(self.pulse))

    def _is_behind(self, background: Spectrum | None, clear: float) -> bool:
        """Whether the background does what the face does."""
        if background is None:
            return False
        tinted, plain = background.T
        k = at(self.frequency)
        if ratio(tinted, self.frequency) > clear and (tinted[k] / self.pulse).real > BACKGROUND_RATIO:
            return True
        return bool(ratio(plain, self.frequency) > 2 * clear and abs(plain[k]) > abs(self.pulse))

    def _are_around(self, clear: float) -> bool:
        """Whether two of the places around the face, where no skin is, do what the face does."""
        beside = self.around[at(self.frequency)] / self.pulse
        stands_out = np.array([ratio(one, self.frequency) > clear for one in self.around.T], bool)
        in_phase = abs(beside.imag) < AROUND_PHASE * beside.real
        return bool(np.count_nonzero(stands_out & in_phase & (beside.real > AROUND_RATIO)) >= 2)

    def _is_all_around(self) -> bool:
        """Whether what is around the face, taken together, does what the face does."""
        if self.together is None:
            return False
        beside, stands_out = followed(self.together, self.face, self.frequency)
        in_phase = abs(beside.imag) < AROUND_PHASE * beside.real
        return in_phase and beside.real > TOGETHER_RATIO and stands_out > TOGETHER_CLEAR
