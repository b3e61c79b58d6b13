"""What an evaluation ran on: versions, the weights by hash, the machine. Without it no number can be made again."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from deepmag.stream.evaluation.plan import Plan

PACKAGES = ("deepmag", "torch", "numpy", "scipy", "opencv-python", "av")
RUNTIMES = ("onnxruntime-gpu", "onnxruntime")


def setup(plan: Plan, weights: Path, jobs: int) -> dict[str, Any]:
    """Everything that decides the numbers. Raises OSError where the weights cannot be read."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    versions["onnxruntime"] = next((found for name in RUNTIMES if (found := _version(name))), None)
    return {
        "quick": plan.quick,
        "seed": plan.seed,
        "size": list(plan.size),
        "seconds": plan.seconds,
        "subjects": [
            {"seed": who.seed, "melanin": who.melanin, "tone": who.tone, "tasks": tasks}
            for group, tasks in ((plan.subjects, "ABCD"), (plan.more, "".join(plan.fair_tasks)))
            for who in group
        ],
        "ssim_every": plan.ssim_every,
        "jobs": jobs,
        "cpus": cpus(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "weights": {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
    }


def default_jobs(plan: Plan) -> int:
    """One process a core, but no more than fit into the memory that is free."""
    import psutil

    width, height = plan.size
    # a clip, its ideal and one magnified are three bytes a pixel each, its skin is four; a process by itself is 500 MB
    each = 500e6 + 1.2 * plan.frames * width * height * (3 * 3 + 4)
    return max(1, min(cpus(), int(psutil.virtual_memory().available / each)))


def cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
