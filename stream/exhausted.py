"""What a machine has run out of, told from the error that this ends in. Pure."""

from __future__ import annotations

import errno

_MEMORY = (
    "there is not enough memory: end other programs, or raise this one's limit (ulimit -v, a container's)"
)
_THREADS = (
    "no further thread can be started: raise the limit of threads (ulimit -u, a container's limit of pids), or that of "
    "memory, or end other programs"
)
_FILES = "no further file or connection can be opened: raise the limit (ulimit -n), or end other programs"
_DISK = "nothing more can be written, the disk is full: make room"

_NUMBERS = {
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
}
# as the loader of libraries, and libraries in C++, say it within an error of another kind
_WORDS = {
    "can't start new thread": _THREADS,
    "failed to map segment": _MEMORY,
    "cannot allocate memory": _MEMORY,
    "bad_alloc": _MEMORY,
    "too many open files": _FILES,
}


def what_ran_out(error: BaseException) -> str | None:
    """One line that says what there is no more of, and what to do; None where the error is of another kind."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return _NUMBERS[error.errno]
    if isinstance(error, OSError | RuntimeError | ImportError):
        said = str(error).lower()
        return next((why for words, why in _WORDS.items() if words in said), None)
    return None
