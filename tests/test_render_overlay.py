"""What is drawn on a picture, and what is withdrawn from it."""

from __future__ import annotations

import numpy as np
import pytest
from render_frames import READING, Panel

from deepmag.stream.frames import Reading
from deepmag.stream.render.overlay import STATE_COLOURS, draw_overlay, shown_reading, shown_state
from deepmag.stream.status import Status

STATES = list(STATE_COLOURS)
GREY = np.full((480, 640, 3), 120, np.uint8)


def panel(**status: object) -> Status:
    return Panel(**status).shown


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_own_colour_on_the_picture(state: str) -> None:
    drawn = draw_overlay(GREY, panel(state=state), {"pulse": READING})
    present = {other for other in STATES if (drawn == STATE_COLOURS[other]).all(axis=2).sum() > 100}
    assert present == {state}


@pytest.mark.parametrize(("status_age", "picture_age"), [(1.2, 0.0), (0.0, 1.2)])
def test_a_live_source_without_a_new_picture_for_a_second_is_shown_as_stale(
    status_age: float, picture_age: float
) -> None:
    assert shown_state(panel(age=status_age), picture_age) == "stale"
    assert shown_state(panel(age=0.9), 0.9) == "live"
    assert shown_state(panel(state="lost", age=5.0), 5.0) == "lost"


def test_a_rate_is_shown_only_while_live() -> None:
    assert shown_reading(READING, "live") == READING
    for state in STATES:
        if state != "live":
            withdrawn = shown_reading(READING, state)
            assert withdrawn.rate is None
            assert withdrawn.reason
    assert shown_reading(None, "live").rate is None


def test_the_numbers_vanish_from_a_stale_picture() -> None:
    status = panel()
    with_rate, other_rate = READING, Reading(55.0, 0.9, "")
    live = [draw_overlay(GREY, status, {"pulse": r}) for r in (with_rate, other_rate)]
    stale = [draw_overlay(GREY, status, {"pulse": r}, picture_age=2.0) for r in (with_rate, other_rate)]
    assert not np.array_equal(*live)
    np.testing.assert_array_equal(*stale)
    assert stale[0][200:210, 20:40].mean() < GREY.mean() / 2  # and the picture is dimmed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dropped": {"ring": 0}}, {"dropped": {"ring": 7}}),
        ({}, {"troubles": ("recording to a.mkv stopped: the disk is full",)}),
        ({"latency_p95": 0.31}, {"latency_p95": 0.91}),
        ({"latency_p50": None}, {"latency_p50": 0.28}),
        ({"recording": ""}, {"recording": "a.mkv"}),
        ({"state": "lost", "detail": "refused"}, {"state": "lost", "detail": "no such host"}),
    ],
)
def test_a_figure_that_changes_changes_the_picture(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = (draw_overlay(GREY, panel(**status), {"pulse": READING}) for status in (one, other))
    assert not np.array_equal(first, second)


def test_two_signals_stand_one_below_the_other_and_both_are_withdrawn() -> None:
    breath = Reading(14.6, 0.7, "")
    pulse_only, both, other = (
        draw_overlay(GREY, panel(), readings)
        for readings in (
            {"pulse": READING},
            {"pulse": READING, "respiration": breath},
            {"pulse": READING, "respiration": Reading(31.0, 0.7, "")},
        )
    )
    np.testing.assert_array_equal(pulse_only[:68], both[:68])
    changed = np.argwhere((both != other).any(axis=2))
    assert 68 < changed[:, 0].min() < changed[:, 0].max() < 140
    assert changed[:, 1].min() > 320
    stale = [
        draw_overlay(GREY, panel(), {"pulse": READING, "respiration": reading}, picture_age=2.0)
        for reading in (breath, Reading(31.0, 0.7, ""))
    ]
    np.testing.assert_array_equal(*stale)


def test_the_reason_stands_where_there_is_no_rate() -> None:
    drawn = [
        draw_overlay(GREY, panel(), {"pulse": Reading(None, 0.1, why)}) for why in ("motion", "too dark")
    ]
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize("shape", [(144, 176), (36, 36), (300, 400), (1080, 1920), (640, 360), (20, 3000)])
def test_any_size_can_be_drawn_on_and_the_picture_given_stays_untouched(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    before = image.copy()
    image.setflags(write=False)
    reading = Reading(None, 0.0, "a long reason, longer than a small picture is wide \N{EM DASH} by far")
    drawn = draw_overlay(image, panel(), {"pulse": reading}, notes=("one", "two"))
    np.testing.assert_array_equal(image, before)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] >= 480
    assert drawn.shape[1] % shape[1] == 0


def test_most_of_a_live_picture_is_left_as_it_is() -> None:
    drawn = draw_overlay(GREY, panel(), {"pulse": READING})
    assert (drawn == GREY).all(axis=2).mean() > 0.9
    np.testing.assert_array_equal(drawn[80:440], GREY[80:440])
