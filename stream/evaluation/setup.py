"""What an evaluation ran on: versions, the weights by hash, the machine. Without it no number can be made again."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepmag.models.synthetic.motion import Task
    from deepmag.stream.evaluation.plan import Plan, Subject
    from deepmag.stream.evaluation.respiration.plan import BreathPlan

PACKAGES = ("deepmag", "torch", "numpy", "scipy", "opencv-python", "av")
RUNTIMES = ("onnxruntime-gpu", "onnxruntime")


def setup(jobs: int) -> dict[str, Any]:
    """Of both halves: versions and machine."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    versions["onnxruntime"] = next((found for name in RUNTIMES if (found := _version(name))), None)
    return {
        "jobs": jobs,
        "cpus": cpus(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def pulse_setup(plan: Plan, weights: Path) -> dict[str, Any]:
    """What decides the numbers of the pulse. Raises OSError where the weights cannot be read."""
    return {
        "quick": plan.quick,
        "seed": plan.seed,
        "size": list(plan.size),
        "seconds": plan.seconds,
        "subjects": subjects_of(plan.subjects, plan.tasks) + subjects_of(plan.more, plan.fair_tasks),
        "ssim_every": plan.ssim_every,
        "weights": {"file": weights.name, "sha256": hash_of(weights)},
    }


def respiration_setup(plan: BreathPlan, weights: Path) -> dict[str, Any]:
    """What decides the numbers of respiration. Raises OSError where the weights cannot be read."""
    return {
        "quick": plan.quick,
        "seed": plan.seed,
        "size": list(plan.size),
        "seconds": plan.seconds,
        "rate": plan.rate,
        "every": plan.every,
        "iterations": plan.iterations,
        "subjects": subjects_of(plan.subjects, plan.tasks),
        "weights": {"file": weights.name, "sha256": hash_of(weights)},
    }


def subjects_of(people: Sequence[Subject], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """People, and which tasks they do."""
    return [
        {"seed": who.seed, "melanin": who.melanin, "tone": who.tone, "tasks": "".join(tasks)}
        for who in people
    ]


def hash_of(weights: Path) -> str:
    """SHA-256. Raises OSError."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def default_jobs(*plans: Plan | BreathPlan) -> int:
    """One process a core, but no more than fit into the memory that is free."""
    import psutil

    # a clip, its ideal and one magnified are three bytes a pixel each, its skin is four; a process by itself is 500 MB
    largest = max(plan.frames * plan.size[0] * plan.size[1] for plan in plans)
    each = 500e6 + 1.2 * largest * (3 * 3 + 4)
    return max(1, min(cpus(), int(psutil.virtual_memory().available / each)))


def cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
