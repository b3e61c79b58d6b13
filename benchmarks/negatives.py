"""Is a pulse rate shown where there is none? Real and made-up clips through the vitals path, as a table.

    python benchmarks/negatives.py [--data ../shared/data] [--network WEIGHTS | --no-network] [NAME ...]

With --no-network its output is not used: what is measured is what does not depend on training. Ends with exit
status 1 where a rate is shown for a clip without a pulse, or a wrong one for a clip with one. Left out: a green or a
red lamp, at 40 to 180 a minute, that lights skin and nothing else to be seen close to it: its rate is shown.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.magnify import clip_rate
from deepmag.models.representation import normalized_difference, reduce_frame
from deepmag.models.running_difference import RunningDifference, delay
from deepmag.models.steady import ascend_symmetric
from deepmag.models.weights import PULSE
from deepmag.stream.face import FaceDetector
from deepmag.stream.roi import Roi, RoiTracker
from deepmag.stream.vitals import PulseRate

FACE_PERIOD = 1.0  # s between two detections, as in the engine
TOLERANCE = 3.0  # beats per minute
# R, G, B: each nearly blood's colour, or that of its absence
LAMPS = {"green": (0, 1, 0), "red": (1, 0, 0), "magenta": (1, 0, 1)}
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"

Image = NDArray[np.uint8]
Frames = Iterable[tuple[float, Image]]  # s, (H, W, 3) RGB


@dataclass(frozen=True, slots=True)
class Pair:
    """One frame pair as the engine hands it to ``PulseRate``."""

    t: float
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    roi: Roi


@dataclass(frozen=True, slots=True)
class Outcome:
    """shown: (t, beats per minute) of each frame with a rate. best: highest quality. reason: the last one."""

    frames: int
    shown: list[tuple[float, float]]
    best: float
    best_at: float
    reason: str


def video(path: Path, change: Callable[[Image], Image] | None = None) -> Iterator[tuple[float, Image]]:
    """Decode a file's pictures, each changed by ``change``."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            if change is not None:
                image = np.ascontiguousarray(change(image))
            yield float(frame.pts * frame.time_base), image


def encoded(frames: Frames, rate: int = 30, **options: str) -> Iterator[tuple[float, Image]]:
    """Send frames through H.264 and back. options: x264's, e.g. crf="32", g="30"."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = None
        for _, image in frames:
            even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
        if stream is not None:
            out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        for frame in container.decode(video=0):
            yield float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")


def photo(
    image: Image,
    *,
    seconds: float = 30.0,
    rate: float = 30.0,
    noise: float = 0.0,
    light: Callable[[float], NDArray[np.float64] | float] | None = None,
    move: Callable[[float], tuple[float, float]] | None = None,
    seed: int = 0,
) -> Iterator[tuple[float, Image]]:
    """Make a video of a still picture. noise: grey levels. light: factor(s) at t. move: shift in px at t."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    for i in range(round(seconds * rate)):
        t = i / rate
        picture = image.astype(np.float32)
        if move is not None:
            x, y = move(t)
            matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
            picture = cv2.warpAffine(
                picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
        if light is not None:
            picture = picture * light(t)
        if noise:
            picture = picture + rng.normal(0, noise, picture.shape)
        yield t, np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def pairs(frames: Frames, detector: FaceDetector) -> list[Pair]:
    """Do with frames what the engine does: a face once a second, the region, both pictures reduced."""
    tracker = RoiTracker()
    result: list[Pair] = []
    looked: float | None = None
    last: tuple[Image, Roi, NDArray[np.float32]] | None = None
    for t, image in frames:
        faces = None
        if looked is None or t - looked >= FACE_PERIOD:
            faces, looked = detector.detect(image), t
        roi = tracker.update(t, (image.shape[1], image.shape[0]), faces)
        x, y, w, h = roi.box
        after = reduce_frame(image[y : y + h, x : x + w])
        before = after
        if last is not None:
            before = last[2] if last[1].box == roi.box else reduce_frame(last[0][y : y + h, x : x + w])
        result.append(Pair(t, before, after, roi))
        last = (image, roi, after)
    return result


def backwards(take: list[Pair]) -> list[Pair]:
    """Play a clip from its end."""
    return [replace(p, t=take[-1].t - p.t, before=p.after, after=p.before) for p in reversed(take)]


def at_speed(take: list[Pair], factor: float) -> list[Pair]:
    """Play a clip faster."""
    return [replace(p, t=p.t / factor) for p in take]


def to_and_fro(take: list[Pair], seconds: float = 30.0) -> list[Pair]:
    """Play a short clip forth and back until it can be judged: a hard one, for it is periodic."""
    period = take[-1].t + take[1].t - take[0].t
    result: list[Pair] = []
    while not result or result[-1].t < seconds:
        turn = len(result) // len(take)
        part = take if turn % 2 == 0 else backwards(take)
        result += [replace(p, t=p.t + turn * period) for p in part]
    return result


def outputs(take: list[Pair], network: Ascender, rate: float) -> list[float]:
    """Compute the network's output for each pair, as `steady` uses it. rate: pairs a second."""
    running = RunningDifference()
    result: list[float] = []
    for first in range(0, len(take), 100):
        part = take[first : first + 100]
        x = np.stack([running.update(normalized_difference(p.before, p.after), 1, rate) for p in part])
        result += ascend_symmetric(network, x, np.zeros_like(x))[1].tolist()
    return result


def judge(take: list[Pair], network: Ascender | None = None) -> Outcome:
    """Run a clip through ``PulseRate``, with the network's output where there is a network."""
    ys: list[float] | list[None] = [None] * len(take)
    late = 0.0
    if network is not None:
        rate = clip_rate([pair.t for pair in take])
        ys, late = outputs(take, network, rate), delay(rate) / rate
    meter = PulseRate()
    shown: list[tuple[float, float]] = []
    best, best_at = 0.0, 0.0
    for pair, y in zip(take, ys, strict=True):
        meter.update(pair.t, y, pair.before, pair.after, pair.roi, late=late)
        reading = meter.reading(pair.t)
        if reading.rate is not None:
            shown.append((pair.t, reading.rate))
        if reading.quality > best:
            best, best_at = reading.quality, pair.t
    return Outcome(len(take), shown, best, best_at, reading.reason)


def still_picture(data: Path) -> Image:
    """Load a photographed face, 90 px wide."""
    image = cv2.imread(str(data / "assets" / "images_skimage" / "astronaut.png"))
    if image is None:
        raise FileNotFoundError(f"no astronaut.png in {data / 'assets' / 'images_skimage'}")
    return np.ascontiguousarray(image[:320, 64:384, ::-1])


def person_in(image: Image, detector: FaceDetector) -> NDArray[np.float64]:
    """Where the face of a picture is, and the hair around it, from 0 to 1, (H, W, 1)."""
    x, y, w, h = detector.detect(image)[0].box
    down, across = np.mgrid[: image.shape[0], : image.shape[1]]
    inside = ((across - x - w / 2) / (0.66 * w)) ** 2 + ((down - y - 0.45 * h) / (0.68 * h)) ** 2 < 1
    return np.asarray(cv2.GaussianBlur(inside.astype(np.float64), (0, 0), 6)[..., np.newaxis])


def lit(frames: Frames, light: Callable[[float], NDArray[np.float64]]) -> Iterator[tuple[float, Image]]:
    """Shine a lamp on what is filmed. light: factors of R, G, B at t."""
    rng = np.random.default_rng(0)
    for t, image in frames:  # a random share of a level, for what is finer than levels
        yield t, np.clip(image * light(t) + rng.random(image.shape), 0, 255).astype(np.uint8)


def wave(size: float, rate: float) -> Callable[[float], float]:
    """Make a sine of t. size: its amplitude. rate: Hz."""
    return lambda t: size * float(np.sin(2 * np.pi * rate * t))


def takes(data: Path, detector: FaceDetector) -> dict[str, tuple[float | None, Callable[[], list[Pair]]]]:
    """Every clip by name: its true rate, or None where there is no pulse to be seen, and how to make it."""
    folder = data / "video"
    found: dict[str, tuple[float | None, Callable[[], list[Pair]]]] = {}

    def add(name: str, frames: Callable[[], Frames], truth: float | None = None) -> None:
        found[name] = (truth, lambda: pairs(frames(), detector))

    add("clip_a", lambda: video(folder / "clip_a.mp4"), 75.6)
    add("evm_face", lambda: video(folder / "evm_face.mp4"), 52.7)
    add("clip_a crf 30", lambda: encoded(video(folder / "clip_a.mp4"), crf="30", g="30"), 75.6)
    add("clip_a crf 36", lambda: encoded(video(folder / "clip_a.mp4"), crf="36", g="30"), 75.6)
    add("clip_a cropped", lambda: video(folder / "clip_a.mp4", lambda i: i[40:400, 200:520]), 75.6)
    add("evm_face crf 34", lambda: encoded(video(folder / "evm_face.mp4"), crf="34", g="30"), 52.7)
    add("evm_face half size", lambda: video(folder / "evm_face.mp4", cv2.pyrDown), 52.7)
    for factor in (0.8, 1.3, 1.6):
        found[f"clip_a x{factor}"] = (75.6 * factor, lambda f=factor: at_speed(found["clip_a"][1](), f))
    for name in ("talking_head_1", "smiling_1", "carphone", "camera_bob"):
        add(name, lambda n=name: video(folder / f"{n}.mp4"))
        found[f"{name} backwards"] = (None, lambda n=name: backwards(found[n][1]()))
    add("talking_head_1 cropped", lambda: video(folder / "talking_head_1.mp4", lambda i: i[40:280, 60:330]))
    add("talking_head_1 crf 34", lambda: encoded(video(folder / "talking_head_1.mp4"), 25, crf="34", g="25"))
    for factor in (0.85, 1.25, 1.6):
        found[f"talking_head_1 x{factor}"] = (
            None,
            lambda f=factor: at_speed(found["talking_head_1"][1](), f),
        )
    for name in ("smiling_1", "carphone"):
        for factor in (1.0, 1.7):
            found[f"{name} to and fro x{factor}"] = (
                None,
                lambda n=name, f=factor: at_speed(to_and_fro(found[n][1](), 20 * f), f),
            )
    for name in ("evm_guitar", "evm_shadow", "crane_crop", "camera", "baby_monitor"):
        add(name, lambda n=name: video(folder / f"{n}.mp4"))
    picture = still_picture(data)
    add("photo", lambda: photo(picture))
    add("photo, noise", lambda: photo(picture, noise=3))
    add("photo, crf 23", lambda: encoded(photo(picture, noise=2), crf="23", g="30"))
    add("photo, crf 32, key frame each 1.2 s", lambda: encoded(photo(picture, noise=3), crf="32", g="36"))
    add("photo, crf 40, key frame each 0.8 s", lambda: encoded(photo(picture, noise=3), crf="40", g="25"))
    for size in (0.01, 0.05):
        add(
            f"photo, light {100 * size:g} % at 1.2 Hz",
            lambda s=size: photo(picture, noise=1, light=lambda t: 1 + wave(s, 1.2)(t)),
        )
    for name, colour in (("skin's", (0.005, 0.01, 0.007)), ("warm", (0.01, 0.02, 0.03))):
        add(
            f"photo, light of {name} colour at 1.2 Hz",
            lambda c=colour: photo(picture, noise=1, light=lambda t: 1 + np.array(c) * wave(1, 1.2)(t)),
        )
    add(
        "photo, light 3 % at 1.2 Hz, crf 26",
        lambda: encoded(photo(picture, noise=2, light=lambda t: 1 + wave(0.03, 1.2)(t)), crf="26", g="30"),
    )
    person = person_in(picture, detector)
    for name, colour in (
        ("white", (1, 1, 1)),
        ("a screen's", (0.6, 1, 1.7)),
        ("blue", (0.05, 0.2, 1)),
        *LAMPS.items(),
    ):
        add(
            f"photo, light of {name} colour on it alone",
            lambda c=colour: photo(
                picture, noise=1.5, light=lambda t: 1 + person * np.array(c) * wave(0.01, 1.2)(t)
            ),
        )
    x, y, w, h = (round(length) for length in detector.detect(picture)[0].box)
    close = np.ascontiguousarray(
        picture[max(0, y - h // 8) : y + h + h // 8, max(0, x - w // 8) : x + w + w // 8]
    )
    for name, colour in LAMPS.items():  # on the face and on all around it, too close for a background
        add(
            f"photo from near, {name} lamp",
            lambda c=colour: photo(close, noise=1.5, light=lambda t: 1 + np.array(c) * wave(0.01, 1.2)(t)),
        )
        add(
            f"evm_face, {name} lamp",
            lambda c=colour: lit(
                video(folder / "evm_face.mp4"), lambda t: 1 + np.array(c) * wave(0.01, 1.4)(t)
            ),
            52.7,
        )
    before_black = np.where(person > 0.5, picture, 0).astype(np.uint8)  # where what hunts cannot be seen
    add(
        "photo before black, white balance hunts",
        lambda: photo(
            before_black,
            noise=1.5,
            light=lambda t: 1 + 0.01 * np.array([1, 0, -1]) * np.tanh(wave(3, 0.8)(t)),
        ),
    )
    for size in (0.2, 1.0, 4.0):
        for x, y in ((1, 0), (0, 1), (1, 1)):
            for noise in (0.0, 2.0):
                add(
                    f"photo, moves {size * x:g},{size * y:g} px at 1.1 Hz, noise {noise:g}",
                    lambda s=size, x=x, y=y, n=noise: photo(
                        picture, noise=n, move=lambda t: (wave(s * x, 1.1)(t), wave(s * y, 1.1)(t))
                    ),
                )
    add("noise", lambda: photo(np.full((240, 320, 3), 128, np.uint8), noise=40))
    add("wall", lambda: photo(np.full((240, 320, 3), (190, 170, 150), np.uint8), noise=2))
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real clips")
    parser.add_argument("--network", type=Path, default=PULSE, help="a PulseNet's weights, .safetensors")
    parser.add_argument("--no-network", dest="network", action="store_const", const=None, help="do without")
    parser.add_argument("names", nargs="*", help="clips to run; default: all")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"the real clips are not in {arguments.data}; name their folder with --data")
    network = open_ascender(arguments.network, device="cpu") if arguments.network else None
    detector = FaceDetector()
    wrong = run = without = 0
    print(
        f"{'clip':46s} {'truth':>6s} {'frames':>6s} {'shown, s':>8s} {'rate':>13s} {'first, s':>8s} "
        "quality at, s"
    )
    for name, (truth, make) in takes(arguments.data, detector).items():
        if arguments.names and name not in arguments.names:
            continue
        take = make()
        found = judge(take, network)
        rates = [rate for _, rate in found.shown]
        bad = any(truth is None or abs(rate - truth) > TOLERANCE for rate in rates)
        wrong += bad
        run += 1
        without += truth is None
        frame = (take[-1].t - take[0].t) / max(1, len(take) - 1)
        print(
            f"{name:46s} {truth or '-':>6} {found.frames:6d} {len(rates) * frame:8.1f} "
            f"{f'{min(rates):.1f}..{max(rates):.1f}' if rates else '--':>13s} "
            f"{f'{found.shown[0][0]:.1f}' if rates else '-':>8s} {found.best:7.2f} {found.best_at:5.1f} "
            f"{found.reason}{'  WRONG' if bad else ''}",
            flush=True,
        )
    print(f"{run} clips, {without} of them without a visible pulse: {wrong or 'none'} with a wrong rate")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
