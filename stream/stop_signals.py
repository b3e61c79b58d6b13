"""Signals that ask a command to stop: of what runs live, and of what works through a task."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SHOW_CURSOR = b"\x1b[?25h"  # to a terminal, whose cursor a progress bar hides


class Stop:
    """Whether a command is to stop, asked for by a signal or by any thread, and waited for by one.

    No `threading.Event`: a handler runs in the main thread, which may hold the event's own lock since it has just begun
    to wait, and would then wait for itself for good. A `queue.SimpleQueue` may be put to from anywhere.
    """

    def __init__(self) -> None:
        self._asked = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Ask for it; more than once is as once."""
        if not self._asked:
            self._asked = True
            self._wake.put(None)

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._asked

    def wait(self, timeout: float) -> bool:
        """Wait until it is asked for, at most so many seconds. Returns whether it was."""
        if not self._asked:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=timeout)
        return self._asked


def stop_on_signals(stop: Stop) -> None:
    """Set ``stop`` on Ctrl-C, SIGTERM and a terminal that is closed; asked twice, the process ends at once."""
    hangup = getattr(signal, "SIGHUP", None)  # which Windows has not
    on_terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # a closed one says no

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number == hangup:
            # It comes twice, from the kernel and from the shell. To write to a terminal that is gone is an error,
            # which must not be what ends a recording.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in on_terminal:
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
        elif stop.is_set():  # asked twice: the person does not want to wait
            for descriptor in on_terminal[:1]:
                with contextlib.suppress(OSError, ValueError):
                    if select.select([], [descriptor], [], 0)[1]:  # else Ctrl-S holds it
                        os.write(descriptor, SHOW_CURSOR)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # as under nohup
        signal.signal(hangup, on_signal)


def stop_on_ctrl_c(stop: Stop) -> None:
    """Set ``stop`` on Ctrl-C and SIGTERM; asked twice, what runs is left where it is, and its workers are ended."""

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
