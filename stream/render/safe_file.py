"""A file under a muxer that stays playable when the disk fills or the process is killed.

The muxer writes through this object, not by itself, for three reasons. Nothing waits in a buffer of libav's
when the process is killed. The error of a full disk comes back as an OSError with its number. And once a
write has failed, no later one can succeed: the trailer of an .mp4 goes back and relabels its front, which
would hide every fragment that was written before.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

BOX_HEADER = struct.Struct(">I4s")
LARGE_SIZE = struct.Struct(">Q")


class SafeFile:
    """The part of a binary file that PyAV needs, for writing. Raises OSError; after one, always the same."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._failure: OSError | None = None
        self.abandoned = False

    @property
    def closed(self) -> bool:
        """PyAV writes no trailer to a file that says it is closed."""
        return self.abandoned

    @property
    def failure(self) -> OSError | None:
        """The first error of a write, or None."""
        return self._failure

    def seekable(self) -> bool:
        """Whether ``seek`` works, which a named pipe's does not."""
        return self._file.seekable()

    def tell(self) -> int:
        """Position, bytes."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, bytes."""
        return self._file.seek(offset, whence)

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        if self._failure is not None:
            raise self._failure
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += self._file.write(view[done:])
        except OSError as error:
            self._failure = error
            raise
        return done

    def salvage(self, *, fragmented: bool) -> None:
        """Drop what was half written. fragmented: an .mp4 or .mov; Matroska plays up to a cut as it is."""
        self.abandoned = True
        if fragmented and self._file.seekable():
            self._file.truncate(end_of_fragments(self._file))

    def close(self) -> None:
        """Close for good."""
        self.abandoned = True
        self._file.close()


def end_of_fragments(file: BinaryIO) -> int:
    """Find where the last complete fragment (``moof`` and ``mdat``) of an .mp4 ends, or its header, bytes."""
    total = file.seek(0, os.SEEK_END)
    end = position = 0
    in_fragment = False
    while position + BOX_HEADER.size <= total:
        file.seek(position)
        size, kind = BOX_HEADER.unpack(file.read(BOX_HEADER.size))
        if size == 1:
            size = LARGE_SIZE.unpack(file.read(LARGE_SIZE.size).ljust(LARGE_SIZE.size, b"\0"))[0]
        if size < BOX_HEADER.size or position + size > total:
            break
        position += size
        if kind == b"moof":
            in_fragment = True
        elif not in_fragment or kind == b"mdat":
            end = position
            in_fragment = False
    return end
