"""Names for what is written beside earlier files, so that none of them is replaced."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def numbered_names(path: Path) -> Iterator[Path]:
    """``path``, name-2, name-3 ... without end."""
    yield path
    for number in count(2):
        yield path.with_stem(f"{path.stem}-{number}")


def is_free(path: Path) -> bool:
    """Whether nothing is there, or an empty file. Raises OSError."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def free_name(path: Path) -> Path:
    """The first of its numbered names that is free. Raises OSError."""
    return next(filter(is_free, numbered_names(path)))
