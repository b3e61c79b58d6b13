"""Our kernels of the pulse's ascent for a CPU: what torch computes, by any number of threads, on any CPU."""

from __future__ import annotations

import gc
import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ascender_parity import compare
from numba import njit
from test_ascent import pairs, pulse_net

from deepmag.export import team
from deepmag.export.device import CPU, Device
from deepmag.export.numba_ascender import TOGETHER, NumbaAscender
from deepmag.export.runtime import AscenderUnavailableError, open_ascender
from deepmag.models.ascent import ascend_paper, ascend_steady

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.networks import PulseNet

GAMMA = 6e-5
ROUNDING = 1e-5  # of float32, after some hundred thousand sums; relative


def network(closed: float = 0.0) -> PulseNet:
    """A random network. closed: how far its ReLUs' thresholds are raised, so that most channels stay at zero."""
    net = pulse_net()
    for conv in (net.conv1, net.conv2, net.conv3, net.conv4):
        conv.bias.data -= closed * torch.linspace(0, 1, len(conv.bias), dtype=torch.float64)
    return net


def arrays(net: PulseNet) -> dict[str, NDArray[np.float32]]:
    return {name: value.float().numpy() for name, value in net.state_dict().items()}


def opened(net: PulseNet, threads: int, paper: int = 4, steady: int = 3) -> NumbaAscender:
    return NumbaAscender(arrays(net), CPU, threads, paper, steady)


def assert_agree(found: tuple[NDArray[np.float32], ...], wanted: tuple[torch.Tensor, ...]) -> None:
    for name, one, other in zip(("dx", "y", "gradient"), found, wanted, strict=False):
        errors = compare(name, one, other.float().numpy()).errors
        # a ReLU on the edge may fall to the other side, and that pair's gradient jumps
        assert np.median(errors) < ROUNDING, (name, errors)
        assert errors.max() < 0.02, (name, errors)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("closed", [0.0, 2.0])
def test_the_kernels_compute_what_torch_computes(threads: int, closed: float) -> None:
    net, ascender = network(closed), opened(network(closed), threads)
    for count in (1, 3, TOGETHER + 1):
        x = pairs(count)
        x[0, 1, 3:5, 7] = 0.0  # where nothing changed nothing is added
        given = x.float().numpy()
        dx, y = ascender.paper(given, GAMMA)
        assert_agree((dx, y), ascend_paper(net, x, GAMMA, 4))
        assert not dx[0, 1, 3:5, 7].any()
        along, growth = 1e-3 * x.flip(0), torch.linspace(0.1, 0.9, count)
        assert_agree(
            ascender.steady(given, along.float().numpy(), growth.numpy()),
            ascend_steady(net, x, along, growth.double(), 3),
        )


def test_a_network_that_sees_nothing_changes_nothing() -> None:
    """Its gradient is zero everywhere, of either sign, and so is each list of channels."""
    net = network(1e3)
    for bias in (net.conv1.bias, net.conv2.bias, net.conv3.bias, net.conv4.bias):
        bias.data[:] = -1e3
    given = pairs(2).float().numpy()
    dx, y = opened(net, 2).paper(given, GAMMA)
    assert not dx.any()
    assert_agree((y,), (net(pairs(2)),))


def test_the_number_of_threads_does_not_change_the_result() -> None:
    given = pairs(3).float().numpy()
    one, many = (opened(network(), threads).paper(given, GAMMA)[0] for threads in (1, 4))
    np.testing.assert_array_equal(one, many)


def test_calls_from_several_threads_do_not_mix() -> None:
    ascender = opened(network(), 2)
    given = [pairs(1, seed=seed).float().numpy() for seed in range(4)]
    wanted = [ascender.paper(x, GAMMA)[0] for x in given]
    wrong: list[int] = []

    def call(number: int) -> None:
        results = [ascender.paper(given[number], GAMMA)[0] for _ in range(20)]
        wrong.extend(number for result in results if not np.array_equal(result, wanted[number]))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_read_only_array_is_not_changed_and_nothing_is_compiled_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ascender = opened(network(), 1)
    given = pairs(2).float().numpy()
    before = given.copy()
    results = [ascender.steady(given, given, 0.3)]
    given.flags.writeable = False
    with caplog.at_level(logging.DEBUG, logger="numba"):
        results.append(ascender.steady(given, given, 0.3))
    assert not [record for record in caplog.records if record.name.startswith("numba.core")]
    assert len(ascender._pulse._team._work.signatures) == 1  # nor loaded, compiled for it by an earlier run
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(given, before)


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(AscenderUnavailableError, match="on the CPU only: on a GPU choose torch or ort"):
        NumbaAscender(arrays(network()), Device(0), 1, 4, 2)
    with pytest.raises(ValueError, match="at least two iterations, not 1"):
        opened(network(), 1, paper=1)
    lacking = arrays(network())
    del lacking["conv3.bias"]
    with pytest.raises(ValueError, match=r"lack conv3\.bias"):
        NumbaAscender(lacking, CPU, 1, 4, 2)


def test_the_cpu_has_our_kernels_first_and_onnx_runtime_where_they_do_not_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = arrays(network())
    assert open_ascender(weights, device="cpu", threads=2).description == "numba CPU, 2 threads"

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no LLVM for this CPU\nand more")

    monkeypatch.setattr("deepmag.export.cpu_pulse.CpuPulse.compile", refuse)
    assert "onnxruntime" in open_ascender(weights, device="cpu").description
    with pytest.raises(
        AscenderUnavailableError, match=r"^numba cannot compile the ascent: no LLVM for this CPU$"
    ):
        open_ascender(weights, "numba", "cpu")


def test_where_nothing_can_be_kept_onnx_runtime_runs_rather_than_compile_at_every_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("cannot cache function 'ascend': no locator available")

    monkeypatch.setattr("numba.core.caching.CacheImpl.__init__", refuse)
    assert "onnxruntime" in open_ascender(arrays(network()), device="cpu").description
    with pytest.raises(AscenderUnavailableError, match=r"nowhere to keep .* set NUMBA_CACHE_DIR"):
        open_ascender(arrays(network()), "numba", "cpu")


@njit(nogil=True)
def count_parts(counters: Any, member: int, members: int, done: Any, order: Any) -> None:
    """A job that counts how often each part of each phase is done, and in what order the phases were."""
    phases, parts = done.shape
    for phase in range(phases):
        while True:
            part = team.claim(counters, phase, member, members, parts, phase % 2)
            if part < 0:
                break
            done[phase, part] += 1
            order[phase, part] = 0 if phase == 0 else done[phase - 1].sum()
            team.finish(counters, phase, members)
        team.wait(counters, phase, members, parts)


def assert_each_part_once(crew: team.Team) -> None:
    for parts in (1, 7, 18):
        done, order = np.zeros((40, parts), np.int64), np.zeros((40, parts), np.int64)
        crew.run(40, done, order)
        assert (done == 1).all()
        assert (order[1:] == parts).all()  # a phase begins when the one before is done


@pytest.mark.parametrize("members", [1, 2, 5])
def test_a_team_does_each_part_once_phase_by_phase(members: int) -> None:
    crew = team.Team(count_parts, members)
    for _ in range(30):
        assert_each_part_once(crew)


def test_threads_that_do_not_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that was forked, or where all other cores are taken."""
    crew = team.Team(count_parts, 3)
    monkeypatch.setattr("deepmag.export.team._Helper.call", lambda *_: None)
    assert_each_part_once(crew)


def test_threads_end_with_their_team() -> None:
    def helpers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("ascent-")]

    gc.collect()
    before = set(helpers())
    crew = team.Team(count_parts, 4)
    assert_each_part_once(crew)
    mine = set(helpers()) - before
    assert len(mine) == 3
    del crew
    gc.collect()
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()
