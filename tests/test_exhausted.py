"""What is said where a machine has no more memory, threads, descriptors or room."""

from __future__ import annotations

import errno
import os

import pytest

from deepmag.stream.exhausted import what_ran_out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "not enough memory"),
        (ImportError("libvpx.so: failed to map segment from shared object"), "not enough memory"),
        (ImportError("std::bad_alloc"), "not enough memory"),
        (RuntimeError("can't start new thread"), "no further thread"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x.py"), "no further file"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.csv"), "written to a.csv, the disk is full"),
    ],
)
def test_what_ran_out_is_said_in_one_line_with_what_to_do(error: Exception, said: str) -> None:
    why = what_ran_out(error)
    assert why is not None
    assert said in why
    assert ": " in why
    assert "\n" not in why


@pytest.mark.parametrize(
    "error",
    [
        ValueError("can't start new thread"),
        RuntimeError("dictionary changed size"),
        FileNotFoundError(2, "x"),
        ImportError("no y"),
    ],
)
def test_a_defect_is_none(error: Exception) -> None:
    assert what_ran_out(error) is None
