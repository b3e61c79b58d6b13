"""The gradient of RespirationNet in its input space. Everything is in units of X: weighted phase differences, rad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepmag.models.respiration import INPUT_SCALE

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
