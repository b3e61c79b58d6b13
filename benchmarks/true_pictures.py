"""What the live default makes of the picture of synthetic people whose pulse is known, one thing made worse at a time.

    python benchmarks/true_pictures.py [--data ../shared/data] [--people 3 11 20] [--list] [--json] [NAME ...]

People with the rhythms of real ones in a 640x480 picture of 15 frames a second go through the live magnifier as
`deepmag live` sets it, with a face detector, and what was added to the picture's green is compared with their true
pulse in 0.7 to 2.5 Hz (of a "pulse of N a minute" in 0.5 to 4.5 Hz, which holds all of it), from 6 to 20 s, or where
something happens in the named part of the take. What is magnified above that, up to 3.1 Hz, would make coherence lower
by 0.01, and what is made up larger by 0.02, at most. Each figure is the mean of some people and their standard
deviation; they also differ in the part of the rhythm and in noise. A NAME may be what several have in common: "H.264",
"no pulse,".

pulse      RMS of the true pulse of the skin's mean green, grey levels; of those without one: what it would be
left       share of it that the camera and its codec left in the picture; what else changes is in it by chance, too
gain       times that it grew in step with the true pulse; the default asks for 16
coherence  correlation of what was added to the skin's mean with the true pulse
blocks     the median of the same over blocks of 8 x 8 px
late       by how much what was added comes after the true pulse in the same picture, ms
made       RMS of what was added to the skin's mean that is not in step with a pulse, as a share of what the default
           would add to a pulse of 1.2 % of the light
leak       RMS of what was added in the square to blocks that are never skin / to blocks that are
off        RMS of the same, grey levels
most       the largest change of one of them, grey levels, at any frequency
residual   of the square's blocks: distance to a picture whose pulse is 16 times as large / that of the unmagnified
           one: 0 is perfect, 1 as good as nothing
ssim       likeness to the unmagnified picture
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from negatives import DATA
from numpy.typing import NDArray
from people import FPS, PERSON, Take
from picture_takes import Condition, Seen, conditions, seen

from deepmag.export.runtime import Ascender, open_ascender
from deepmag.models.metrics import pulse
from deepmag.models.metrics.picture import luma, ssim
from deepmag.models.metrics.traces import BARE, BLOCK, COVERED, OFTEN, SkinBlocks, block_means, within
from deepmag.models.temporal import zero_phase
from deepmag.models.weights import PULSE
from deepmag.stream.engine import FaceFinder
from deepmag.stream.face import FaceDetector
from deepmag.stream.frames import Frame, MagnifiedFrame
from deepmag.stream.magnifier import PulseMagnifier
from deepmag.stream.roi import RoiTracker
from deepmag.stream.settings import Settings
from deepmag.stream.vitals import PulseRate

PEOPLE = (PERSON, 11, 20)
COLUMNS = {
    "pulse": 2, "left": 2, "gain": 1, "coherence": 2, "blocks": 2, "late": 0, "made": 2, "leak": 2, "off": 2, "most": 1,
    "residual": 2, "ssim": 3,
}  # fmt: skip
TITLE, CELL = 48, 12
LIKE_EVERY = 15  # frames
REACH, FINE = 0.4, 0.002  # s: how late is looked for, and how finely

Scores = dict[str, float]


@dataclass(frozen=True)
class Shown:
    """What was added to green, grey levels: skin (T,) its mean, blocks (T, rows, columns).

    before: (T,) the skin's mean green as it was. box: each frame's square. cover: (T, rows, columns), of each block by
    skin. ssim: of some frames, by their number.
    """

    skin: NDArray[np.float64]
    before: NDArray[np.float64]
    blocks: NDArray[np.float32]
    cover: NDArray[np.float32]
    box: list[tuple[int, int, int, int]]
    ssim: dict[int, float]


def magnified(take: Seen, ascender: Ascender, detector: FaceDetector, said: Callable[[int], None]) -> Shown:
    """Show a take's pictures as `deepmag live` does. said: told the number of each."""
    magnifier = PulseMagnifier(
        ascender, RoiTracker(), PulseRate(), clock=lambda: 0.0, nominal_rate=lambda: FPS, lag=Settings().lag
    )
    finder, settings = FaceFinder(detector, at_once=True), Settings()
    skin, before_skin, blocks, cover, box, like = [], [], [], [], [], {}

    def look(frame: MagnifiedFrame) -> None:
        number, before = frame.frame.seq, frame.frame.image
        added = frame.image[..., 1].astype(np.float32) - before[..., 1]
        here = cv2.resize(take.skin[number], added.shape[::-1])
        total = max(here.sum(), 1.0)
        skin.append(float((added * here).sum() / total))
        before_skin.append(float((before[..., 1] * here).sum() / total))
        blocks.append(block_means(added[np.newaxis])[0])
        cover.append(block_means(here[np.newaxis])[0])
        box.append(frame.roi)
        if number % LIKE_EVERY == 0:
            like[number] = ssim(luma(before), luma(frame.image))

    for number, picture in enumerate(take.pictures):
        said(number)
        frame = Frame(0, number, number / FPS, 0.0, picture)
        for done in magnifier.push(frame, settings, finder.faces(frame)):
            look(done)
    for done in magnifier.flush():
        look(done)
    return Shown(np.array(skin), np.array(before_skin), np.stack(blocks), np.stack(cover), box, like)


def late(added: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """By how much one trace comes after another, s: where their correlation is largest. Both (T,), in band.

    NaN where there is nothing to compare.
    """
    if not (added.any() and truth.any()):
        return float("nan")
    cross = np.fft.rfft(added - added.mean(), 4 * len(added))
    cross *= np.conj(np.fft.rfft(truth - truth.mean(), 4 * len(truth)))
    lags = np.arange(-REACH, REACH + FINE, FINE)
    frequency = np.fft.rfftfreq(4 * len(added), 1 / FPS)
    return float(lags[np.argmax((np.exp(2j * np.pi * np.outer(lags, frequency)) @ cross).real)])


def scores(take: Seen, shown: Shown, condition: Condition, begin: float, end: float) -> Scores:
    """What the picture is worth from one time to another, s."""
    part = slice(round(begin * FPS), round(end * FPS))

    def in_band(x: NDArray[np.floating]) -> NDArray[np.float64]:
        return zero_phase(np.asarray(x, np.float64), condition.band, FPS)[part]

    added, truth = in_band(shown.skin), in_band(take.pulse)
    blocks, true_blocks = in_band(shown.blocks), in_band(take.blocks)
    cover = shown.cover[part]
    size = (cover.shape[2] * BLOCK, cover.shape[1] * BLOCK)
    square = np.any([within(size, box) for box in set(shown.box[part])], axis=0)
    where = SkinBlocks(
        (np.mean(cover >= COVERED, axis=0) >= OFTEN) & square, (cover.max(axis=0) <= BARE) & square
    )
    larger = Settings().gain - 1.0
    found: Scores = dict.fromkeys(COLUMNS, float("nan"))
    found["ssim"] = float(
        np.mean([like for number, like in shown.ssim.items() if begin <= number / FPS < end])
    )
    if where.outside.any():
        found["off"] = pulse.rms(blocks[:, where.outside])
        found["most"] = float(np.abs(shown.blocks[part][:, where.outside]).max())
    if not where.inside.any():
        return found
    found["pulse"] = pulse.rms(truth)
    made, asked = pulse.rms(added), larger * pulse.rms(truth)
    if condition.take.pulse > 0:
        asked *= Take().pulse / condition.take.pulse
        coherence = pulse.coherence(added, truth)
        made *= np.sqrt(1 - coherence**2)
        found |= {
            "left": pulse.gain(in_band(shown.before), truth, truth),
            "gain": pulse.added_gain(added, truth),
            "coherence": coherence,
            "blocks": pulse.blocks(blocks, truth, where),
            "late": 1e3 * late(added, truth),
            "leak": pulse.leak(blocks, where),
            "residual": pulse.rms((blocks - larger * true_blocks)[:, square])
            / pulse.rms(larger * true_blocks[:, square]),
        }
    found["made"] = made / asked
    return found


def cell(values: Sequence[float], digits: int) -> str:
    """A mean and its spread."""
    if not np.isfinite(values).all():
        return f"{'-':>{CELL}s}"
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f"±{np.std(values, ddof=1):.{digits}f}"
    return f"{text:>{CELL}s}"


def row(title: str, found: Sequence[Scores]) -> str:
    """One line of the table."""
    cells = [cell([one[column] for one in found], digits) for column, digits in COLUMNS.items()]
    return f"{title:{TITLE}s}" + "".join(cells)


def chosen(known: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The names that are asked for, or have what is asked for in them. Raises ValueError for one that none has."""
    found: list[str] = []
    for text in asked or known:
        named = [text] if text in known else [name for name in known if text in name]
        if not named:
            raise ValueError(f"no condition has {text!r} in its name; --list shows them")
        found += [name for name in named if name not in found]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the recordings")
    parser.add_argument(
        "--people",
        type=int,
        nargs="+",
        default=PEOPLE,
        metavar="N",
        help="whom, by any numbers; default: 3 11 20",
    )
    parser.add_argument("--list", action="store_true", help="only name what there is")
    parser.add_argument("--json", action="store_true", help="each person's figures in place of the table")
    parser.add_argument("names", nargs="*", metavar="NAME", help="those to run; default: all, half an hour")
    arguments = parser.parse_args()
    known = conditions()
    try:
        names = chosen(list(known), arguments.names)
    except ValueError as error:
        parser.error(str(error))
    if arguments.list:
        print("\n".join(names))
        return
    if not arguments.data.is_dir():
        sys.exit(f"the recordings are not in {arguments.data}; name their folder with --data")
    if not arguments.json:
        print(" " * TITLE + "".join(f"{column:>{CELL}s}" for column in COLUMNS), flush=True)
    ascender, detector = open_ascender(PULSE, device="cpu"), FaceDetector()
    results: dict[str, dict[str, list[Scores]]] = {}
    for name in names:
        condition = known[name]
        people = condition.people or tuple(arguments.people)
        found: dict[str, list[Scores]] = {window: [] for window in condition.windows}
        for seed, person in enumerate(people):

            def said(number: int, name: str = name, seed: int = seed, people: Sequence[int] = people) -> None:
                if sys.stderr.isatty() and number % 5 == 0:
                    text = f"{name}: person {seed + 1} of {len(people)}, {number / FPS:.0f} s"
                    print(f"\r{text:79s}\r", end="", file=sys.stderr, flush=True)

            take = replace(condition.take, person=person, seed=seed)
            made = seen(condition, take, arguments.data)
            shown = magnified(made, ascender, detector, said)
            for window, (begin, end) in condition.windows.items():
                found[window].append(scores(made, shown, condition, begin, end))
        results[name] = found
        if not arguments.json:
            for window, figures in found.items():
                print(row(f"{name}, {window}" if window else name, figures), flush=True)
    if arguments.json:
        # what there is none of is null: JSON has no NaN
        plain = {
            name: {
                window: [
                    {key: None if np.isnan(value) else value for key, value in one.items()} for one in figures
                ]
                for window, figures in found.items()
            }
            for name, found in results.items()
        }
        print(json.dumps(plain, indent=2))


if __name__ == "__main__":
    main()
