"""Names of devices: auto, cpu, cuda and cuda:N."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Device:
    """Where a network runs. index: of a GPU as the CUDA driver counts them, None for the CPU."""

    index: int | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.index is not None

    def __str__(self) -> str:
        """As torch writes it: "cpu", "cuda:0"."""
        return "cpu" if self.index is None else f"cuda:{self.index}"


CPU = Device()


def parse_device(name: str) -> Device | None:
    """The device of a name, None for auto; cuda is cuda:0. Raises ValueError in words."""
    kind, colon, number = name.partition(":")
    if name == AUTO:
        return None
    if name == "cpu":
        return CPU
    if kind == "cuda" and (not colon or (number.isascii() and number.isdigit())):
        return Device(int(number or 0))
    raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {name}")


def cuda_device_count() -> int:
    """How many GPUs the CUDA driver sees; 0 without a driver.

    ONNX Runtime's list of providers is no answer: it says what the package was built with.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def devices_to_try(name: str, refusals: list[str]) -> list[Device]:
    """The devices that a name stands for on this machine, best first.

    A GPU that is not there is added to the refusals. Raises ValueError as `parse_device` does.
    """
    wanted = parse_device(name)
    if wanted == CPU:
        return [CPU]
    count = cuda_device_count()
    if count == 0:
        refusals.append("the CUDA driver sees no GPU here: use the device cpu")
    elif wanted is not None and (wanted.index or 0) >= count:
        last = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        refusals.append(f"there is no {wanted} here, only {last}")
    else:
        return [wanted] if wanted is not None else [Device(0), CPU]
    return [] if wanted is not None else [CPU]
