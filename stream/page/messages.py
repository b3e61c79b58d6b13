"""What goes over the WebSocket, both ways, as pure functions.

To the browser: text = JSON with a "type"; binary = a picture: uint32 (little endian) length of a JSON header,
the header, then the JPEGs whose lengths the header lists under "jpeg": the magnified picture, then, if asked,
its original.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from deepmag.stream.frames import Reading
from deepmag.stream.settings import GAIN_RANGE, LAG_RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepmag.stream.frames import SignalName, SourceState
    from deepmag.stream.page.feed import Published, Sample
    from deepmag.stream.settings import Settings
    from deepmag.stream.status import Status

MAX_SIDE = 1_000_000  # px: no picture is as wide
SILENCE = 1.0  # s without a new frame after which the numbers are withdrawn

_WITHDRAWN: dict[SourceState, str] = {
    "connecting": "waiting for the first picture",
    "stale": "no new picture",
    "lost": "the source is lost; reconnecting",
    "ended": "the source has ended",
}


def shown_reading(reading: Reading, state: SourceState, silence: float) -> Reading:
    """Withdraw a reading, with the reason, where it is not of this moment.

    silence: time since the last magnified frame, s.
    """
    reason = _WITHDRAWN.get(state, "")
    if not reason and silence > SILENCE:
        reason = "no new picture for over a second"
    return replace(reading, rate=None, quality=0.0, reason=reason) if reason else reading


def picture_message(
    published: Published,
    jpegs: Sequence[bytes],
    samples: Sequence[Sample],
    *,
    shown: tuple[int, int],
    state: SourceState,
    now: float,
    drawn: tuple[float, float] | None = None,
    way: float | None = None,
) -> bytes:
    """Pack the binary message of one frame. shown: (width, height) of the JPEGs, px. now: s (monotonic).

    drawn (p50, p95), way: s, what is known of this browser; see ``Viewer``.
    A sample is [t, pulse, respiration], a wave null where it is not measured.
    """
    frame, silence = published.frame, now - published.at
    height, width = frame.image.shape[:2]
    header = {
        "number": published.number,
        "seq": frame.frame.seq,
        "session": frame.frame.session,
        "pts": round(frame.frame.pts, 6),
        "size": [width, height],
        "shown": list(shown),
        "pixel": round(frame.frame.pixel_aspect, 4),
        # a browser that has just come is sent the newest picture, however old that is
        "silence": round(silence, 6),
        "signals": _shown_readings(frame.readings, state, silence),
        "roi": [int(side) for side in frame.roi],
        "latency": round(now - frame.frame.arrived, 6),
        "drawn": [_number(value) for value in drawn] if drawn else None,
        "way": _number(way),
        "state": state,
        "t": round(samples[-1].t, 4) if samples else None,
        "samples": [
            [round(sample.t, 4), _number(sample.pulse), _number(sample.respiration)] for sample in samples
        ],
        "jpeg": [len(data) for data in jpegs],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([struct.pack("<I", len(text)), text, *jpegs])


def state_message(
    status: Status,
    settings: Settings,
    readings: Mapping[SignalName, Reading],
    *,
    silence: float,
    sent: tuple[float, float] | None,
    dropped: int,
    clients: int,
) -> str:
    """Write the text message of how everything is. silence, sent (p50, p95): s.

    dropped: frames passed over, since browsers were still drawing. readings: of all that is measured, in the order in
    which they are shown.
    """
    return json.dumps(
        {
            "type": "state",
            **asdict(status),
            "age": _number(status.age),
            "fps": _number(status.fps),
            "latency_p50": _number(status.latency_p50),
            "latency_p95": _number(status.latency_p95),
            "dropped": {**status.dropped, "browsers": dropped},
            "silence": _number(min(silence, 1e9)),
            "sent": [_number(value) for value in sent] if sent else None,
            "clients": clients,
            "settings": asdict(settings),
            "ranges": {"gain": GAIN_RANGE, "lag": LAG_RANGE},
            "signals": _shown_readings(readings, status.state, silence),
        },
        separators=(",", ":"),
    )


def notice_message(text: str, *, error: bool) -> str:
    """One line for the person."""
    return json.dumps({"type": "notice", "text": text, "error": error})


def parse_message(text: str) -> dict[str, Any]:
    """Read a browser's message. ValueError where it is not a JSON object with a "type"."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: of brackets in brackets
        raise ValueError("the page sent something that is not JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("the page sent a message without a type")
    return message


def parse_changes(message: dict[str, Any]) -> dict[str, Any]:
    """Read what a "change" message replaces, as ``Control.change`` takes it. ValueError in plain words."""
    changes: dict[str, Any] = {}
    for name in ("gain", "lag"):
        if name in message:
            changes[name] = _parse_number(name, message[name])
    if "mode" in message:
        changes["mode"] = str(message["mode"])  # checked by Settings
    if "roi" in message:
        roi = message["roi"]
        if isinstance(roi, list):
            roi = tuple(round(_parse_number("roi", side)) for side in roi)
            if len(roi) != 4 or max(map(abs, roi)) > MAX_SIDE:
                raise ValueError("roi must be auto, full or X,Y,W,H, in pixels of the picture")
        elif not isinstance(roi, str):
            raise ValueError("roi must be auto, full or X,Y,W,H")
        changes["roi"] = roi
    if not changes:
        raise ValueError("the page asked for a change that deepmag does not know")
    return changes


def _parse_number(name: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # of an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number")
    return number


def _shown_readings(
    readings: Mapping[SignalName, Reading], state: SourceState, silence: float
) -> dict[SignalName, dict[str, Any]]:
    shown = {name: shown_reading(reading, state, silence) for name, reading in readings.items()}
    return {
        name: {"rate": _number(reading.rate), "quality": _number(reading.quality), "reason": reading.reason}
        for name, reading in shown.items()
    }


def _number(value: float | None) -> float | None:
    """Six digits, and None for what JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
