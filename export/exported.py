"""Exported models in ONNX Runtime, in the place of the networks they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmag.export.ascent_loop import PAPER, STEADY
from deepmag.export.device import CPU, Device
from deepmag.export.graph import GRAPH_VERSION
from deepmag.export.ort_session import open_session
from deepmag.export.pairs import padded, per_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.export.ascent_loop import Signal

    Floats = NDArray[np.float32]


class ExportedModel:
    """A file that ``deepmag export`` wrote, running. properties: its metadata."""

    def __init__(
        self,
        model: str | Path | bytes,
        signal: Signal,
        device: Device = CPU,
        threads: int = 1,
    ) -> None:
        """model: a file, or what would be in it.

        Raises OSError for a file that cannot be read, ValueError for one that is no export of the signal's network, and
        AscenderUnavailableError where ONNX Runtime cannot run it on the device.
        """
        content = model if isinstance(model, bytes) else Path(model).read_bytes()
        self._session = open_session(content, device, threads)
        self.properties: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        made_for = (self.properties.get("signal"), self.properties.get("version"))
        if made_for != (signal, GRAPH_VERSION):
            raise ValueError(
                f"this is no export of the {signal}'s network that version {GRAPH_VERSION} can read: "
                "write it again with `deepmag export`"
            )
        batch, size = self.properties["batch"], self.properties["size"]
        self._batch = None if batch == "dynamic" else int(batch)
        self._size = tuple(int(side) for side in size.split("x"))
        self.description = (
            f"onnxruntime {'CUDA' if device.is_gpu else 'CPU'}, exported {self.properties['precision']}"
        )

    def run(self, mode: int, gamma: float, fps_scale: float, pairs: dict[str, Floats]) -> list[NDArray[Any]]:
        """Run one mode on pairs. pairs: every input that has one entry for each pair, x among them.

        Returns dx, y and grad, and what further outputs there are, of which the pairs are the second axis. Where the
        model takes a fixed number of pairs, runs it as often as that takes. Raises ValueError for other shapes.
        """
        count = len(pairs["x"])
        for name, array in pairs.items():
            wanted = (count,) if array.ndim == 1 else (count, *self._size)
            if array.shape != wanted or count == 0:
                shape = ", ".join(map(str, ("B", *self._size)))
                raise ValueError(f"{name}: expected pairs of shape ({shape}), not {array.shape}")
        shared = {
            "mode": np.array(mode, np.int64),
            "gamma": np.array(gamma, np.float32),
            "fps_scale": np.array(fps_scale, np.float32),
        }
        step = self._batch or count
        parts = []
        for start in range(0, count, step):
            part = {
                name: np.ascontiguousarray(padded(array[start : start + step], step), np.float32)
                for name, array in pairs.items()
            }
            parts.append(self._session.run(None, part | shared))
        outputs = [
            np.concatenate(part, axis=0 if i < 3 else 1) for i, part in enumerate(zip(*parts, strict=True))
        ]
        return [output[:count] if i < 3 else output[:, :count] for i, output in enumerate(outputs)]

    def ascend(self, mode: int, gamma: float, pairs: dict[str, Floats]) -> tuple[Floats, Floats, Floats]:
        """dx, y and grad; gamma: of one pair, in units of X."""
        dx, y, grad = self.run(mode, gamma, 1.0, pairs)[:3]
        return dx, y, grad


class ExportedPulse:
    """See ``deepmag.export.runtime.Ascender``; the iterations are those of the file."""

    def __init__(self, model: str | Path | bytes, device: Device = CPU, threads: int = 1) -> None:
        """As `ExportedModel`."""
        self.model = ExportedModel(model, "pulse", device, threads)
        self.description = self.model.description

    def paper(self, x: Floats, gamma: float) -> tuple[Floats, Floats]:
        """Eq. 4 (see Ascender.paper)."""
        nothing = np.zeros(len(x), np.float32)
        dx, y, _ = self.model.ascend(PAPER, gamma, {"x": x, "direction": x, "growth": nothing})
        return dx, y

    def steady(self, x: Floats, direction: Floats, growth: float | Floats) -> tuple[Floats, Floats, Floats]:
        """Steps of growth * y * direction (see Ascender.steady)."""
        given = {"x": x, "direction": direction, "growth": per_pair(growth, len(x))}
        return self.model.ascend(STEADY, 0.0, given)


class ExportedRespiration:
    """In the place of ``deepmag.export.torch_respiration.TorchRespiration``."""

    def __init__(self, model: str | Path | bytes, device: Device = CPU, threads: int = 1) -> None:
        """As `ExportedModel`."""
        self.model = ExportedModel(model, "respiration", device, threads)
        self.description = self.model.description

    def gradient(self, x: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """x, weight: (B, 4, 123, 123). Returns y (B,) and dy/dX like x, per rad."""
        _, y, grad = self.model.ascend(STEADY, 0.0, {"x": x, "weight": weight})
        return y, grad

    def paper(self, x: Floats, weight: Floats, gamma: float) -> tuple[Floats, Floats]:
        """Eq. 4. gamma: step, rad. Returns X_N - X_1 like x, and y (B,)."""
        dx, y, _ = self.model.ascend(PAPER, gamma, {"x": x, "weight": weight})
        return dx, y
