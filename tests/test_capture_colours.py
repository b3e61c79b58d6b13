"""Colours of what is read: the matrix and range of the pixels, and what is said where they cannot be right."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from deepmag.stream.capture.address import parse_address
from deepmag.stream.capture.colours import BT601, BT709, to_rgb
from deepmag.stream.capture.open import open_source
from deepmag.stream.render.h264 import Converter

NEITHER, RGB_PRIMARIES = 2, 1  # as FFmpeg numbers them: not specified; BT.709's
PATCHES = np.array([[200, 30, 60], [40, 180, 50], [30, 60, 190], [220, 170, 140]], np.uint8)
LAYOUTS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuva420p", "nv12", "nv21", "nv16", "yuyv422", "uyvy422", "yvyu422",
    "yuv420p10le", "yuv422p10le", "yuv420p12le", "yuv422p12le", "yuv444p10le", "p010le", "gray", "gray10le", "gray12le",
]  # fmt: skip
SWSCALE = {BT601: Colorspace.ITU601, BT709: Colorspace.ITU709}


def patches(size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3): four colours beside each other, the last one skin's. size: (width, height), px."""
    width, height = size
    row = PATCHES[np.arange(width) * len(PATCHES) // width]
    return np.broadcast_to(row, (height, width, 3)).copy()


def seen(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(4, 3): the colours in the middles of the patches."""
    height, width, _ = image.shape
    return image[height // 2, [width * (2 * k + 1) // 8 for k in range(len(PATCHES))]]


def stored(size: tuple[int, int], pixels: int, tag: int, form: str = "yuv420p") -> av.VideoFrame:
    """pixels: the matrix by which colours are stored. tag: the one that is said."""
    frame = av.VideoFrame.from_ndarray(patches(size), format="rgb24")
    frame = frame.reformat(format=form, dst_colorspace=SWSCALE[pixels])
    frame.colorspace = tag
    return frame


def write(path: Path, *frames: av.VideoFrame, codec: str = "ffv1", **says: Any) -> Path:
    """Encode pictures to a .mkv whose header says what ``says`` says: colorspace, color_primaries, color_trc, ..."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        for name, value in says.items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path) -> NDArray[np.uint8]:
    """The first picture."""
    frames = open_source(parse_address(str(path)), pace="max").frames(threading.Event())
    return next(frames).image


@pytest.mark.parametrize(
    ("size", "tag", "primaries", "pixels"),
    [
        ((640, 480), NEITHER, NEITHER, BT601),
        ((720, 576), NEITHER, NEITHER, BT601),
        ((1280, 720), NEITHER, NEITHER, BT709),
        ((1280, 96), NEITHER, NEITHER, BT709),
        ((96, 640), NEITHER, NEITHER, BT709),
        ((640, 480), NEITHER, RGB_PRIMARIES, BT709),
        ((1280, 720), BT601, RGB_PRIMARIES, BT601),
        ((640, 480), BT709, NEITHER, BT709),
    ],
)
def test_hd_video_that_does_not_say_is_read_as_players_show_it(
    tmp_path: Path, size: tuple[int, int], tag: int, primaries: int, pixels: int
) -> None:
    clip = write(tmp_path / "clip.mkv", stored(size, pixels, tag), colorspace=tag, color_primaries=primaries)
    image = read(clip)
    assert np.abs(seen(image).astype(int) - PATCHES).max() <= 4  # by the other matrix up to 30


def test_what_is_recorded_of_hd_video_is_what_it_says() -> None:
    size = (1280, 720)
    read_in = to_rgb(stored(size, BT709, NEITHER), "it", raw_camera=False)
    recorded = Converter(time_base=Fraction(1, 30), lossless=False).convert(read_in, 0)
    assert recorded.colorspace == BT601
    assert np.abs(seen(to_rgb(recorded, "it", raw_camera=False)).astype(int) - PATCHES).max() <= 5


def test_a_gpus_pictures_have_the_colours_of_the_cpus() -> None:
    for size in ((640, 480), (1280, 720)):
        cpu = to_rgb(stored(size, BT709, NEITHER), "it", raw_camera=False)
        gpu = to_rgb(stored(size, BT709, NEITHER).reformat(format="nv12"), "it", raw_camera=False)
        assert (cpu == gpu).all()


def test_raw_pixels_of_a_camera_are_bt601_whatever_their_size() -> None:
    image = to_rgb(stored((1280, 720), BT601, NEITHER, "yuyv422"), "it", raw_camera=True)
    assert np.abs(seen(image).astype(int) - PATCHES).max() <= 4


def ramp(form: str, height: int) -> tuple[av.VideoFrame, NDArray[np.float64]]:
    """All greys of a limited range, without chroma; and what each is of 255."""
    bits = av.VideoFrame(64, 64, form).format.components[0].bits
    luma = np.arange(16 << bits - 8, (235 << bits - 8) + 1)
    frame = av.VideoFrame(len(luma) + len(luma) % 2, height, form)
    frame.color_range = 1
    packed = {"yuyv422": 0, "yvyu422": 0, "uyvy422": 1}.get(form)
    for number, plane in enumerate(frame.planes):
        wide = np.uint16 if bits > 8 else np.uint8
        samples = np.full((plane.height, plane.line_size // wide().itemsize), 128 << bits - 8, wide)
        if packed is not None:
            samples[:, packed : packed + 2 * len(luma) : 2] = luma
        elif number == 0:
            samples[:, : len(luma)] = luma
        if form == "p010le":
            samples <<= 6
        plane.update(samples.tobytes())
    return frame, (luma - luma[0]) / (luma[-1] - luma[0]) * 255


@pytest.mark.parametrize("height", [16, 17])
@pytest.mark.parametrize("form", LAYOUTS)
def test_greys_are_right_to_a_level_in_every_layout_of_pixels(form: str, height: int) -> None:
    frame, true = ramp(form, height)
    image = to_rgb(frame, "it", raw_camera=False)[8, : len(true)].astype(int)
    assert np.abs(image - true[:, None]).max() < 1  # by swscale's own choice 2 to 3 of most
    assert (image[-1] == 255).all()
    assert len(np.unique(image)) == (256 if len(true) > 256 else 220)


def test_grey_video_is_as_light_as_its_file_says(tmp_path: Path) -> None:
    limited = ramp("gray", 96)[0]
    assert read(write(tmp_path / "limited.mkv", limited, color_range=1))[8, [0, 219]].tolist() == [
        3 * [0],
        3 * [255],
    ]
    limited.color_range = 2
    assert read(write(tmp_path / "full.mkv", limited, color_range=2))[8, [0, 219]].tolist() == [
        3 * [16],
        3 * [235],
    ]


@pytest.mark.parametrize(("size", "taken"), [((640, 480), BT601), ((1280, 720), BT709)])
@pytest.mark.parametrize(
    ("tag", "said"), [(8, "YCgCo"), (10, "BT.2020 with constant luminance"), (14, "ICtCp"), (77, "number 77")]
)
def test_a_matrix_that_cannot_be_used_is_named_once_and_the_nearest_taken(
    caplog: pytest.LogCaptureFixture, size: tuple[int, int], taken: int, tag: int, said: str
) -> None:
    name = f"a clip of {size} by {tag}"
    for _ in range(2):
        image = to_rgb(stored(size, taken, tag), name, raw_camera=False)
        assert np.abs(seen(image).astype(int) - PATCHES).max() <= 4
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert name in warnings[0]
    assert said in warnings[0]
    assert f"read as {'BT.709' if taken == BT709 else 'BT.601'}" in warnings[0]


@pytest.mark.parametrize(
    ("primaries", "transfer", "said"),
    [
        (9, 14, "wide-gamut colours (BT.2020)"),
        (12, 1, "wide-gamut colours (Display P3)"),
        (9, 16, "is HDR"),
        (1, 1, ""),
    ],
)
def test_of_colours_beyond_a_usual_screens_it_is_said_once_that_they_look_pale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, primaries: int, transfer: int, said: str
) -> None:
    frame = stored((96, 64), BT709, BT709)
    clip = write(
        tmp_path / "clip.mkv", frame, colorspace=BT709, color_primaries=primaries, color_trc=transfer
    )
    for _ in range(2):
        read(clip)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == bool(said)
    assert all(said in warning and "look pale" in warning for warning in warnings)
