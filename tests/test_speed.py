"""What an ascent is held against: a matrix product of the same cores or the same GPU."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from deepmag.export import speed
from deepmag.export.device import cuda_device_count
from deepmag.export.speed import Contender, Row, measure

SIDE = 256


@pytest.fixture(params=["cpu", "cuda:0"])
def where(request: pytest.FixtureRequest) -> torch.device:
    if request.param != "cpu" and not (cuda_device_count() and torch.cuda.is_available()):
        pytest.skip("no GPU here")
    return torch.device(request.param)


def row(threads: int, gpu: torch.device | None) -> Row:
    return measure([Contender("any", "paper", threads, 10**9, lambda: None, gpu=gpu)], 3)[0]


def test_a_gpu_is_held_against_its_own_matrix_product(
    monkeypatch: pytest.MonkeyPatch, where: torch.device
) -> None:
    monkeypatch.setattr(speed, "GPU_SGEMM_SIDE", SIDE)
    seen: list[tuple[torch.device, int]] = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b: (seen.append((a.device, len(a))), product(a, b))[1])
    found = row(0, where)
    assert set(seen) == {(where, SIDE)}
    assert found.ratio is not None
    assert found.ratio > 0


def test_a_gpu_that_torch_cannot_use_has_no_ratio() -> None:
    assert row(0, None).ratio is None
    assert row(1, None).ratio is not None


def test_the_ratio_is_of_the_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second with each look: all take one second."""
    seconds = count()
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(seconds)))
    found = row(1, None)
    assert found.p50_ms == 1e3
    assert found.ratio == pytest.approx(10**9 / (2 * speed.SGEMM_SIDE**3))
