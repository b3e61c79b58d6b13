"""The state of the pipeline, as shown on the page, in the window and by the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepmag.stream.frames import SourceState


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot for people and for metrics; times in s.

    source: the source's name, without a password. detail: one line on why it is in its state.
    age: time since the last frame arrived. latency_p50, latency_p95: from a frame's arrival to its
    magnified picture's being ready, over the last 10 s, lag included; None before there are any, and where a file is
    read as fast as it goes.
    lag: the part of the latency that is the filter's, chosen by the person.
    dropped: frames dropped so far, by the stage that dropped them, e.g. {"engine": 0, "page": 12}.
    backend: what runs the ascent, e.g. "onnxruntime CPU, 2 threads". recording: file being written, or "".
    troubles: why an output has stopped or cannot do its work now, or the source is not decoded whole, a line each.
    """

    state: SourceState
    source: str
    detail: str = ""
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    age: float = 0.0
    latency_p50: float | None = None
    latency_p95: float | None = None
    lag: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)
    backend: str = ""
    recording: str = ""
    troubles: tuple[str, ...] = ()
