"""What runs, in one line for a terminal or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.stream.frames import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepmag.stream.control import Control
    from deepmag.stream.frames import Reading, SignalName


def describe(control: Control, readings: Mapping[SignalName, Reading] | None, *, ended: bool = False) -> str:
    """State, rates or why there is none, frames per second, latency, drops.

    readings: the newest, if there are any. ended: whether they are those of the last picture that there is.
    """
    status = control.status()
    words = [status.state + (f" ({status.detail})" if status.detail else "")]
    shown = readings if ended or status.state == "live" else None
    for name in control.settings.signals:
        reading = shown.get(name) if shown else None
        if reading is None:
            words.append(f"-- {UNITS[name]}")
        elif reading.rate is None:
            words.append(f"-- {UNITS[name]} ({reading.reason})")
        else:
            words.append(
                f"{'last ' if ended else ''}{reading.rate:.0f} {UNITS[name]} (quality {reading.quality:.2f})"
            )
    words.append(f"{status.fps:.1f} fps")
    if status.latency_p50 is not None and status.latency_p95 is not None:
        p50, p95, lag = 1e3 * status.latency_p50, 1e3 * status.latency_p95, 1e3 * status.lag
        words.append(f"latency {p50:.0f}/{p95:.0f} ms (p50/p95, lag {lag:.0f})")
    words.append("dropped " + ", ".join(f"{stage} {count}" for stage, count in status.dropped.items()))
    words += status.troubles
    return " | ".join(words)
