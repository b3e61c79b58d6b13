"""Gradient ascent in the input space of RespirationNet (Eq. 1-4). Everything is in units of X: phase differences, rad.

By automatic differentiation, which a GPU captures as a graph, and which `deepmag.export`'s written-out one is held to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepmag.models.ascent import check_iterations, mean_l1, per_pair
from deepmag.models.respiration import INPUT_SCALE
from deepmag.models.step_size import PAPER_ITERATIONS

if TYPE_CHECKING:
    from deepmag.models.networks import RespirationNet


def respiration_gradient(
    net: RespirationNet, x: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's output and its signed gradient with respect to X.

    net: frozen. x: (B, 4, 123, 123) phase differences held to REACH, rad. weight: like x, trust in them. Returns y
    (B,), in units of TARGET_SCALE, and dy/dX (B, 4, 123, 123), per rad: zero where nothing is trusted.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = net(x * weight / INPUT_SCALE)
        (gradient,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), gradient


def ascend_paper(
    net: RespirationNet,
    x: torch.Tensor,
    weight: torch.Tensor,
    gamma: float | torch.Tensor,
    iterations: int = PAPER_ITERATIONS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 4 to the letter, with the L1 norm as the mean absolute value over the elements of one pair.

    net, x, weight: as `respiration_gradient`. gamma: step in rad, a number or (B,) (see gamma_for_rate). iterations:
    N; N - 1 steps are taken. Returns the change X_N - X_1 like x, rad, and y(X_1) (B,). Nothing changes where nothing
    is trusted, and in a pair whose gradient is zero everywhere. As for the pulse (`ascent.ascend_paper`), the sign is
    that of X_1, since each step moves X away from zero.
    """
    check_iterations(iterations)
    gamma = per_pair(gamma, x)
    sign = x.sign()
    y_1, gradient = respiration_gradient(net, x, weight)
    magnified = x
    for n in range(1, iterations):
        if n > 1:
            _, gradient = respiration_gradient(net, magnified, weight)
        size = gradient.abs()
        magnified = magnified + gamma * sign * size / mean_l1(size)
    return magnified - x, y_1
