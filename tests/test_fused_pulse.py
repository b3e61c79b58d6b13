"""Our kernels of the pulse's ascent: what torch computes. Without a GPU they run in Triton's interpreter."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from test_ascent import pairs, pulse_net

from deepmag.export.device import CPU
from deepmag.export.torch_ascender import PlainPulse, TorchAscender
from deepmag.models.networks import PulseNet
from deepmag.models.steady import ascend_symmetric

# In a process of its own: what the interpreter has once replaced is of no use for a GPU.
INTERPRETED = """
import json
import torch
from test_ascent import pairs, pulse_net
from deepmag.export import fused_pulse
from deepmag.models.ascent import ascend_paper, ascend_steady, pulse_gradient

# few programs, since the interpreter takes a millisecond for each
fused_pulse.SMALL = fused_pulse.Tiles(block=512, columns=32, warps=4, splits=3, rows=16, together=1)
fused_pulse.LARGE = fused_pulse.Tiles(block=1024, columns=64, warps=4, splits=1, rows=16, together=8)
fused_pulse.FEW = 1
torch.set_num_threads(1)

def apart(name, found, wanted):
    for part, one, other in zip(("dx", "y", "gradient"), found, wanted):
        errors[f"{name} {part}"] = float((one - other).norm() / other.norm())

errors = {}
net = pulse_net(torch.float32)
fused = fused_pulse.FusedPulse(net, early=False)
one, two = pairs(1, torch.float32), pairs(2, torch.float32)
one[0, 1, 3:5, 7] = 0.0  # where nothing changed nothing is added
gamma, growth = torch.tensor([6e-5]), torch.tensor([0.1, 0.9])
found = fused.ascend_paper(one, gamma, 3)
apart("paper", found, ascend_paper(net, one, gamma, 3))
errors["nothing"] = float(found[0][0, 1, 3:5, 7].abs().max())
along = 1e-3 * two.flip(0)
apart("steady", fused.ascend_steady(two, along, growth, 2), ascend_steady(net, two, along, growth, 2))
print(json.dumps(errors))
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="no Triton: pip install triton")
def test_the_kernels_compute_what_torch_computes() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    errors = json.loads(run.stdout)
    assert errors.pop("nothing") == 0.0
    assert set(errors) == {"paper dx", "paper y", "steady dx", "steady y", "steady gradient"}
    assert max(errors.values()) < 5e-6, errors


def weights() -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in pulse_net(torch.float32).state_dict().items()}


def test_all_images_at_once_are_what_they_are_one_by_one() -> None:
    ascender = TorchAscender(weights(), CPU, 1, 4, 2)
    x = pairs(3, torch.float32).numpy()
    direction, growth = 1e-3 * x[::-1], np.array([0.1, 0.5, 0.9], np.float32)

    class OneByOne:
        steady = ascender.steady

    for found, wanted in zip(
        ascend_symmetric(ascender, x, direction, growth),
        ascend_symmetric(OneByOne(), x, direction, growth),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_where_the_kernels_do_not_compile_torch_s_operators_run(caplog: pytest.LogCaptureFixture) -> None:
    def uncompiled(net: PulseNet) -> PlainPulse:
        raise RuntimeError("Failed to find C compiler.\nSpecify one by CC.")

    with caplog.at_level(logging.WARNING, "deepmag"):
        ascender = TorchAscender(weights(), CPU, 1, 2, 2, makers=(uncompiled, PlainPulse))
    assert [record.getMessage() for record in caplog.records] == [
        "torch's own operators run the ascent, several times slower: Failed to find C compiler."
    ]
    x = pairs(1, torch.float32).numpy()
    wanted = TorchAscender(weights(), CPU, 1, 2, 2).paper(x, 6e-5)
    np.testing.assert_array_equal(ascender.paper(x, 6e-5)[0], wanted[0])
