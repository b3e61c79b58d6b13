"""What several test modules share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


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
