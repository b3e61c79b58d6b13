"""Sessions of ONNX Runtime, set up for an ascent: on the CPU, or by its CUDA or TensorRT provider."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from typing import TYPE_CHECKING, Any, Literal

import onnxruntime as ort

from deepmag.export.runtime import AscenderUnavailableError

if TYPE_CHECKING:
    from deepmag.export.device import Device

FATAL = 4  # ONNX Runtime's severity: a provider that cannot start is reported by us, once, not on its stderr
ERROR = 3

# Microseconds that a thread waits awake for the next parallel part, of which there are hundreds. Without end
# (the default) is fine on an idle machine and a disaster on a busy one: when another process had one of two
# cores, an ascent took 63 ms, with 20 us 37 ms, on one thread 30 ms.
SPIN = 20

CUDA_OPTIONS = {
    "use_tf32": "0",  # ten bits of mantissa are not enough for a gradient through twenty iterations
    "cudnn_conv_algo_search": "HEURISTIC",  # the exhaustive search delays the first picture by seconds
}

Provider = Literal["cuda", "tensorrt"]

# What has to be there besides the driver, and where pip has it.
NEEDS = {
    "cuda": "its CUDA or cuDNN libraries are missing or too old: `pip install 'onnxruntime-gpu[cuda,cudnn]'`",
    "tensorrt": "TensorRT's libraries are missing or of another version: `pip install 'tensorrt>=10,<11'`",
}
# CUDA's provider is left out without a word where it does not start; TensorRT's raises, in these words.
NO_TENSORRT = "install TensorRT"
NAMES = {"cuda": "CUDA", "tensorrt": "TensorRT"}


def open_session(
    model: bytes,
    device: Device,
    threads: int,
    *,
    spin: int = SPIN,
    batch: int | None = None,
    provider: Provider | None = None,
    captured: bool = False,
) -> Any:
    """A session that runs a serialised model on the device. batch: on a CPU, all that it will be given at once.

    provider: by default the CPU's, or on a GPU CUDA's. captured: CUDA's runs it as CUDA graphs where it can, one for
    each number of pairs: for a model without control flow that `BoundSession` runs. Raises AscenderUnavailableError
    where it does not start; none takes its place.
    """
    if not device.is_gpu:
        if provider is not None:
            raise AscenderUnavailableError(f"onnxruntime's {NAMES[provider]} provider needs a GPU")
        options = _options(threads, ERROR)
        # With the batch unknown ONNX Runtime cannot prove that a mask and a gradient have the same shape, and
        # leaves its blocked channel layout for each product: 247 changes of it in place of 57, 1 ms of 31.
        if batch is not None:
            options.add_free_dimension_override_by_name("batch", batch)
        # Packed copies of the dense layer's matrix push it out of the cache: 5 MB and 0.3 ms for nothing.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return _start(model, options, ["CPUExecutionProvider"], device)
    provider = provider or "cuda"
    first = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[provider]
    if first not in ort.get_available_providers():
        raise AscenderUnavailableError(
            f"this onnxruntime has no {NAMES[provider]} provider: "
            "install onnxruntime-gpu in place of onnxruntime"
        )
    where = {"device_id": str(device.index)}
    wanted: list[Any] = [("CUDAExecutionProvider", CUDA_OPTIONS | where), "CPUExecutionProvider"]
    graphs = [("CUDAExecutionProvider", CUDA_OPTIONS | where | {"enable_cuda_graph": "1"}), wanted[1]]
    _load_libraries(provider)
    if provider == "tensorrt":
        from deepmag.export.tensorrt import forbid_ten_bits, tensorrt_options

        forbid_ten_bits()
        try:
            wanted.insert(0, (first, tensorrt_options(model) | where))
        except OSError as error:
            raise AscenderUnavailableError(
                f"TensorRT has nowhere to keep its kernels: {error}; set XDG_CACHE_HOME to a directory"
            ) from error
    ort.set_default_logger_severity(FATAL)
    try:
        session = None
        if captured and provider == "cuda":
            # not where a node has no kernel there, which another version may well find
            with contextlib.suppress(AscenderUnavailableError):
                session = _start(model, _options(threads, FATAL), graphs, device)
        session = session or _start(model, _options(threads, FATAL), wanted, device)
    finally:
        ort.set_default_logger_severity(ERROR)
    if session.get_providers()[0] != first:
        raise AscenderUnavailableError(_does_not_start(provider))
    return session


def _load_libraries(provider: Provider) -> None:
    """Load what pip has installed beside ONNX Runtime, where its providers do not look by themselves."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):  # what is missing we say ourselves
        warnings.simplefilter("ignore")
        if hasattr(ort, "preload_dlls"):  # since 1.21
            ort.preload_dlls()
        if provider == "tensorrt":
            with contextlib.suppress(ImportError, OSError):
                importlib.import_module("tensorrt")


def _does_not_start(provider: Provider) -> str:
    return f"onnxruntime's {NAMES[provider]} provider does not start: {NEEDS[provider]}"


def _options(threads: int, severity: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = severity
    options.intra_op_num_threads = threads
    return options


def _start(model: bytes, options: ort.SessionOptions, providers: list[Any], device: Device) -> Any:
    try:
        return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:  # the binding's exceptions have no common base of their own
        if NO_TENSORRT in str(error):
            raise AscenderUnavailableError(_does_not_start("tensorrt")) from error
        raise AscenderUnavailableError(f"onnxruntime cannot run the ascent on {device}: {error}") from error
