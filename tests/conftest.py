"""What several test modules share."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from page_scene import FakeControl
    from playwright.sync_api import Browser

    from deepmag.stream.page import PageRenderer

# Tests run side by side, one process a core: libraries that would each take all cores only get in each other's way.
# Before they are imported: they read it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Servers of the tests are on this machine, whatever leads from it to others.
for proxy in ("http_proxy", "https_proxy", "all_proxy"):
    for name in (proxy, proxy.upper()):
        os.environ.pop(name, None)

MOST_WORKERS = 4  # each takes a gigabyte


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core that this one may use, which can be fewer than the machine has."""
    del config
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(autouse=True)
def logging_of_its_own() -> Iterator[None]:
    """A command run in this process logs to its own standard error, which is closed: no later test may meet that."""
    root = logging.getLogger()
    level, before = root.level, root.handlers[:]  # pytest's own
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, which is no part of the repository."""
    path = SHARED / "data"
    if not path.is_dir():
        pytest.skip(f"the real clips are not here ({path})")
    return path


@pytest.fixture(scope="session")
def clips(shared_data: Path) -> dict[str, Any]:
    """clips.json: boxes and true rates of the real clips."""
    result: dict[str, Any] = json.loads((shared_data / "clips.json").read_text())
    return result


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    from chromium import launched

    with launched() as running:
        yield running


@pytest.fixture
def control() -> FakeControl:
    """What the page's controls act on."""
    from page_scene import FakeControl

    return FakeControl()


@pytest.fixture
def server(control: FakeControl) -> Iterator[PageRenderer]:
    """The page, served on a free port."""
    from deepmag.stream.page import PageRenderer

    page = PageRenderer(control, port=0)
    page.open()
    yield page
    page.close()


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where torch computes: here, and on a GPU where there is one."""
    import torch

    from deepmag.export.device import cuda_device_count

    if request.param == "cuda" and not (cuda_device_count() and torch.cuda.is_available()):
        pytest.skip("no GPU here")
    return torch.device(request.param)
