"""What a pipeline writes and sends, of a file or of what goes on without end.

A camera is recorded, and its vitals are noted, for days while nobody watches: no earlier file is replaced when the
process is started again, and what fails is tried again. The output of a file is one file, replaced by the next run,
and a failure ends it.

endless: as of a camera. patient: what cannot be begun is not refused but tried again, as where nobody sees the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepmag.stream.render.endless_recorder import HOURS, EndlessRecorder
from deepmag.stream.render.recorder import Recorder
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.render.rtsp_messages import parse_address

if TYPE_CHECKING:
    from pathlib import Path

    from deepmag.stream.pipeline import Pipeline
    from deepmag.stream.render.renderer import Renderer
    from deepmag.stream.render.rtsp_messages import RtspAddress


def check_record(path: Path) -> None:
    """Raise RendererError where no recording can have that name, before anything is opened."""
    Recorder(path, rate=1.0)


def check_push(url: str) -> RtspAddress:
    """Take the address of a push apart, before anything is opened. Raises RendererError where it is none."""
    try:
        return parse_address(url)
    except ValueError as error:
        raise RendererError(str(error)) from None


def recorder(
    pipeline: Pipeline,
    path: Path,
    *,
    endless: bool,
    patient: bool = False,
    hours: float = HOURS,
    lossless: bool = False,
    original_beside: bool = False,
    source: str | None = None,
    gpu: int | None = None,
) -> Recorder | EndlessRecorder:
    """A recorder, to be added under "every". hours: see `EndlessRecorder`; the rest: see `Recorder`."""

    def new(path: Path) -> Recorder:
        return Recorder(
            path,
            rate=lambda: pipeline.rate,
            lossless=lossless,
            original_beside=original_beside,
            source=source,
            gpu=gpu,
            keep=endless,
        )

    return EndlessRecorder(path, new, hours=hours, patient=patient) if endless else new(path)


def vitals(pipeline: Pipeline, path: Path, *, endless: bool, patient: bool = False) -> Renderer:
    """Rates as a table, to be added under "every"."""
    from deepmag.stream.render.vitals_csv import VitalsCsv

    return VitalsCsv(path, state=lambda: pipeline.status().state, keep=endless, patient=patient)


def push(pipeline: Pipeline, url: str, gpu: int | None = None, *, patient: bool = False) -> Renderer:
    """A publisher of the magnified picture, with its state and rates on it. Raises RendererError for a bad address."""
    from deepmag.stream.render.rtsp_push import RtspPush

    return RtspPush(url, rate=pipeline.rate, overlay=pipeline, gpu=gpu, patient=patient)
