"""Where a report goes: checked before anything is computed, replaced only when the new one is whole."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

REPORT, NUMBERS, PARTIAL = "report.md", "evaluate.json", "evaluate.partial.json"


def prepare(folder: Path) -> None:
    """Make the folder, and see that a file can be written there. Raises ValueError, in words."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".deepmag-"):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {folder}: {error.strerror or error}") from None


class Staging:
    """A folder beside the final files, on the same disk; its files replace the final ones by `publish`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = Path(tempfile.mkdtemp(prefix=".deepmag-", dir=folder))

    def publish(self) -> list[Path]:
        """Move all files over those of an earlier report; the numbers last. Returns where they are now."""
        files = sorted(self.path.iterdir(), key=lambda file: file.name == NUMBERS)
        for file in files:
            os.replace(file, self._folder / file.name)
        (self._folder / PARTIAL).unlink(missing_ok=True)
        return [self._folder / file.name for file in files]

    def discard(self) -> None:
        """Remove what was not published."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_json(file: Path, numbers: dict[str, Any]) -> None:
    """Write strict JSON: what is not a number is null."""
    file.write_text(json.dumps(_finite(numbers), indent=1, allow_nan=False) + "\n")


def write_partial(folder: Path, numbers: dict[str, Any]) -> Path:
    """Keep what an interrupted run has; beside an earlier complete report, not over it."""
    file = folder / NUMBERS
    if file.exists() and _is_complete(file):
        file = folder / PARTIAL
    write_json(file, numbers)
    return file


def _is_complete(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text()).get("complete"))
    except (OSError, ValueError, AttributeError):
        return False


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
