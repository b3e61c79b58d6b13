"""How long to wait before trying again. Pure: the caller has the clock and the dice."""

from __future__ import annotations

FIRST_DELAY = 0.5  # s
LONGEST_DELAY = 30.0  # s
JITTER = 0.25  # a share of the delay, either way: cameras that failed together do not come back together
STEADY = 5.0  # s of pictures after which a connection counts as good


class Backoff:
    """Delays that double from FIRST_DELAY to LONGEST_DELAY while a source keeps failing.

    A connection that delivered for STEADY seconds starts the count again; one that only blinked does not,
    or a camera that accepts and drops would be hammered twice a second for ever.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._live_since: float | None = None

    def live(self, now: float) -> None:
        """Note that a frame arrived."""
        if self._live_since is None:
            self._live_since = now

    def failed(self, now: float, chance: float) -> float:
        """Return the delay until the next attempt, s. chance: uniform in [0, 1)."""
        if self._live_since is not None and now - self._live_since >= STEADY:
            self._failures = 0
        self._live_since = None
        base = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return min(LONGEST_DELAY, max(FIRST_DELAY, base * (1 + JITTER * (2 * chance - 1))))
