"""Functions compiled by Numba, kept from one run to the next."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(function: Callable[..., Any], *signature: Any, **options: Any) -> Callable[..., Any]:
    """The function, compiled for a signature, or at its first call; what an earlier run compiled is loaded.

    It runs without Python's lock. options: of ``numba.njit``.
    """
    from numba import njit

    def make(cache: bool) -> Callable[..., Any]:
        made: Callable[..., Any] = njit(*signature, cache=cache, nogil=True, **options)(function)
        return made

    try:
        try:
            return make(cache=True)
        except (EOFError, UnpicklingError):
            forget(njit(cache=True)(function))
            return make(cache=True)
    except (RuntimeError, OSError, EOFError, UnpicklingError):
        # nowhere to keep it, a read-only installation without a home, or a full disk
        return make(cache=False)


def forget(function: Any) -> None:
    """Keep nothing of what earlier runs compiled of a Numba function.

    Their files may be cut off: Numba does not wait for them to be on the disk, and the power may fail. Raises OSError
    where they cannot be written.
    """
    function._cache.flush()
