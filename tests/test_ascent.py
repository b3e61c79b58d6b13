"""The hand-written ascent against autograd and against Eq. 4 written out anew."""

from __future__ import annotations

import pytest
import torch

from deepmag.models.ascent import ascend_paper, ascend_steady, pulse_gradient
from deepmag.models.networks import PulseNet
from deepmag.models.representation import INPUT_SCALE
from deepmag.models.step_size import GAMMA, gamma_for_rate


def pulse_net(dtype: torch.dtype = torch.float64) -> PulseNet:
    """A random network whose activations neither die nor explode: He-scaled weights, some bias."""
    generator = torch.Generator().manual_seed(1)
    net = PulseNet().to(dtype)
    for parameter in net.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * (2 / fan_in) ** 0.5
        parameter.data = values.to(dtype)
    return net.eval().requires_grad_(False)


def pairs(count: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, 3, 36, 36, generator=generator, dtype=torch.float64) * 0.004).to(dtype)


def autograd(net: PulseNet, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_()
    y = net(x / INPUT_SCALE)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), gradient


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_the_gradient_is_autograds(dtype: torch.dtype, tolerance: float) -> None:
    net, x = pulse_net(dtype), pairs(3, dtype)
    y, gradient = pulse_gradient(net, x)
    expected_y, expected = autograd(net, x)
    assert expected.norm() > 0
    assert relative(gradient, expected) < tolerance
    assert relative(y, expected_y) < tolerance


def test_the_gradient_is_the_slope_of_the_output_in_units_of_x() -> None:
    net, x = pulse_net(), pairs(1)
    y, gradient = pulse_gradient(net, x)
    step = 1e-9 * pairs(1, seed=5) / 0.004
    moved, _ = pulse_gradient(net, x + step)
    assert float(moved - y) == pytest.approx(float((gradient * step).sum()), rel=1e-4)


def test_paper_ascent_is_equation_4_written_out() -> None:
    net, x_1 = pulse_net(), pairs(2)
    expected = []
    for pair in x_1:
        x = pair[None]
        for _ in range(4 - 1):
            y, gradient = autograd(net, x)
            g = torch.sign(y) * gradient  # of |y|
            x = x + GAMMA * g * torch.sign(x * g) / g.abs().mean()
        expected.append(x - pair)
    dx, y_1 = ascend_paper(net, x_1, GAMMA, iterations=4)
    assert relative(dx, torch.cat(expected)) < 1e-10
    assert relative(y_1, autograd(net, x_1)[0]) < 1e-10


def test_every_paper_step_moves_x_away_from_zero_by_gamma_on_average() -> None:
    x = pairs(2)
    dx, _ = ascend_paper(pulse_net(), x, GAMMA, iterations=6)
    assert (dx * x >= 0).all()
    torch.testing.assert_close(dx.abs().mean(dim=(1, 2, 3)), torch.full((2,), 5 * GAMMA, dtype=torch.float64))


def test_a_pair_with_no_gradient_is_left_alone() -> None:
    net = pulse_net()
    net.dense2.weight.zero_()
    dx, _ = ascend_paper(net, pairs(1), GAMMA, iterations=3)
    assert (dx == 0).all()


@pytest.mark.parametrize("mode", ["paper", "steady"])
def test_pairs_of_a_batch_do_not_influence_each_other(mode: str) -> None:
    net, x, direction = pulse_net(), pairs(3), pairs(3, seed=2)
    step = torch.tensor([1e-5, 2e-5, 5e-5], dtype=torch.float64)

    def ascend(rows: slice) -> torch.Tensor:
        if mode == "paper":
            return ascend_paper(net, x[rows], step[rows], iterations=4)[0]
        return ascend_steady(net, x[rows], direction[rows], step[rows] * 1e4, iterations=4)[0]

    together = ascend(slice(0, 3))
    alone = torch.cat([ascend(slice(i, i + 1)) for i in range(3)])
    assert relative(together, alone) < 1e-12


def test_steady_ascent_steps_by_y_along_the_direction() -> None:
    net, x, direction = pulse_net(), pairs(2), pairs(2, seed=3)
    at = x
    for _ in range(4 - 1):
        at = at + 0.3 * net(at / INPUT_SCALE)[:, None, None, None] * direction
    dx, y_1, gradient = ascend_steady(net, x, direction, 0.3, iterations=4)
    assert relative(dx, at - x) < 1e-10
    expected_y, expected = autograd(net, x)
    assert relative(y_1, expected_y) < 1e-10
    assert relative(gradient, expected) < 1e-10


def test_a_unit_direction_makes_y_grow_by_growth_each_step() -> None:
    net, x = pulse_net(), pairs(1)
    y_1, gradient = pulse_gradient(net, x)
    direction = gradient / (gradient**2).sum()
    # A growth so small that y is linear along the way.
    dx, _, _ = ascend_steady(net, x, direction, 1e-4, iterations=5)
    y_n, _ = pulse_gradient(net, x + dx)
    assert float(y_n / y_1) == pytest.approx((1 + 1e-4) ** 4, rel=1e-6)


def test_one_iteration_takes_no_step() -> None:
    net, x = pulse_net(), pairs(1)
    dx, y = ascend_paper(net, x, GAMMA, iterations=1)
    assert (dx == 0).all()
    assert relative(y, autograd(net, x)[0]) < 1e-10
    assert (ascend_steady(net, x, x, 1.0, iterations=1)[0] == 0).all()


def test_no_iteration_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one iteration"):
        ascend_paper(pulse_net(), pairs(1), GAMMA, iterations=0)


def test_the_steps_of_one_second_add_up_to_the_same_at_any_rate() -> None:
    assert gamma_for_rate(30.0) == pytest.approx(6e-5)
    assert gamma_for_rate(120.0) * 120 == pytest.approx(gamma_for_rate(30.0) * 30)
    with pytest.raises(ValueError, match="positive"):
        gamma_for_rate(0.0)
