"""What runs, in one line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from deepmag.stream.describe import describe
from deepmag.stream.frames import Reading, SourceState
from deepmag.stream.settings import Settings
from deepmag.stream.status import Status


@pytest.mark.parametrize(
    ("state", "ended", "rates"),
    [
        ("live", False, "72 bpm (quality 0.90) | -- breaths/min (too much motion)"),
        ("ended", True, "last 72 bpm (quality 0.90) | -- breaths/min (too much motion)"),
        ("lost", False, "-- bpm | -- breaths/min"),
    ],
)
def test_rates_are_those_of_now_or_the_last_or_none(state: SourceState, ended: bool, rates: str) -> None:
    status = Status(state, "a camera", fps=30.0, dropped={"engine": 2})
    control = SimpleNamespace(settings=Settings(target="both", lag=2.0), status=lambda: status)
    readings = {"pulse": Reading(72.4, 0.9, ""), "respiration": Reading(None, 0.1, "too much motion")}
    assert describe(control, readings, ended=ended) == f"{state} | {rates} | 30.0 fps | dropped engine 2"  # type: ignore[arg-type]
