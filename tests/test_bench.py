"""What the bench prints is what it measured."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from live_run import shipped

from deepmag.stream.bench import Quantiles, time_stages
from deepmag.stream.commands.bench import SIZE_RANGE, parse_size


def test_quantiles_are_in_milliseconds_and_without_what_is_taken_off() -> None:
    found = Quantiles.of(list(np.linspace(0.2, 0.3, 101)), minus=0.2)
    assert (found.p50, found.p95, found.p99) == pytest.approx((50.0, 95.0, 99.0))
    assert Quantiles.of([]) == Quantiles(None, None, None)


def test_a_size_is_read_or_refused_in_words() -> None:
    assert parse_size("640x480") == (640, 480)
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size("large")
    with pytest.raises(ValueError, match="height must be between"):
        parse_size("640x1")


def test_the_smallest_picture_that_is_taken_goes_through_all_stages() -> None:
    (width, _), (height, _) = SIZE_RANGE
    assert all(stage.p50 for stage in time_stages(shipped(), (width, height), "steady", rounds=1).values())


def test_the_command_measures_the_real_pipeline_with_the_page_open_to_a_viewer() -> None:
    command = [sys.executable, "-c", "from deepmag.stream.cli import main; main()"]
    done = subprocess.run(
        [*command, "bench", "--seconds", "3", "--size", "320x240", "--fps", "15", "--streams", "2", "--json"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)  # progress goes to standard error
    live = report["live"]
    assert live["seconds"] == pytest.approx(3.0, abs=1.0)
    assert live["frames"] > 10
    assert report["streams"][0] == {name: value for name, value in live.items() if name != "rss_growth"}
    assert len(report["streams"]) == 2
    assert report["streams"][1]["frames"] > 10
    assert live["fps"] == pytest.approx(live["frames"] / live["seconds"])
    assert set(live["dropped"]) == {"engine", "page"}
    for name in ("engine", "latency", "beyond_lag", "sent"):
        assert live[name]["p50"] <= live[name]["p95"] <= live[name]["p99"]
    # nothing is ready before its lag is over, nor sent before it is ready
    assert live["beyond_lag"]["p50"] > 0
    assert live["latency"]["p50"] == pytest.approx(live["beyond_lag"]["p50"] + live["lag_ms"])
    assert live["rss_growth"] == pytest.approx(live["rss_end"] - live["rss_start"])
    assert set(report["stages"]) == {"reduction", "ascent", "window", "reconstruction"}
    assert {row["mode"] for row in report["ascents"]} == {"steady", "paper"}
    assert all(row["ratio"] is None or row["ratio"] > 0 for row in report["ascents"])
    # the weights of 19 forward and 19 backward passes are 110 MB by themselves
    (paper,) = (row for row in report["ascents"] if row["mode"] == "paper")
    assert 110 < paper["mbyte"] < 500
