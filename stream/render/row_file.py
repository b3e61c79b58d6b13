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
    from collections.abc import Iterator, Sequence
    from pathlib import Path


BLOCK = 65536  # bytes read at a time
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
        self._columns = len(heading)
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

    def newest(self, column: int) -> str:
        """What the last whole row that has anything in a column has there; "" where none has. Raises OSError."""
        rows = (_decoded(line) for line in _lines_from_the_end(self.path))
        return next((row[column] for row in rows if len(row) == self._columns and row[column]), "")

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


def _decoded(line: bytes) -> list[str]:
    """The cells of a row; none of what is no row, as a power cut may leave it."""
    try:
        return next(csv.reader([line.decode(errors="replace")]), [])
    except csv.Error:
        return []


def _lines_from_the_end(path: Path) -> Iterator[bytes]:
    """All but the first, which is the heading: of months there are hundreds of megabytes, and few are wanted."""
    if not path.is_file():  # as below
        return
    with path.open("rb") as file:
        begin, rest = file.seek(0, os.SEEK_END), b""
        while begin:
            end, begin = begin, max(0, begin - BLOCK)
            file.seek(begin)
            rest, *lines = (file.read(end - begin) + rest).split(b"\n")
            yield from reversed(lines)


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
