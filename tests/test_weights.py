"""The network that ships: its size, that it loads, and what it sees in a real face that it was never trained on."""

from __future__ import annotations

import csv

import av
import numpy as np
import pytest
import torch
from live_run import in_band, lag_of
from safetensors.torch import load_file

from deepmag.models.networks import PulseNet
from deepmag.models.representation import INPUT_SCALE, normalized_difference, reduce_frame
from deepmag.models.weights import PULSE

LARGEST = 4_000_000  # bytes


@pytest.fixture(scope="module")
def net():
    return PulseNet.from_weights(load_file(PULSE))


def test_the_shipped_weights_are_small_whole_and_finite(net):
    assert PULSE.stat().st_size < LARGEST
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())


def test_on_a_real_face_the_integrated_output_follows_the_contact_ppg(net, shared_data, clips):
    clip = clips["clip_a"]
    x, y, w, h = clip["face"]
    side = round(1.5 * h)
    left, top = max(0, round(x + w / 2 - side / 2)), max(0, round(y + h / 2 - side / 2))
    with av.open(str(shared_data / clip["file"])) as container:
        rate = float(container.streams.video[0].average_rate)
        small = np.stack(
            [
                reduce_frame(frame.to_ndarray(format="rgb24")[top : top + side, left : left + side])
                for frame in container.decode(video=0)
            ]
        )
    with (shared_data / clip["ppg"]).open() as file:
        ppg = np.array([float(row["ppg"]) for row in csv.DictReader(file)])[1 : len(small)]
    with torch.no_grad():
        change = net(torch.from_numpy(normalized_difference(small[:-1], small[1:]) / INPUT_SCALE)).numpy()
    lag, r = lag_of(in_band(np.cumsum(change), rate), in_band(ppg, rate), rate, limit=0.15)
    assert r >= 0.70, f"r = {r:.3f} at a lag of {lag:+.3f} s"
