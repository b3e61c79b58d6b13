"""Sessions of ONNX Runtime, set up for an ascent: on the CPU, or by its CUDA provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def open_session(
    model: bytes,
    device: Device,
    threads: int,
    *,
    spin: int = SPIN,
    batch: int | None = None,
) -> Any:
    """A session that runs a serialised model on the device. batch: on a CPU, all that it will be given at once.

    Raises AscenderUnavailableError.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = ERROR
    options.intra_op_num_threads = threads
    if not device.is_gpu:
        # With the batch unknown ONNX Runtime cannot prove that a mask and a gradient have the same shape, and
        # leaves its blocked channel layout for each product: 247 changes of it in place of 57, 1 ms of 31.
        if batch is not None:
            options.add_free_dimension_override_by_name("batch", batch)
        # Packed copies of the dense layer's matrix push it out of the cache: 5 MB and 0.3 ms for nothing.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers: list[Any] = ["CPUExecutionProvider"]
    else:
        options.log_severity_level = FATAL
        where = {"device_id": str(device.index)}
        providers = [("CUDAExecutionProvider", CUDA_OPTIONS | where), "CPUExecutionProvider"]
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise AscenderUnavailableError(
                "this onnxruntime has no CUDA provider: install onnxruntime-gpu in place of onnxruntime"
            )
        ort.set_default_logger_severity(FATAL)
    try:
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:  # the binding's exceptions have no common base of their own
        raise AscenderUnavailableError(f"onnxruntime cannot run the ascent on {device}: {error}") from error
    finally:
        ort.set_default_logger_severity(ERROR)
    if device.is_gpu and session.get_providers()[0] != "CUDAExecutionProvider":
        raise AscenderUnavailableError(
            "onnxruntime's CUDA provider does not start: its CUDA or cuDNN libraries are missing or too old"
        )
    return session
