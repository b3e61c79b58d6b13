"""A table as a file of its own: rows are added at once and whole, also to one that an earlier process began."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
from typing import TYPE_CHECKING, Any

from deepmag.stream.render.free_name import is_free, numbered_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


KNOWN = 16  # bytes by which a table is known: later ones have more columns


class RowFile:
    """A CSV file that is open for writing. Raises OSError.

    heading: its first row. keep: rows are added to a file that is there and has this heading; where it has another one,
    to the first of name-2, name-3 ... that has it or is free. Else a table that is there is replaced; FileExistsError
    where it is something else. path: of the file.
    """

    def __init__(self, path: Path, heading: Sequence[str], *, keep: bool) -> None:
        first = _encoded(heading)
        names = (name for name in numbered_names(path) if is_free(name) or _begins_with(name, first))
        self.path = next(names) if keep else path
        if not keep and not is_free(path) and not _begins_with(path, first[:KNOWN]):
            raise FileExistsError(errno.EEXIST, "it is there and no table of vitals; choose another name")
        self._file = self.path.open("ab" if keep else "wb", buffering=0)
        try:
            size = os.fstat(self._file.fileno()).st_size
            if size == 0:
                self._append(first)
            elif not _ends_with_newline(self.path):
                self._append(b"\r\n")  # what wrote it was killed in the middle of a row
        except OSError:
            self.close()
            raise

    @property
    def gone(self) -> bool:
        """Whether it is under its name no more: nobody would find what is written to it. Raises OSError."""
        return not self.path.exists()

    def write(self, row: Sequence[Any]) -> None:
        """Add a row: all of it, or nothing."""
        self._append(_encoded(row))

    def close(self) -> None:
        """Close it; every row is in it already."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _append(self, data: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        try:
            if (self._file.write(data) or 0) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):  # a pipe cannot be cut
                os.ftruncate(self._file.fileno(), before)
            raise


def _encoded(row: Sequence[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue().encode()


def _begins_with(path: Path, heading: bytes) -> bool:
    if not path.is_file():  # a device, a pipe: there is nothing to be read from it
        return True
    with path.open("rb") as file:
        return file.read(len(heading)) == heading


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seekable():
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
