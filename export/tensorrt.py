"""What ONNX Runtime's TensorRT provider is told: shapes, precision, and where it keeps what it has made.

TensorRT tries out kernels for every layer, which takes minutes. What it has made is kept in the user's cache directory,
apart for every version, since no version reads another's, and for every model.
"""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
import onnxruntime as ort

from deepmag.export.pairs import MOST

TEN_BITS = "NVIDIA_TF32_OVERRIDE"  # the libraries' own variable: 0 forbids them
PACKAGES = ("tensorrt-cu13", "tensorrt-cu12", "tensorrt")


def tensorrt_options(model: bytes) -> dict[str, str]:
    """Options of the provider for a serialised model, of any number of pairs up to MOST.

    Raises OSError where the cache's directory cannot be made.
    """
    cache = str(engine_cache(model))
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": cache,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": cache,
        "trt_profile_min_shapes": profile(model, 1),
        "trt_profile_opt_shapes": profile(model, 1),
        "trt_profile_max_shapes": profile(model, MOST),
    }


def forbid_ten_bits() -> None:
    """Forbid factors of ten bits (TF32) to this process's CUDA libraries, unless its environment says otherwise.

    The provider has no option for it, and a gradient through twenty iterations needs more.
    """
    os.environ.setdefault(TEN_BITS, "0")


def profile(model: bytes, pairs: int) -> str:
    """The shapes of a model's inputs for so many pairs, as the provider wants them: "x:1x3x36x36,growth:1"."""
    shapes = []
    for given in onnx.load_from_string(model).graph.input:
        sides = given.type.tensor_type.shape.dim
        if any(side.dim_param for side in sides):  # what is of one size has no profile
            shapes.append(f"{given.name}:" + "x".join(str(side.dim_value or pairs) for side in sides))
    return ",".join(shapes)


def engine_cache(model: bytes) -> Path:
    """Directory of what has been made of a model; is made if it is not there.

    The provider knows a model by its operators alone, so that one with other weights would be run with the first one's.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = f"onnxruntime-{ort.__version__}-tensorrt-{_tensorrt_version()}-tf32-{os.environ.get(TEN_BITS, '')}"
    path = home / "deepmag" / "tensorrt" / kind / hashlib.sha256(model).hexdigest()[:16]
    path.mkdir(parents=True, exist_ok=True)
    return path


def _tensorrt_version() -> str:
    for name in PACKAGES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "system"
