"""One browser's side of the one-frame credit: what it may be sent, and when. No socket, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from deepmag.stream.latency import LatencyMeter

NOTICES = 8  # waiting at most; older ones are dropped, they are out of date


@dataclass(slots=True, eq=False)
class Viewer:
    """What the page knows of one browser.

    original: it wants the captured picture too. visible: a person can see it; a hidden tab draws nothing.
    credit: it has drawn what it was sent. sent: number of the frame sent last, 0 before the first.
    passed_over: frames it was not sent because it was still drawing. latency: from a frame's arrival until the answer
    that it was drawn has come, so no less than its age on the screen. way: of the last one, the part after it was sent,
    s; None while that is not known.
    """

    original: bool = False
    visible: bool = True
    credit: bool = True
    sent: int = 0
    passed_over: int = 0
    latency: LatencyMeter = field(default_factory=LatencyMeter)
    way: float | None = None
    state: str | None = None
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=NOTICES))
    _resumed: bool = True
    _on_its_way: tuple[float, float] | None = None  # of the frame sent last: when it arrived and was sent, s

    def due(self, newest: int) -> bool:
        """Whether frame ``newest`` may be sent now."""
        return self.credit and self.visible and newest > self.sent

    def take(self, number: int, arrived: float, now: float) -> int:
        """Spend the credit on frame ``number``. Returns how many frames were passed over for it.

        arrived: when the frame was captured, s.
        """
        # What went by before the first picture, or in a hidden tab, was not dropped but not wanted.
        missed = 0 if self._resumed else number - self.sent - 1
        self._resumed = False
        self.credit = False
        self.sent = number
        self._on_its_way = arrived, now
        self.passed_over += missed
        return missed

    def drawn(self, number: int, now: float) -> None:
        """Give the credit back: frame ``number`` was drawn. Of an older one, nothing follows."""
        if number != self.sent:
            return
        self.credit = True
        if self._on_its_way is not None:
            arrived, sent = self._on_its_way
            self._on_its_way = None
            self.way = now - sent
            self.latency.add(now, now - arrived)

    def show(self, visible: bool) -> None:
        """Note that the tab became visible or hidden."""
        self._resumed = self._resumed or not visible
        self.way = self._on_its_way = None  # a hidden tab draws late, or not at all
        self.visible = visible

    def next_text(self) -> str | None:
        """Return the next text message, if any: notices in order, then the newest state, never two states."""
        if self.notices:
            return self.notices.popleft()
        text, self.state = self.state, None
        return text
