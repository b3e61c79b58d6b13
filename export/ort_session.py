"""Sessions of ONNX Runtime, set up for an ascent: on the CPU, or by its CUDA or TensorRT provider."""

from __future__ import annotations

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

Provider = Literal["cpu", "cuda", "tensorrt"]

# What has to be there besides the driver, and where pip has it.
NEEDS = {
    "cuda": "its CUDA or cuDNN libraries are missing or too old: `pip install 'onnxruntime-gpu[cuda,cudnn]'`",
    "tensorrt": "TensorRT's libraries are missing or of another version: `pip install tensorrt`",
}
NAMES = {"cuda": "CUDA", "tensorrt": "TensorRT"}


def open_session(
    model: bytes,
    device: Device,
    threads: int,
    *,
    spin: int = SPIN,
    batch: int | None = None,
    provider: Provider | None = None,
) -> Any:
    """A session that runs a serialised model on the device. batch: on a CPU, all that it will be given at once.

    provider: by default the CPU's, or on a GPU CUDA's. Raises AscenderUnavailableError where it does not start; none
    takes its place.
    """
    provider = provider or ("cuda" if device.is_gpu else "cpu")
    if provider != "cpu" and not device.is_gpu:
        raise AscenderUnavailableError(f"onnxruntime's {NAMES[provider]} provider needs a GPU")
    if provider == "cpu":
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
    where = {"device_id": str(device.index)}
    wanted: list[Any] = [("CUDAExecutionProvider", CUDA_OPTIONS | where), "CPUExecutionProvider"]
    if provider == "tensorrt":
        from deepmag.export.tensorrt import tensorrt_options

        wanted.insert(0, ("TensorrtExecutionProvider", tensorrt_options(model) | where))
    first = wanted[0][0]
    if first not in ort.get_available_providers():
        raise AscenderUnavailableError(
            f"this onnxruntime has no {NAMES[provider]} provider: "
            "install onnxruntime-gpu in place of onnxruntime"
        )
    ort.set_default_logger_severity(FATAL)
    try:
        session = _start(model, _options(threads, FATAL), wanted, device)
    finally:
        ort.set_default_logger_severity(ERROR)
    if session.get_providers()[0] != first:
        raise AscenderUnavailableError(_does_not_start(provider))
    return session


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
        if "install TensorRT" in str(
            error
        ):  # the other provider that does not start is left out without a word
            raise AscenderUnavailableError(_does_not_start("tensorrt")) from error
        raise AscenderUnavailableError(f"onnxruntime cannot run the ascent on {device}: {error}") from error
