"""Recordings and meshes that make synthetic people richer where there are some. Nothing of it is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deepmag.models.synthetic.mesh import FaceMesh
from deepmag.models.synthetic.recorded import HeadTrack, RecordedRhythm
from deepmag.models.synthetic.render import GAMMA

TRACK_RATE = 50.0  # Hz, of the head tracks
BACKGROUND = 256  # px, of the side to which pictures are reduced
PICTURE = 512  # px, of the same where they are what moves

Kind = Literal["rhythms", "tracks", "mesh", "backgrounds", "pictures"]
PLACES: dict[Kind, str] = {
    "rhythms": "waveforms/real_wave_*.npz",
    "tracks": "waveforms/head_tracks48.npz",
    "mesh": "assets/ict_facekit/ict_face_headneck_f16.npz",
    "backgrounds": "assets/images_backgrounds/*.jpg",
    "pictures": "assets/images_*/*.jpg or .png",
}


@dataclass(frozen=True)
class Assets:
    """What could be found in a folder.

    rhythms: of real people. tracks: motions of real heads. mesh: heads with identity shapes. backgrounds: (3, h, w)
    linear. pictures: (h, w) luma, grey levels, all that there are, by name.
    """

    rhythms: Sequence[RecordedRhythm] = ()
    tracks: Sequence[HeadTrack] = ()
    mesh: FaceMesh | None = None
    backgrounds: Sequence[torch.Tensor] = field(default=())
    pictures: Sequence[NDArray[np.float32]] = ()


def load_assets(folder: Path, wanted: Sequence[Kind] = ()) -> Assets:
    """Everything that a folder holds, which may be nothing.

    folder: with what `PLACES` names, each optional. wanted: of this something has to be there. Raises FileNotFoundError
    where it is not, and where there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    mesh = folder / PLACES["mesh"]
    assets = Assets(
        [load_rhythm(path) for path in sorted(folder.glob(PLACES["rhythms"]))],
        load_tracks(folder / PLACES["tracks"]),
        FaceMesh.load(mesh, mesh.parent / "vertex_indices.json") if mesh.is_file() else None,
        [load_background(path) for path in sorted(folder.glob(PLACES["backgrounds"]))],
        load_pictures(folder / "assets"),
    )
    if wanted and not any(getattr(assets, kind) for kind in wanted):
        raise FileNotFoundError(
            f"{folder} holds nothing that could be used: no {', no '.join(PLACES[kind] for kind in wanted)}"
        )
    return assets


def load_rhythm(path: Path) -> RecordedRhythm:
    """Pulse and breath from a file with ``ppg``, ``resp`` and ``fps``."""
    with np.load(path) as stored:
        return RecordedRhythm(
            stored["ppg"].astype(np.float64), stored["resp"].astype(np.float64), float(stored["fps"])
        )


def load_tracks(path: Path) -> list[HeadTrack]:
    """Head motions from a file of tracked face points, arrays NAME_x and NAME_y of (points, frames) px."""
    if not path.is_file():
        return []
    with np.load(path) as stored:
        names = [match.group(1) for name in stored.files if (match := re.fullmatch(r"(.*)_x", name))]
        return [HeadTrack.from_points(stored[f"{name}_x"], stored[f"{name}_y"], TRACK_RATE) for name in names]


def load_background(path: Path) -> torch.Tensor:
    """A picture as a background: (3, h, w) linear."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is not a picture")
    scale = BACKGROUND / min(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    linear = ((small[..., ::-1] / 255) ** GAMMA).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(linear.transpose(2, 0, 1)))


def load_pictures(folder: Path) -> list[NDArray[np.float32]]:
    """The luma of every picture in the folders ``images_*``, (h, w) grey levels, by file name."""
    pictures = []
    for path in sorted(folder.glob("images_*/*"), key=lambda path: path.name):
        if path.suffix not in (".jpg", ".png"):
            continue
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError(f"{path} is not a picture")
        scale = min(1.0, PICTURE / min(picture.shape))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(small.astype(np.float32))
    return pictures
