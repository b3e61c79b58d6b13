"""What to say of a source at a given moment. Pure: the caller has the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepmag.stream.frames import SourceState

STALE_AFTER = 1.0  # s without a frame: what is on the screen is no longer now
# s of one and the same picture, bit by bit: a camera has noise. Up to 9 s of it were seen of an empty room that was
# freed of noise, strongly compressed, and had a key frame twice a minute.
FROZEN_AFTER = 20.0


class Liveness:
    """The state of one source: connecting -> live <-> stale, live -> lost -> live, and ended for good.

    stale_after: s, or None for a source that is waited for rather than watched. frozen_after: s, or None for one that
    may stand still, as a film may.
    """

    def __init__(
        self,
        now: float,
        stale_after: float | None = STALE_AFTER,
        frozen_after: float | None = None,
    ) -> None:
        self._stale_after = stale_after
        self._frozen_after = frozen_after
        self._state: SourceState = "connecting"
        self._detail = ""
        self._since = now  # of the last frame, or of the start
        self._changed = now  # when the picture last was another than the one before
        self._seen = False

    @property
    def seen(self) -> bool:
        """Whether there ever was a frame."""
        return self._seen

    def frame(self, now: float, *, changed: bool = True) -> None:
        """Note that a frame arrived at ``now``. changed: whether its picture is another than the one before."""
        if changed or self._state != "live":
            self._changed = now
        self._state, self._detail, self._since, self._seen = "live", "", now, True

    def trouble(self, detail: str) -> None:
        """Note that there is no connection, why, and that it will be tried again."""
        self._state, self._detail = ("lost" if self._seen else "connecting"), detail

    def end(self, detail: str = "") -> None:
        """Note that nothing will come any more."""
        self._state, self._detail = "ended", detail

    def at(self, now: float) -> tuple[SourceState, str, float]:
        """Tell the state, one line why, and the time since the last frame (or the start), s."""
        age = max(0.0, now - self._since)
        if self._state == "live" and self._stale_after is not None and age > self._stale_after:
            return "stale", f"no picture of the last {age:.0f} s", age
        frozen = now - self._changed
        if self._state == "live" and self._frozen_after is not None and frozen > self._frozen_after:
            return "stale", f"the same picture for {frozen:.0f} s", frozen
        return self._state, self._detail, age
