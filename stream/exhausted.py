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
_SHARED = (
    "nothing more can be shared between processes, /dev/shm is full: make room there, or give the container more "
    "(Docker's --shm-size), or do with one process"
)

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
        why = _NUMBERS[error.errno]
        if why is not _DISK:
            return why
        if _from_multiprocessing(error):
            return _SHARED
        return why if error.filename is None else why.replace("written", f"written to {error.filename}")
    if isinstance(error, OSError | RuntimeError | ImportError):
        said = str(error).lower()
        return next((why for words, why in _WORDS.items() if words in said), None)
    return None


def _from_multiprocessing(error: BaseException) -> bool:
    """Whether Python's own module raised it: its semaphores are no files that anybody has named."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__")).startswith("multiprocessing.")
