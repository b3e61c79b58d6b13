"""Requests of many threads in one batch: none waits too long, none is lost, and each gets its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ward_feeds import until

from deepmag.export.runtime import open_ascender
from deepmag.models.weights import PULSE, RESPIRATION
from deepmag.stream.ward import batching
from deepmag.stream.ward.batched_ascender import BatchedAscender, BatchedRespiration
from deepmag.stream.ward.batching import Batcher

PATIENCE = 60.0  # s: long enough that only what is under test ends the wait


def doubled(requests: Sequence[int]) -> list[int]:
    if 13 in requests:
        raise ValueError("13")
    return [2 * request for request in requests]


def test_all_members_who_wait_go_together_at_once() -> None:
    batcher = Batcher(doubled, members=lambda: 4, budget=PATIENCE)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(batcher.submit, range(4))) == [0, 2, 4, 6]
    assert (batcher.batches, batcher.requests) == (1, 4)
    batcher.close()


def test_nobody_waits_for_one_who_stalls_beyond_the_budget() -> None:
    """Two are expected and one comes: it is served once its budget is spent, by the clock that it is given."""
    now = 0.0
    asked = threading.Event()

    def clock() -> float:
        nonlocal now
        now += 0.004
        asked.set()
        return now

    batcher = Batcher(doubled, members=lambda: 2, budget=0.005, clock=clock)
    assert batcher.submit(5) == 10
    assert asked.is_set()
    batcher.close()


def test_one_alone_does_not_wait() -> None:
    batcher = Batcher(doubled, members=lambda: 1, budget=PATIENCE)
    assert batcher.submit(5) == 10
    batcher.close()


def test_a_request_that_fails_fails_alone() -> None:
    batcher = Batcher(doubled, members=lambda: 3, budget=PATIENCE)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(batcher.submit, request) for request in (1, 13, 3)]
        assert answers[0].result() == 2
        assert answers[2].result() == 6
        with pytest.raises(ValueError, match="13"):
            answers[1].result()
    batcher.close()


def test_a_batch_is_no_larger_than_allowed() -> None:
    sizes, go_on = [], threading.Event()

    def run(requests: Sequence[int]) -> list[int]:
        sizes.append(len(requests))
        assert go_on.wait(PATIENCE)
        return list(requests)

    batcher = Batcher(run, members=lambda: 1, budget=PATIENCE, largest=3)
    with ThreadPoolExecutor(7) as pool:
        try:
            answers = [pool.submit(batcher.submit, 0)]
            until(lambda: sizes == [1], "the first to run")  # else others may be of its batch
            answers += [pool.submit(batcher.submit, i) for i in range(1, 7)]
            until(lambda: len(batcher._waiting) == 6, "all others to wait for it")
        finally:
            go_on.set()
        assert [answer.result() for answer in answers] == list(range(7))
    assert sizes == [1, 3, 3]
    batcher.close()


def test_after_the_end_nobody_is_left_waiting() -> None:
    batcher = Batcher(doubled, members=lambda: 1)
    batcher.close()
    with pytest.raises(RuntimeError, match="nothing runs"):
        batcher.submit(1)


def test_what_hangs_does_not_keep_the_end_from_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "CLOSE_TIMEOUT", 0.1)
    hangs, answers = threading.Event(), threading.Event()

    def hang(requests: Sequence[int]) -> list[int]:
        hangs.set()
        assert answers.wait(PATIENCE)
        return list(requests)

    batcher = Batcher(hang, members=lambda: 1)
    with ThreadPoolExecutor(2) as pool:
        try:
            answer = pool.submit(batcher.submit, 1)
            assert hangs.wait(PATIENCE)
            pool.submit(batcher.close).result(PATIENCE)
        finally:
            answers.set()
        assert answer.result(PATIENCE) == 1


def test_pairs_of_many_feeds_get_what_each_would_get_alone() -> None:
    alone = open_ascender(PULSE, device="cpu", threads=1)
    shared = BatchedAscender(alone, lambda: 3, PATIENCE)
    rng = np.random.default_rng(1)
    pairs = [rng.normal(0, 1e-3, (1, 3, 36, 36)).astype(np.float32) for _ in range(3)]
    directions = [rng.normal(0, 1, pair.shape).astype(np.float32) for pair in pairs]
    growths = (0.1, 0.5, 2.0)
    with ThreadPoolExecutor(3) as pool:
        steady = list(pool.map(shared.steady, pairs, directions, growths))
        # another step is another ascent: those of one camera's rate are not mixed with those of another's
        paper = list(pool.map(shared.paper, pairs, (6e-5, 3e-5, 6e-5)))
    for pair, direction, growth, found in zip(pairs, directions, growths, steady, strict=True):
        for a, b in zip(found, alone.steady(pair, direction, growth), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for pair, gamma, found in zip(pairs, (6e-5, 3e-5, 6e-5), paper, strict=True):
        for a, b in zip(found, alone.paper(pair, gamma), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert shared.mean_batch == 3
    shared.close()


def test_breaths_of_many_feeds_get_what_each_would_get_alone() -> None:
    from deepmag.export.respiration import open_respiration_ascender

    alone = open_respiration_ascender(RESPIRATION, "cpu")
    shared = BatchedRespiration(alone, lambda: 2, PATIENCE)
    rng = np.random.default_rng(2)
    pairs = [rng.normal(0, 0.1, (1, 4, 123, 123)).astype(np.float32) for _ in range(2)]
    weights = [rng.uniform(0, 1, pair.shape).astype(np.float32) for pair in pairs]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(shared.gradient, pairs, weights))
    for pair, weight, (y, gradient) in zip(pairs, weights, found, strict=True):
        y_alone, gradient_alone = alone.gradient(pair, weight)
        np.testing.assert_allclose(y, y_alone, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gradient, gradient_alone, rtol=1e-3, atol=1e-5)
    shared.close()
