"""Gradient ascent in the input space of PulseNet (Eq. 1-4), its backward pass written as convolutions.

With frozen weights the gradient is a fixed chain: flipped kernels, ReLU masks, an upsampling for each average
pool. Written out it needs no autograd tape, and is the same graph that ``deepmag.export`` builds for ONNX
Runtime. Everything here is in units of X, the unitless normalized difference (Eq. 14): the division by
INPUT_SCALE, which the network's input needs, happens inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from deepmag.models.representation import INPUT_SCALE, L
from deepmag.models.step_size import PAPER_ITERATIONS, STEADY_ITERATIONS

if TYPE_CHECKING:
    from deepmag.models.networks import PulseNet


class _Tape(NamedTuple):
    """What the backward pass needs of the forward pass: where each ReLU was open."""

    open1: torch.Tensor  # (B, 32, 36, 36) bool
    open2: torch.Tensor  # (B, 32, 36, 36)
    open3: torch.Tensor  # (B, 64, 18, 18)
    open4: torch.Tensor  # (B, 64, 18, 18)
    open5: torch.Tensor  # (B, 128)


def _forward(net: PulseNet, x: torch.Tensor) -> tuple[torch.Tensor, _Tape]:
    """The network's output (B,) at X = x, and the tape. x: (B, 3, 36, 36), units of X."""
    h1 = functional.conv2d(x / INPUT_SCALE, net.conv1.weight, net.conv1.bias, padding=1).relu_()
    h2 = functional.conv2d(h1, net.conv2.weight, net.conv2.bias, padding=1).relu_()
    h3 = functional.conv2d(functional.avg_pool2d(h2, 2), net.conv3.weight, net.conv3.bias, padding=1).relu_()
    h4 = functional.conv2d(h3, net.conv4.weight, net.conv4.bias, padding=1).relu_()
    pooled = functional.avg_pool2d(h4, 2)
    h5 = functional.linear(pooled.flatten(1), net.dense1.weight, net.dense1.bias).relu_()
    y = functional.linear(h5, net.dense2.weight, net.dense2.bias)[:, 0]
    return y, _Tape(h1 > 0, h2 > 0, h3 > 0, h4 > 0, h5 > 0)


def _backward(net: PulseNet, tape: _Tape) -> torch.Tensor:
    """dy/dX (B, 3, 36, 36), in units of 1/X, at the point where the tape was written."""
    g = tape.open5 * net.dense2.weight  # (B, 128)
    g = (g @ net.dense1.weight).reshape(-1, net.conv4.out_channels, L // 4, L // 4)
    g = _pool_backward(g) * tape.open4
    g = _conv_backward(g, net.conv4.weight) * tape.open3
    g = _conv_backward(g, net.conv3.weight)
    g = _pool_backward(g) * tape.open2
    g = _conv_backward(g, net.conv2.weight) * tape.open1
    return _conv_backward(g, net.conv1.weight) / INPUT_SCALE


def _conv_backward(g: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Gradient of a padded 3x3 convolution's input: a convolution, kernel flipped and channels swapped."""
    return functional.conv2d(g, kernel.flip(2, 3).transpose(0, 1), padding=1)


def _pool_backward(g: torch.Tensor) -> torch.Tensor:
    """Gradient of a 2x2 average pool's input: each of the four pixels has a quarter."""
    return functional.interpolate(g / 4, scale_factor=2, mode="nearest")


@torch.no_grad()
def pulse_gradient(net: PulseNet, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's output and its signed gradient with respect to X.

    x: (B, 3, 36, 36) normalized differences. Returns y (B,) and dy/dX (B, 3, 36, 36), per unit of X.
    """
    y, tape = _forward(net, x)
    return y, _backward(net, tape)


@torch.no_grad()
def ascend_paper(
    net: PulseNet, x: torch.Tensor, gamma: float | torch.Tensor, iterations: int = PAPER_ITERATIONS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 4 to the letter, with the L1 norm as the mean absolute value over the elements of one pair.

    x: (B, 3, 36, 36) normalized differences X_1, each pair on its own. gamma: step in units of X, a number or
    (B,) (see gamma_for_rate). iterations: N; N - 1 steps are taken. Returns the change X_N - X_1 (B, 3, 36,
    36) in units of X, and y(X_1) (B,). A pair whose gradient is zero everywhere is not changed.

    The sum in place of the mean would make a step 3888 times smaller: nothing would be seen. y itself does
    not enter: the sign of the gradient of |y| is replaced by that of X, and its magnitude by gamma.
    """
    check_iterations(iterations)
    gamma = per_pair(gamma, x)
    # Each step moves X away from zero, so the sign of X_n is that of X_1.
    sign = x.sign()
    magnified = x
    y_1 = x.new_zeros(x.shape[0])
    for n in range(1, iterations):
        y, tape = _forward(net, magnified)
        if n == 1:
            y_1 = y
        g = _backward(net, tape).abs_()
        magnified = magnified + gamma * sign * g / mean_l1(g)
    if iterations == 1:
        y_1, _ = _forward(net, x)
    return magnified - x, y_1


@torch.no_grad()
def ascend_steady(
    net: PulseNet,
    x: torch.Tensor,
    direction: torch.Tensor,
    growth: float | torch.Tensor,
    iterations: int = STEADY_ITERATIONS,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ascent by steps proportional to y: X_{n+1} = X_n + growth * y(X_n) * direction.

    x: (B, 3, 36, 36) normalized differences X_1. direction: the same shape, units of X: what raises y by one,
    usually a gradient averaged over the last second. growth: a number or (B,), no unit; N - 1 steps raise y
    about (1 + growth)^(N - 1) fold. Returns X_N - X_1 (B, 3, 36, 36) in units of X, y(X_1) (B,), and the
    signed gradient dy/dX at X_1 (B, 3, 36, 36) for the caller to average.
    """
    check_iterations(iterations)
    growth = per_pair(growth, x)
    y_1, tape = _forward(net, x)
    y = y_1
    dx = torch.zeros_like(x)
    for n in range(1, iterations):
        if n > 1:
            y, _ = _forward(net, x + dx)
        dx = dx + growth * y[:, None, None, None] * direction
    return dx, y_1, _backward(net, tape)


def mean_l1(g: torch.Tensor) -> torch.Tensor:
    """Mean of non-negative g over each pair (B, 1, 1, 1), never zero: 0 / tiny is the zero step wanted."""
    return g.mean(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(g.dtype).tiny)


def per_pair(value: float | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A number or (B,) as (1 or B, 1, 1, 1) in x's type."""
    return torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)


def check_iterations(iterations: int) -> None:
    """Raise ValueError where there is none."""
    if iterations < 1:
        raise ValueError(f"the ascent needs at least one iteration, not {iterations}")
