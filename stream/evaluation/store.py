"""Clips kept on disk between two looks at them, where they fit; else they are made again, which gives the same clip."""

from __future__ import annotations

import pickle
import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from deepmag.models.synthetic.clip import SyntheticClip

LARGEST = 600e6  # bytes of one clip; three of a quick run are kept, the large ones of a full run are not
SPARE = 5e9  # bytes that must stay free on the disk
ARRAYS = ("video", "ideal", "skin")


def keep(folder: Path, name: str, clip: SyntheticClip) -> bool:
    """Write a clip into ``folder``; False where it is too large, the disk too full or not to be written to."""
    arrays = {field: getattr(clip, field) for field in ARRAYS if getattr(clip, field) is not None}
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST or shutil.disk_usage(folder).free < size + SPARE:
        return False
    rest = copy(clip)
    for field in arrays:
        object.__setattr__(rest, field, None)  # a frozen dataclass, on its way into a file
    try:
        for field, array in arrays.items():
            np.save(folder / f"{name}.{field}.npy", array)
        # last: its presence says that all is there
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(rest))
    except OSError:  # other processes fill the disk too: the clip is made again, which is no reason to end
        for file in folder.glob(f"{name}.*"):
            file.unlink(missing_ok=True)
        return False
    return True


def recall(folder: Path, name: str) -> SyntheticClip | None:
    """Read a clip that `keep` wrote, its pictures mapped from the disk; None where there is none."""
    rest = folder / f"{name}.pickle"
    if not rest.exists():
        return None
    clip: SyntheticClip = pickle.loads(rest.read_bytes())
    arrays: dict[str, Any] = {}
    for field in ARRAYS:
        file = folder / f"{name}.{field}.npy"
        if file.exists():
            arrays[field] = np.load(file, mmap_mode="r")
    return replace(clip, **arrays)
