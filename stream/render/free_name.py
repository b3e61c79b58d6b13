"""Names for what is written beside earlier files, so that none of them is replaced."""

from __future__ import annotations

import contextlib
import os
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


def claim_name(path: Path) -> Path:
    """Make an empty file under the first of its numbered names that nobody has. Raises OSError.

    An empty one is taken, too: by another recording whose camera has not delivered yet.
    """
    for name in numbered_names(path):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            break
    return name
