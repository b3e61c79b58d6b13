"""The thread around a renderer: who waits, what is dropped, what is counted."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from render_frames import magnified

from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.thread import STALLED, RenderThread

if TYPE_CHECKING:
    from deepmag.stream.frames import MagnifiedFrame

PATIENCE = 20.0  # s; no test waits as long unless it fails


class Clock:
    """Monotonic time in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """A renderer that takes a frame only when it is let; or fails at one."""

    name = "slow"

    def __init__(self, *, fail_at: int | None = None, fail_open: str = "", free: bool = False) -> None:
        self.shown: list[int] = []
        self.threads: set[int] = set()
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(10**6 if free else 0)
        self.closed = 0
        self.fail_at = fail_at
        self.fail_open = fail_open

    def open(self) -> None:
        self.threads.add(threading.get_ident())
        if self.fail_open:
            raise RendererError(self.fail_open)

    def render(self, frame: MagnifiedFrame) -> None:
        self.threads.add(threading.get_ident())
        self.started.release()
        assert self.go.acquire(timeout=PATIENCE)
        if frame.frame.seq == self.fail_at:
            raise RendererError("cannot go on with rtsp://user:secret@host/x")
        self.shown.append(frame.frame.seq)

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


class Idler(Slow):
    """Counts how often it was idle."""

    idle_period = 0.01

    def __init__(self) -> None:
        super().__init__(free=True)
        self.idled = threading.Semaphore(0)

    def idle(self) -> None:
        self.idled.release()


def test_latest_shows_the_newest_frame_and_counts_those_it_replaced() -> None:
    renderer = Slow()
    thread = RenderThread(renderer, policy="latest")
    thread.start()
    thread.push(magnified(0))
    assert renderer.started.acquire(timeout=PATIENCE)
    for number in range(1, 10):  # none of these waits, though the renderer is stuck
        thread.push(magnified(number))
    renderer.go.release(2)
    assert thread.close(PATIENCE)
    assert renderer.shown == [0, 9]
    assert (thread.rendered, thread.dropped) == (2, 8)


def test_every_keeps_the_oldest_frames_in_order_and_counts_what_did_not_fit() -> None:
    renderer = Slow()
    thread = RenderThread(renderer, policy="every", depth=4)
    thread.start()
    thread.push(magnified(0))
    assert renderer.started.acquire(timeout=PATIENCE)
    for number in range(1, 10):
        thread.push(magnified(number))
    renderer.go.release(100)
    assert thread.close(PATIENCE)
    assert renderer.shown == [0, 1, 2, 3, 4]
    assert (thread.rendered, thread.dropped) == (5, 5)


def test_block_waits_for_a_slow_renderer_and_drops_nothing() -> None:
    renderer = Slow()
    thread = RenderThread(renderer, policy="every", depth=2, block=True)
    thread.start()

    def feed() -> None:
        for number in range(50):
            thread.push(magnified(number))

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert renderer.started.acquire(timeout=PATIENCE)
    assert feeder.is_alive()  # 50 frames cannot have gone into a queue of 2
    renderer.go.release(100)
    feeder.join(PATIENCE)
    assert thread.close(PATIENCE)
    assert renderer.shown == list(range(50))
    assert thread.dropped == 0


def test_block_lets_go_when_the_renderer_fails() -> None:
    renderer = Slow(fail_at=0)
    thread = RenderThread(renderer, policy="every", depth=1, block=True)
    thread.start()
    feeder = threading.Thread(target=lambda: [thread.push(magnified(n)) for n in range(5)])
    feeder.start()
    renderer.go.release(1)
    feeder.join(PATIENCE)
    assert not feeder.is_alive()
    assert thread.close(PATIENCE)
    assert (thread.rendered, thread.dropped) == (0, 5)


def test_a_failing_renderer_ends_alone_says_so_once_and_hides_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, sound = Slow(fail_at=1, free=True), Slow(free=True)
    threads = [RenderThread(broken, policy="every"), RenderThread(sound, policy="every")]
    with caplog.at_level(logging.DEBUG, "deepmag"):
        for thread in threads:
            thread.start()
        for number in range(20):
            for thread in threads:
                thread.push(magnified(number))
        assert all(thread.close(PATIENCE) for thread in threads)
    assert threads[0].error is not None
    assert "cannot go on" in threads[0].error
    assert (threads[0].rendered, threads[0].dropped) == (1, 19)
    assert threads[1].error is None
    assert sound.shown == list(range(20))
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "secret" not in threads[0].error + caplog.text


def test_a_renderer_that_cannot_even_be_closed_has_ended_all_the_same() -> None:
    class Wrong(Slow):
        def close(self) -> None:
            raise ZeroDivisionError("oops")

    thread = RenderThread(Wrong(free=True), policy="every")
    thread.start()
    thread.push(magnified(0))
    assert thread.close(PATIENCE)
    assert thread.closed
    assert (thread.rendered, thread.error) == (1, "unexpected ZeroDivisionError: oops")


def test_an_unexpected_exception_ends_the_renderer_with_an_error() -> None:
    class Wrong(Slow):
        def render(self, frame: MagnifiedFrame) -> None:
            raise ZeroDivisionError("oops")

    renderer = Wrong()
    thread = RenderThread(renderer)
    thread.start()
    thread.push(magnified(0))
    assert thread.close(PATIENCE)
    assert thread.error == "unexpected ZeroDivisionError: oops"
    assert renderer.closed == 1


def test_a_failed_open_is_known_at_once_and_still_closed() -> None:
    renderer = Slow(fail_open="no such folder")
    thread = RenderThread(renderer)
    thread.start()
    assert not thread.wait_opened(PATIENCE)
    assert thread.error == "no such folder"
    assert thread.close(PATIENCE)
    assert renderer.closed == 1
    thread.push(magnified(0))
    assert thread.dropped == 1


def test_open_render_and_close_run_in_one_thread_of_their_own() -> None:
    renderer = Slow(free=True)
    thread = RenderThread(renderer)
    thread.start()
    assert thread.wait_opened(PATIENCE)
    thread.push(magnified(0))
    assert thread.close(PATIENCE)
    assert thread.closed
    assert renderer.closed == 1
    assert len(renderer.threads) == 1
    assert threading.get_ident() not in renderer.threads


def test_a_stuck_renderer_does_not_hold_up_the_others_or_the_end() -> None:
    stuck, sound = Slow(), Slow(free=True)
    threads = [RenderThread(stuck), RenderThread(sound)]
    for thread in threads:
        thread.start()
        thread.push(magnified(0))
    assert threads[1].close(PATIENCE)
    assert not threads[0].close(0.05)
    assert not threads[0].closed
    stuck.go.release(1)
    assert threads[0].close(PATIENCE)


def test_a_renderer_that_hangs_at_a_picture_says_so_until_it_goes_on() -> None:
    clock, renderer = Clock(), Slow()
    thread = RenderThread(renderer, clock=clock)
    thread.start()
    thread.push(magnified(0))
    assert renderer.started.acquire(timeout=PATIENCE)
    clock.now += STALLED
    assert thread.trouble is None
    clock.now += 0.1
    assert (
        thread.trouble
        == "slow has been writing one picture for over 5 s: its disk or network does not answer"
    )
    assert thread.reported is None
    renderer.go.release(1)
    assert thread.close(PATIENCE)
    assert thread.trouble is None


def test_what_a_renderer_says_of_itself_is_shown_without_a_password() -> None:
    class Reporting(Slow):
        trouble = "push to rtsp://host/x?user=u&pass=secret no connection"
        lost = 0

    thread = RenderThread(Reporting())
    assert thread.trouble == "push to rtsp://host/x?user=u&pass=*** no connection"


def test_idle_is_called_again_and_again_while_no_frame_comes() -> None:
    renderer = Idler()
    thread = RenderThread(renderer)
    thread.start()
    for _ in range(3):
        assert renderer.idled.acquire(timeout=PATIENCE)
    assert thread.close(PATIENCE)


def test_a_thread_that_was_never_started_closes() -> None:
    thread = RenderThread(Slow())
    assert thread.close()
    assert thread.closed


@pytest.mark.parametrize(
    "wrong", [{"policy": "latest", "block": True}, {"policy": "every", "depth": 0}, {"policy": "evry"}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"block|depth|policy must be latest or every, not evry"):
        RenderThread(Slow(), **wrong)  # type: ignore[arg-type]
