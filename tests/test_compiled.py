"""What Numba keeps from one run to the next, and files of it that are broken."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest

from deepmag.export.cpu_pulse import CpuPulse
from deepmag.export.runtime import load_weights
from deepmag.models.compiled import compiled
from deepmag.models.weights import PULSE


def square(x: float) -> float:
    return x * x


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("left", [b"", b"\0" * 100])
@pytest.mark.parametrize("which", ["nbi", "nbc"])
def test_what_a_power_cut_left_of_it_is_compiled_again(kept: Path, which: str, left: bytes) -> None:
    signature = numba.float64(numba.float64)
    compiled(square, signature)
    (file,) = kept.rglob(f"*.{which}")
    file.write_bytes(left)
    again = compiled(square, signature)
    assert again(3.0) == 9.0
    assert not again.stats.cache_hits  # type: ignore[attr-defined]
    assert sum(compiled(square, signature).stats.cache_hits.values()) == 1  # type: ignore[attr-defined]


def test_broken_kernels_of_the_ascent_are_none(kept: Path) -> None:
    pulse = CpuPulse(load_weights(PULSE), 1)
    assert not pulse.load()
    index = Path(pulse._work._cache._cache_file._index_path)
    index.write_bytes(b"")
    assert not pulse.load()
    assert index.stat().st_size > 0  # the next start does not stumble over it
