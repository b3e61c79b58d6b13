"""Threads that share the parts of a job of compiled code, phase by phase, and never wait for one that is late.

A phase's parts are claimed one by one, each thread its own share first, then what others have left. So the calling
thread does all of the job where the others do not come: on a busy machine the system, or Python's lock, may keep
them for longer than the job takes. They meet only where a phase must be done before the next one can begin.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

APART = 8  # numbers of 64 bits from one counter to the next: a cache line, so that threads do not share one
PATIENCE = 2000  # looks at a counter, some microseconds, before the core is offered to others


class Team:
    """Runs a function in several threads at once, the caller's among them.

    work: compiled, frees Python's lock, called as work(counters, member, members, ...); made of `claim`, `finish` and
    `wait`. Threads end with the team.
    """

    def __init__(self, work: Callable[..., None], members: int) -> None:
        self._work = work
        self._members = members
        self._helpers = [_Helper(work, member, members) for member in range(1, members)]
        for helper in self._helpers:
            weakref.finalize(self, helper.call, None)

    def run(self, phases: int, *arguments: Any) -> None:
        """Do a job of so many phases. One at a time."""
        counters = counters_of(phases, self._members)
        for helper in self._helpers:
            helper.call((counters, arguments))
        self._work(counters, 0, self._members, *arguments)


def counters_of(phases: int, members: int) -> NDArray[np.int64]:
    """For a job of so many phases: what each member has claimed, and what is done."""
    return np.zeros((phases, members + 1, APART), np.int64)


class _Helper:
    """A thread that sleeps until there is a job; of several that came meanwhile the last, the others are done."""

    def __init__(self, work: Callable[..., None], member: int, members: int) -> None:
        self._work, self._member, self._members = work, member, members
        self._job: tuple[NDArray[np.int64], tuple[Any, ...]] | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()
        threading.Thread(target=self._run, name=f"ascent-{member}", daemon=True).start()

    def call(self, job: tuple[NDArray[np.int64], tuple[Any, ...]] | None) -> None:
        """Wake it for a job, or to end. From one thread at a time."""
        self._job = job
        if self._asleep.locked():
            self._asleep.release()

    def _run(self) -> None:
        while True:
            self._asleep.acquire()
            job = self._job
            if job is None:
                return
            counters, arguments = job
            self._work(counters, self._member, self._members, *arguments)
            del job, counters, arguments  # not to be kept while it sleeps


@intrinsic
def _fetch_add(_context: Any, counters: Any, phase: Any, which: Any) -> tuple[Any, Any]:
    """Add one to a counter. Returns what it was."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counters, phase, which), generate


@intrinsic
def _fetch(_context: Any, counters: Any, phase: Any, which: Any) -> tuple[Any, Any]:
    """Read a counter that other threads change."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_place(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(counters, phase, which), generate


@intrinsic
def _offer_core(_context: Any) -> tuple[Any, Any]:
    """Let another thread have this core, where the system has a call for it."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        if os.name == "posix":
            yield_core = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield"
            )
            builder.call(yield_core, [])
        return _context.get_dummy_value()

    return types.void(), generate


def _place(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    """Where the counter of a phase is: pointer to 64 bits."""
    kind = signature.args[0]
    array = context.make_array(kind)(context, builder, value=arguments[0])
    zero = ir.Constant(ir.IntType(64), 0)
    indices = [arguments[1], arguments[2], zero]
    return cgutils.get_item_pointer(context, builder, kind, array, indices)


@njit
def claim(counters: Any, phase: int, member: int, members: int, parts: int, backward: int) -> int:
    """A part of a phase that nobody has yet, 0 to parts - 1, or -1 where there is none left.

    backward: the last of a share first. Phases that read the same should alternate: what was read last is still in
    the cache.
    """
    for turn in range(members):
        owner = (member + turn) % members
        first, end = parts * owner // members, parts * (owner + 1) // members
        taken = _fetch_add(counters, phase, owner)
        if taken < end - first:
            return int(end - 1 - taken if backward else first + taken)
    return -1


@njit
def finish(counters: Any, phase: int, members: int) -> None:
    """Say that a claimed part is done."""
    _fetch_add(counters, phase, members)


@njit
def wait(counters: Any, phase: int, members: int, parts: int) -> None:
    """Wait until all parts of a phase are done."""
    looks = 0
    while _fetch(counters, phase, members) < parts:
        looks += 1
        if looks > PATIENCE:
            _offer_core()
