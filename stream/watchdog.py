"""Tells the service manager that the work goes on, by systemd's protocol (sd_notify(3)).

A call into a GPU's driver can hang for ever. No thread can be ended from outside, so what has to be
replaced is the process, and that is the manager's: it ends one from which it has not heard for some time, and starts
another.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger("deepmag.stream.watchdog")


class Watchdog:
    """For a ``with`` around the work: it says when that begins and when it ends, and nothing where nobody listens.

    environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._address = environment.get("NOTIFY_SOCKET", "")
        # where the process was started by one that is watched itself
        ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        patience = environment.get("WATCHDOG_USEC", "") if ours else ""
        # three times in the manager's patience: one message that comes late is none that fails
        self._period = int(patience) / 3e6 if patience.isdecimal() else None
        self._said: float | None = None

    def __enter__(self) -> Self:
        self._send("READY=1")
        return self

    def __exit__(self, *_: object) -> None:
        self._send("STOPPING=1")  # to finish recordings takes its time

    def beat(self, *, works: bool) -> None:
        """Say that the work goes on, if it does and if it is time; for a loop to call often."""
        now = self._clock()
        if works and self._period is not None and (self._said is None or now - self._said >= self._period):
            self._said = now
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.sendto(state.encode(), socket.MSG_DONTWAIT, address)
        except OSError as error:
            log.warning("the service manager at NOTIFY_SOCKET cannot be told %s: %s", state, error)
