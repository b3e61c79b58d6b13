"""What a person can set, and what is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from deepmag.stream.settings import LiveSettings, Region, Settings, parse_region


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gain": 0.9}, "gain must be between 1 and 100, not 0.9"),
        ({"gain": 100.1}, "gain must be"),
        ({"gain": float("nan")}, "gain must be"),
        ({"lag": -0.1}, "lag must be between 0 and 2 s"),
        ({"lag": 2.1}, "lag must be"),
        ({"mode": "loud"}, "mode must be one of steady, paper, not loud"),
        ({"target": "sweat"}, "target must be one of pulse, respiration, both, not sweat"),
        ({"target": "both", "method": "evm"}, "evm has no target"),
        ({"gain": "16"}, "gain must be a number, not '16'"),
        ({"lag": None}, "lag must be a number, not None"),
        ({"roi": (0, 0, 36, 35)}, "at least 36 pixels"),
        ({"roi": (0.0, 0.0, 64.0, 64.0)}, "roi must be X,Y,W,H in whole pixels"),
        ({"roi": (0, 0, float("nan"), 64)}, "roi must be X,Y,W,H in whole pixels"),
        ({"roi": (-1, 0, 36, 36)}, "roi must be"),
        ({"roi": "left"}, "roi must be auto, full or X,Y,W,H, not left"),
    ],
)
def test_what_is_out_of_range_is_refused_and_nothing_changes(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Settings(**changes)
    live = LiveSettings(Settings())
    with pytest.raises(ValueError, match=reason):
        live.change(**changes)
    assert live.current == Settings()


@pytest.mark.parametrize(("name", "value"), [("method", "evm"), ("target", "both"), ("whole_clip", True)])
def test_what_is_fixed_while_it_runs_is_not_changed_without_a_word(name: str, value: object) -> None:
    live = LiveSettings(Settings())
    with pytest.raises(ValueError, match=f"the {name} is fixed while it runs"):
        live.change(gain=20.0, **{name: value})
    assert live.current == Settings()
    live.change(gain=20.0, **{name: getattr(Settings(), name)})
    assert live.current.gain == 20.0


def test_the_ends_of_each_range_are_in_it() -> None:
    for gain, lag in ((1.0, 0.0), (100.0, 2.0)):
        assert Settings(gain=gain, lag=lag, roi=(0, 0, 36, 36)).gain == gain


@pytest.mark.parametrize(
    ("text", "region"), [("auto", "auto"), ("full", "full"), ("1, 2,40,50", (1, 2, 40, 50))]
)
def test_a_region_is_read(text: str, region: Region) -> None:
    assert parse_region(text) == region


@pytest.mark.parametrize("text", ["", "face", "1,2,3", "1,2,3,4,5", "1,2,3,x"])
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="roi must be auto, full or X,Y,W,H in pixels"):
        parse_region(text)
