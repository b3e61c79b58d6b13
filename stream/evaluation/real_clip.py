"""What clips.json says of a real clip, checked before anything is computed: an hour later is too late."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Box = tuple[int, int, int, int]

BPM_RANGE = (20.0, 300.0)  # beats per minute; a rate outside it is a typing error, or in Hz
BREATHS_RANGE = (4.0, 80.0)  # breaths per minute
SMALLEST_BOX = 16  # px: two blocks of 8 x 8


@dataclass(frozen=True)
class RealClip:
    """One entry of clips.json. box: of skin, (x, y, w, h) px. bpm: the true rate. face: whether the box is a face."""

    name: str
    file: Path
    box: Box
    bpm: float
    face: bool
    ppg: Path | None


@dataclass(frozen=True)
class BreathingClip:
    """One entry of clips.json. breaths: true rate, per minute. chest, still: (x, y, w, h) px."""

    name: str
    file: Path
    breaths: float
    chest: Box
    still: Box


@dataclass(frozen=True)
class RealClips:
    """A clips.json. clips: those whose pulse can be judged. left_out: why not, by name, of those that nearly could be.

    breathing: those whose breathing can be judged.
    """

    clips: tuple[RealClip, ...]
    left_out: Mapping[str, str]
    breathing: tuple[BreathingClip, ...] = ()

    def __iter__(self) -> Iterator[RealClip]:
        return iter(self.clips)


def clip_of(folder: Path, name: str, entry: object) -> RealClip | str | None:
    """One entry as a clip; the reason where only its rate or only its box is missing; None where both are.

    Raises ValueError, with the name of the field, where the entry is wrong.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"must be an object with its file, bpm and face or skin, not {entry!r}")
    bpm = None if entry.get("bpm") is None else _rate("bpm", entry["bpm"], BPM_RANGE)
    boxes = {key: _box(key, entry[key]) for key in ("face", "skin") if entry.get(key) is not None}
    if not boxes:
        return None if bpm is None else "it has a rate (bpm), but no box of face or skin"
    if bpm is None:
        return "it has a box, but no rate (bpm)"
    kind, box = next(iter(boxes.items()))
    file = _file(folder, "file", entry.get("file"))
    ppg = None if entry.get("ppg") is None else _file(folder, "ppg", entry["ppg"])
    return RealClip(name, file, box, bpm, kind == "face", ppg)


def breathing_clip(folder: Path, name: str, entry: object) -> BreathingClip | None:
    """One entry of clips.json; None where it has no rate of breath, or lacks a box.

    Raises ValueError, with the name of the field, where the entry is wrong.
    """
    if not isinstance(entry, dict) or entry.get("breaths_per_min") is None:
        return None
    breaths = _rate("breaths_per_min", entry["breaths_per_min"], BREATHS_RANGE)
    if any(entry.get(key) is None for key in ("chest", "still")):
        return None
    chest, still = (_box(key, entry[key]) for key in ("chest", "still"))
    return BreathingClip(name, _file(folder, "file", entry.get("file")), breaths, chest, still)


def _rate(key: str, value: Any, within: tuple[float, float]) -> float:
    low, high = within
    if not _is_number(value) or not low <= value <= high:
        raise ValueError(f"{key} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _box(key: str, value: Any) -> Box:
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(length) for length in value):
        raise ValueError(f"{key} must be four numbers, [x, y, width, height] in pixels, not {value!r}")
    x, y, w, h = (round(length) for length in value)
    if min(x, y) < 0:
        raise ValueError(f"{key} begins outside the picture: {value!r}")
    if min(w, h) < SMALLEST_BOX:
        raise ValueError(f"{key} must be {SMALLEST_BOX} pixels wide and high, or more, not {value!r}")
    return x, y, w, h


def _file(folder: Path, key: str, value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be the name of a file, not {value!r}")
    file = folder / value
    if not file.is_file():
        raise ValueError(f"{key} is {file}, which is not there")
    return file


def _is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are none, though Python counts with them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
