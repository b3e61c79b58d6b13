"""Takes to train on, made in other processes where that is asked for: they are made on a CPU, and one core is slow."""

from __future__ import annotations

import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from deepmag.models.synthetic.assets import Assets, load_assets
from deepmag.models.training.deaf import deaf

AHEAD = 3  # takes a worker has to do before they are asked for

Take = TypeVar("Take")
Draw = Callable[[np.random.Generator, Assets | None, str], Take]

_own: dict[str, Assets | None] = {}  # what a worker has: its assets


class Supply(Generic[Take]):
    """Endless takes, each drawn from its own number: the same ones whoever makes them, and after a resumption too.

    draw: a function of a module, since workers import it. first: the number of the first take. assets: what some of
    them are made from; workers use their own, of the same folder, or none if there are none here. device: where they
    are made without a pool.
    """

    def __init__(
        self,
        draw: Draw[Take],
        seed: int,
        first: int = 0,
        *,
        assets: Assets | None = None,
        device: str = "cpu",
        pool: ProcessPoolExecutor | None = None,
        workers: int = 0,
    ) -> None:
        self._draw, self._seed, self._next = draw, seed, first
        self._assets, self._device = assets, device
        self._pool, self._ahead = pool, AHEAD * workers
        self._coming: deque[Future[bytes]] = deque()

    def take(self) -> Take:
        """The next one. Raises BrokenProcessPool where a worker died."""
        if self._pool is None:
            self._next += 1
            return self._draw(np.random.default_rng([self._seed, self._next - 1]), self._assets, self._device)
        while len(self._coming) < self._ahead:
            with deaf():  # this may start a process
                self._coming.append(
                    self._pool.submit(_made, self._draw, self._seed, self._next, self._assets is None)
                )
            self._next += 1
        # pickled by the worker: as an object, its tensors would come as shared memory, of which there may be little
        taken: Take = pickle.loads(self._coming.popleft().result())
        return taken

    def several(self, count: int, keep_going: Callable[[], bool]) -> list[Take]:
        """The next ones; fewer where ``keep_going`` says no meanwhile."""
        taken: list[Take] = []
        while len(taken) < count and keep_going():
            taken.append(self.take())
        return taken


@contextmanager
def worker_pool(workers: int, assets: Path | None) -> Iterator[ProcessPoolExecutor | None]:
    """Worker processes with the assets of a folder, or None for no workers. What is not begun at the end is dropped."""
    if workers == 0:
        yield None
        return
    # CUDA does not survive a fork
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (assets,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(assets: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's, which then ends the workers
    torch.set_num_threads(1)
    _own["assets"] = load_assets(assets) if assets is not None else None


def _made(draw: Draw[Take], seed: int, number: int, plain: bool) -> bytes:
    return pickle.dumps(draw(np.random.default_rng([seed, number]), None if plain else _own["assets"], "cpu"))
