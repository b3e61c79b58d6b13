"""A model as a file: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

SUFFIX = ".onnx"


def check_path(path: Path) -> None:
    """Raise ValueError, in words for a person, where a model cannot be written."""
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"cannot export to {path}: the name must end in {SUFFIX}")
    if path.is_dir():
        raise ValueError(f"cannot export to {path}: it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"cannot export to {path}: the folder {path.parent} does not exist")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".deepmag-"):
            pass
    except OSError as error:
        raise ValueError(f"cannot export to {path}: {error.strerror or error}") from None


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model, over an older one only once all of it is on the disk. Raises ValueError, as `check_path`."""
    check_path(path)
    content = model.SerializeToString()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".deepmag-", suffix=SUFFIX)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's file is for its owner only; this one is as any other that the person writes
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except OSError as error:
        raise ValueError(f"cannot export to {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
