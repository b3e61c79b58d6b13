"""Whole pictures from interlaced video, whose every other row was taken half a picture later.

Woven as they are stored, what moves between the two shows as combs, and its motion is seen twice. As analogue cameras'
encoders and television have it.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

import av.error
from av.filter import Graph

if TYPE_CHECKING:
    from av import VideoFrame

log = logging.getLogger("deepmag.stream.capture")

# One picture for each that comes, of the rows that were taken first; one that is whole passes as it is.
BWDIF = "mode=send_frame:deint=interlaced"

Told = TypeVar("Told")


class Deinterlacer(Generic[Told]):
    """FFmpeg's bwdif, from the first interlaced picture on; before, pictures pass at once.

    It looks at the picture that follows, so each comes one picture late, with what was told of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._graph: Graph | None = None
        self._made_for: tuple[object, ...] = ()
        self._told: deque[Told] = deque()  # of the pictures in the graph
        self._works = True

    def add(self, picture: VideoFrame, told: Told) -> list[tuple[VideoFrame, Told]]:
        """Take the next one. Returns those that are whole now, in order."""
        if self._graph is None and not (picture.interlaced_frame and self._works):
            return [(picture, told)]
        made_for = (
            picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range,
            picture.time_base,
        )  # fmt: skip
        done: list[tuple[VideoFrame, Told]] = []
        if made_for != self._made_for:
            done = self.rest()
            self._graph, self._made_for = self._graph_for(picture), made_for
        if self._graph is None:
            return [*done, (picture, told)]
        self._told.append(told)
        self._graph.vpush(picture)
        return done + self._ready()

    def rest(self) -> list[tuple[VideoFrame, Told]]:
        """Those that wait for one more, at the end."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        done = self._ready()
        self._graph, self._made_for = None, ()
        self._told.clear()
        return done

    def _ready(self) -> list[tuple[VideoFrame, Told]]:
        assert self._graph is not None
        done = []
        while self._told:
            try:
                picture = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            done.append((picture, self._told.popleft()))
        return done

    def _graph_for(self, picture: VideoFrame) -> Graph | None:
        graph = Graph()
        graph.threads = 1  # else each feed has one for each core, which do nothing
        try:
            pixels = f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
            colours = f"colorspace={picture.colorspace:d}:range={picture.color_range:d}"
            source = graph.add("buffer", f"{pixels}:{colours}:time_base={picture.time_base or '1/1000'}")
            graph.link_nodes(source, graph.add("bwdif", BWDIF), graph.add("buffersink")).configure()
        except (av.error.FFmpegError, ValueError) as error:
            self._works = False
            log.warning(
                "%s is interlaced and cannot be deinterlaced (%s): what moves fast shows as combs",
                self._name,
                error,
            )
            return None
        _say_deinterlaced(self._name)
        return graph


@lru_cache(maxsize=64)  # a clip is read several times
def _say_deinterlaced(name: str) -> None:
    log.info("%s is interlaced: it is deinterlaced, which makes it one picture late", name)
