"""The networks that tell one source's motion from all other motion (Fig. 3 of the paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from deepmag.models.phase import SIDE
from deepmag.models.pyramid_filters import ORIENTATIONS
from deepmag.models.representation import L

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PulseNet(nn.Module):
    """Motion branch of DeepPhys (Fig. 3a): a frame pair's normalized difference to the pulse's derivative.

    Input (B, 3, 36, 36): normalized difference / INPUT_SCALE. Output (B,): derivative of the pulse.
    conv3x3(32) conv3x3(32) avgpool2 conv3x3(64) conv3x3(64) avgpool2 dense(128) dense(1), ReLU between, none
    at the end: a bounded activation would limit how far the ascent can magnify (section 3.2).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.dense1 = nn.Linear(64 * (L // 4) ** 2, 128)
        self.dense2 = nn.Linear(128, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 3, 36, 36). Returns (B,)."""
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        x = torch.nn.functional.avg_pool2d(x, 2)
        x = torch.relu(self.conv4(torch.relu(self.conv3(x))))
        x = torch.nn.functional.avg_pool2d(x, 2)
        x = torch.relu(self.dense1(x.flatten(1)))
        result: torch.Tensor = self.dense2(x)
        return result[:, 0]

    @classmethod
    def from_weights(cls, weights: Mapping[str, torch.Tensor]) -> PulseNet:
        """A frozen network in evaluation mode. weights: this class's state dict."""
        net = cls()
        net.load_state_dict(dict(weights))
        return net.eval().requires_grad_(False)


class RespirationNet(nn.Module):
    """Phase differences of a frame pair to the chest's motion (Fig. 3b): like PulseNet, deeper, with SELU.

    Input (B, 4, 123, 123): see `respiration.network_input`. Output (B,): the chest's motion over the pair in units of
    `respiration.TARGET_SCALE`, positive as it rises. conv3x3(8) avgpool2 conv3x3(16) avgpool2 conv3x3(32) avgpool2
    conv3x3(48) avgpool2 conv3x3(64) avgpool2 conv3x3(64) dense(64) dense(1); SELU between, none at the end. 0.1 million
    parameters. The paper leaves the depth open: of four to six stages and of half and twice the widths this one follows
    people best whom it has not seen (benchmarks/depth.py); a large dense layer learns by heart where chests were.
    widths: of other networks like it, to compare with.
    """

    WIDTHS = (8, 16, 32, 48, 64, 64)

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inputs = (ORIENTATIONS, *widths[:-1])
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(inputs, widths, strict=True))
        side = SIDE // 2 ** (len(widths) - 1)
        self.dense1 = nn.Linear(widths[-1] * side**2, 64)
        self.dense2 = nn.Linear(64, 1)
        for layer in (*self.convs, self.dense1, self.dense2):
            # SELU keeps unit variance under these weights (Klambauer et al. 2017)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 4, 123, 123). Returns (B,)."""
        last = len(self.convs) - 1
        for i, conv in enumerate(self.convs):
            x = nn.functional.selu(conv(x))
            if i < last:
                x = nn.functional.avg_pool2d(x, 2)
        x = nn.functional.selu(self.dense1(x.flatten(1)))
        result: torch.Tensor = self.dense2(x)
        return result[:, 0]

    @classmethod
    def from_weights(cls, weights: Mapping[str, torch.Tensor]) -> RespirationNet:
        """A frozen network in evaluation mode. weights: this class's state dict."""
        net = cls()
        net.load_state_dict(dict(weights))
        return net.eval().requires_grad_(False)
