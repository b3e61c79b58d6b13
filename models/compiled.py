"""Functions compiled by Numba, kept from one run to the next."""

from __future__ import annotations

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
        return make(cache=True)
    except (
        RuntimeError,
        OSError,
    ):  # nowhere to keep it, a read-only installation without a home, or a full disk
        return make(cache=False)
