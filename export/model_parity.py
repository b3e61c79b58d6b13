"""Whether an exported model computes what torch does, and where the two differ, why.

Each output is compared twice: as it is, and with torch's units held to the sides of zero that the model's took (see
`sides`). The second is the verdict. A mistake in the graph shows in both; a unit so near to zero that rounding decides
shows in the first only, there with up to some per cent, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepmag.export.ascent_loop import PAPER, STEADY
from deepmag.export.exported import ExportedModel
from deepmag.export.sides import Imposed, with_sides
from deepmag.models import ascent, respiration_ascent
from deepmag.models.steady import GROWTH
from deepmag.models.step_size import GAMMA, REFERENCE_RATE, RESPIRATION_GAMMA

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx
    from numpy.typing import NDArray

    from deepmag.export.ascent_loop import Signal
    from deepmag.models.networks import PulseNet, RespirationNet

    Floats = NDArray[np.float32]
    Reference = Callable[[], tuple[torch.Tensor, ...]]

BOUNDS = {"fp32": 1e-4, "fp16": 2e-2}  # relative L2 error
# Of its layer's RMS: how far from zero a unit may be on which model and torch disagree. Seen: 3e-6; and of respiration
# in half precision, whose steps lead elsewhere, 0.4.
TIES = {"fp32": 1e-4, "fp16": 1.0}


@dataclass(frozen=True, slots=True)
class ModelParity:
    """How far one output is from torch's on some pairs.

    name: of mode and output, "paper dx". error: relative L2, over all pairs together. worst: of the pair that is
    furthest; for y, one number a pair, as a share of the RMS of all. alike: ``error`` with torch's units on the model's
    sides. flipped: units, of all ``units`` evaluated, that torch had on the other side, the furthest of them
    ``furthest`` of its layer's RMS from zero. precision: the model's, on which the bounds depend.
    """

    name: str
    error: float
    worst: float
    alike: float
    flipped: int
    units: int
    furthest: float
    precision: str

    @property
    def agrees(self) -> bool:
        """Whether the error is within the bound, but for units at zero."""
        return self.alike <= self.bound and self.furthest <= TIES[self.precision]

    @property
    def bound(self) -> float:
        """Of ``alike``."""
        return BOUNDS[self.precision]


def compare_pulse(
    model: onnx.ModelProto, net: PulseNet, x: Floats, rate: float = REFERENCE_RATE
) -> list[ModelParity]:
    """Compare an exported model of the pulse with torch in both modes, by the product's own steps.

    net: frozen, on the CPU. x: (B, 3, 36, 36), units of X. rate: pairs a second. The direction of the steady ascent is
    each pair's own gradient.
    """
    comparison = _Comparison(model, "pulse")
    tensor = torch.from_numpy(x)
    _, grad = ascent.pulse_gradient(net, tensor)
    # Along g / |g|^2 a step of one raises y by one.
    direction = grad / grad.square().sum(dim=(1, 2, 3), keepdim=True)
    given = {"x": x, "direction": direction.numpy(), "growth": np.full(len(x), GROWTH, np.float32)}
    scale = REFERENCE_RATE / rate
    steps, few = comparison.paper_iterations, comparison.steady_iterations
    paper = comparison.of(
        PAPER, GAMMA, scale, given, lambda: ascent.ascend_paper(net, tensor, GAMMA * scale, steps)
    )
    return paper + comparison.of(
        STEADY, 0.0, 1.0, given, lambda: ascent.ascend_steady(net, tensor, direction, GROWTH, few)
    )


def compare_respiration(
    model: onnx.ModelProto, net: RespirationNet, x: Floats, weight: Floats, rate: float = REFERENCE_RATE
) -> list[ModelParity]:
    """The same for respiration. x: (B, 4, 123, 123), rad. weight: like x. In `steady` there is only y and gradient."""
    comparison = _Comparison(model, "respiration")
    tensor, trust = torch.from_numpy(x), torch.from_numpy(weight)
    given = {"x": x, "weight": weight}
    scale, steps = REFERENCE_RATE / rate, comparison.paper_iterations

    def gradient() -> tuple[torch.Tensor, ...]:
        y, grad = respiration_ascent.respiration_gradient(net, tensor, trust)
        return torch.zeros_like(tensor), y, grad

    paper = comparison.of(
        PAPER,
        RESPIRATION_GAMMA,
        scale,
        given,
        lambda: respiration_ascent.ascend_paper(net, tensor, trust, RESPIRATION_GAMMA * scale, steps),
    )
    return paper + comparison.of(STEADY, 0.0, 1.0, given, gradient)


class _Comparison:
    """A model as it is, and one that also tells its units' sides."""

    def __init__(self, model: onnx.ModelProto, signal: Signal) -> None:
        self._plain = ExportedModel(model.SerializeToString(), signal)
        self._telling = ExportedModel(with_sides(model).SerializeToString(), signal)
        properties = self._plain.properties
        self.precision = properties["precision"]
        self.paper_iterations = int(properties["paper_iterations"])
        self.steady_iterations = int(properties["steady_iterations"])

    def of(
        self, mode: int, gamma: float, fps_scale: float, given: dict[str, Floats], reference: Reference
    ) -> list[ModelParity]:
        """Compare what one mode gives; reference: the same in torch, in the order of the model's outputs."""
        outputs = self._plain.run(mode, gamma, fps_scale, given)
        layers = self._telling.run(mode, gamma, fps_scale, given)[3:]
        imposed = Imposed([layer[n] for n in range(len(layers[0])) for layer in layers])
        free = reference()
        with imposed:
            alike = reference()
        names = [f"{'paper' if mode == PAPER else 'steady'} {name}" for name in ("dx", "y", "grad")]
        found = []
        for name, output, expected, like in zip(names, outputs, free, alike, strict=False):
            if not expected.any():
                continue  # respiration's step in `steady`: there is none
            error, worst = _errors(output, expected.numpy())
            found.append(
                ModelParity(
                    name,
                    error,
                    worst,
                    _errors(output, like.numpy())[0],
                    imposed.differing,
                    imposed.units,
                    imposed.furthest,
                    self.precision,
                )
            )
        return found


def _errors(output: NDArray[Any], reference: Floats) -> tuple[float, float]:
    """Relative L2 error over all pairs, and of the worst pair."""
    expected = reference.reshape(len(reference), -1).astype(np.float64)
    off = np.linalg.norm(output.reshape(expected.shape) - expected, axis=1)
    size = np.linalg.norm(expected, axis=1)
    each = size if expected.shape[1] > 1 else np.full_like(size, np.sqrt(np.mean(size**2)))
    tiny = np.finfo(np.float64).tiny
    together = np.linalg.norm(off) / max(float(np.linalg.norm(size)), tiny)
    return float(together), float((off / np.maximum(each, tiny)).max())
