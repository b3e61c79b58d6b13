"""Signals that ask a command to stop, heard by an event: of what runs live, and of what works through a task."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from types import FrameType


def stop_on_signals(stop: threading.Event) -> None:
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
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # as under nohup
        signal.signal(hangup, on_signal)


def stop_on_ctrl_c(stop: threading.Event) -> None:
    """Set ``stop`` on Ctrl-C and SIGTERM; asked twice, what runs is left where it is, and its workers are ended."""

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
