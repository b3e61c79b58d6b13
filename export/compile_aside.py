"""The kernels of `cpu_pulse` compiled beside a stream that is shown already.

Compiling takes ten to fifteen seconds, once on a machine: too long to wait in front of a camera, and in a thread it
would hold Python's lock for half of that time. So a process of its own does it, at a low priority.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from deepmag.export.cpu_pulse import CpuPulse
from deepmag.export.fallback import FallbackAscender
from deepmag.export.runtime import AscenderUnavailableError, load_weights
from deepmag.models.weights import PULSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepmag.export.runtime import Ascender

COMMAND = "from deepmag.export.compile_aside import main; main({})"
NICENESS = 10  # of the system's 19: on cores that are all taken it gets a tenth of what the stream gets

_log = logging.getLogger("deepmag.export.compile_aside")


def better_later(first: Ascender, open_better: Callable[[], Ascender]) -> FallbackAscender:
    """Run an ascender now, and another as soon as it is compiled; nothing changes where that fails.

    open_better: loads what was compiled. The process ends when this one does, however that may be.
    """
    both = FallbackAscender(first, None)
    threading.Thread(target=_improve, args=(both, open_better), name="compile-aside", daemon=True).start()
    return both


def _improve(both: FallbackAscender, open_better: Callable[[], Ascender]) -> None:
    _log.info(
        "faster kernels are being compiled for this CPU, once: until then, half a minute, the ascent runs in %s",
        both.description,
    )
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND.format(NICENESS)],
            stdin=subprocess.PIPE,  # nothing is written to it: see `_end_with_parent`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # a Ctrl-C is not for it; in a session of its own it would not be below this process in priority, where the
            # system shares its time between sessions
            process_group=0,
        )
    except OSError as error:
        _log.info("the ascent stays in %s: %s", both.description, error)
        return
    with process:
        assert process.stderr is not None
        said = process.stderr.read()
    try:
        if process.returncode:
            raise AscenderUnavailableError((said.strip().splitlines() or ["the compiler ended"])[-1])
        better = open_better()
    except AscenderUnavailableError as error:
        _log.info("the ascent stays in %s: %s", both.description, error)
    else:
        both.replace(better)
        _log.info("the ascent now runs in %s", better.description)


def main(niceness: int) -> None:
    """Compile what is not compiled yet. Where several processes want it at once, one does it and the others wait."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(AttributeError, OSError):
        os.nice(niceness)
    pulse = CpuPulse(load_weights(PULSE), 1)
    with suppress(ImportError, OSError):  # of a system or a file system without locks: then all compile
        import fcntl

        fcntl.flock(os.open(pulse.kept_in, os.O_RDONLY), fcntl.LOCK_EX)
    pulse.compile()


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the other end is closed, at the latest by the system
    os._exit(1)
