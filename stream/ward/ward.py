"""All feeds of a file, run in one process: networks shared, one page, each feed on its own for all else."""

from __future__ import annotations

import logging
import threading
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from deepmag.stream.capture.open import open_source
from deepmag.stream.face import load_face_detector
from deepmag.stream.gpu_codecs import codec_gpu
from deepmag.stream.networks import Networks, open_networks
from deepmag.stream.outputs import push, recorder, vitals
from deepmag.stream.pipeline import Pipeline
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.settings import Settings
from deepmag.stream.ward.batched_ascender import Shared
from deepmag.stream.ward.batching import BUDGET
from deepmag.stream.ward.feed import WardFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deepmag.export.runtime import DeviceName, Runtime
    from deepmag.stream.face import FaceDetector
    from deepmag.stream.frames import SignalName
    from deepmag.stream.gpu_codecs import Codecs
    from deepmag.stream.render.renderer import Renderer
    from deepmag.stream.render.thread import Policy
    from deepmag.stream.settings import Target
    from deepmag.stream.ward.feeds_file import FeedSpec

log = logging.getLogger("deepmag.stream.ward")


class Ward:
    """Runs feeds. Raises AscenderUnavailableError where a network that they need cannot run.

    runtime, device, threads: of the networks. budget: s that a frame pair waits for those of other feeds.
    """

    def __init__(
        self,
        specs: tuple[FeedSpec, ...],
        *,
        runtime: Runtime = "auto",
        device: DeviceName = "auto",
        threads: int | None = None,
        budget: float = BUDGET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        wanted: Codecs = "gpu" if any(spec.codecs == "gpu" for spec in specs) else "cpu"
        self._gpu = codec_gpu(wanted, device)  # once: it says in the log where there is none
        signals = {
            name for spec in specs if spec.settings.method == "deepmag" for name in spec.settings.signals
        }
        networks = Networks(None, None)
        if signals:
            target: Target = "both" if len(signals) == 2 else next(iter(signals))
            networks = open_networks(Settings(target=target), runtime, device, threads, at_once=True)
        self._pictures = networks.pictures
        self._networks = Shared(networks, self._members, budget)
        self.feeds: Mapping[str, WardFeed] = {}
        self.feeds = {spec.slug: WardFeed(spec, self._build, self._add_outputs) for spec in specs}

    def start(self, pages: Mapping[str, Renderer] | None = None) -> None:
        """Start all. pages: each feed's part of the page, by slug."""
        for slug, feed in self.feeds.items():
            feed.start(pages[slug] if pages else None)

    def watch(self) -> None:
        """Look after all: call it about once a second."""
        for feed in self.feeds.values():
            feed.watch(self._clock())

    @property
    def over(self) -> bool:
        """Whether every feed was a file, and has ended."""
        return all(feed.status().state == "ended" for feed in self.feeds.values())

    @property
    def troubles(self) -> list[str]:
        """What could not be written or sent, and is not made up for, each with its feed; after `stop` for good."""
        return [f"{feed.spec.name}: {why}" for feed in self.feeds.values() for why in feed.pipeline.errors]

    @property
    def hangs(self) -> bool:
        """Whether what magnifies a feed hangs; since feeds share it, it soon will those of all."""
        return any(feed.pipeline.hangs for feed in self.feeds.values())

    def stop(self) -> None:
        """End all; recordings are finished."""
        for feed in self.feeds.values():  # all at once: each waits for what is inside it
            feed.pipeline.capture.stop()
            feed.pipeline.engine.stop()
        threads, alone = [], []
        for feed in self.feeds.values():  # side by side: a disk that hangs costs none its recording
            thread = threading.Thread(target=_end, args=(feed,), name=f"end-{feed.spec.slug}")
            try:
                thread.start()
                threads.append(thread)
            except RuntimeError:  # no thread can be had
                alone.append(feed)
        for feed in alone:
            _end(feed)
        for thread in threads:
            thread.join()
        self._networks.close()

    def describe(self) -> Iterator[str]:
        """One line a feed: state, rates, frames per second, latency, drops."""
        from deepmag.stream.describe import describe

        for feed in self.feeds.values():
            yield f"{feed.spec.name}: {describe(feed, feed.pipeline.readings)}"

    def _members(self, signal: SignalName) -> int:
        """Feeds whose pictures come, and which a batch may wait for."""
        now = self._clock()
        return sum(
            feed.settings.method == "deepmag"  # the others have no pairs to bring
            and signal in feed.settings.signals
            and feed.pipeline.capture.state(now)[0] == "live"
            for feed in self.feeds.values()
        )

    @cached_property
    def _detector(self) -> FaceDetector | None:
        """One for all: it keeps nothing of a stream, and takes 40 MB."""
        return load_face_detector()

    def _build(self, spec: FeedSpec, settings: Settings) -> Pipeline:
        return Pipeline(
            open_source(
                spec.address,
                transport=spec.transport,
                timestamps=spec.timestamps,
                pace="file",
                loop=spec.loop,
                patient=True,
                gpu=self._codec_gpu(spec),
            ),
            self._networks.pulse,
            self._detector if "pulse" in settings.signals else None,
            settings,
            respiration=self._networks.respiration,
            pictures=self._pictures(),
            label=spec.slug,
            give_up=None,
            clock=self._clock,
        )

    def _codec_gpu(self, spec: FeedSpec) -> int | None:
        return self._gpu if spec.codecs == "gpu" else None

    def _add_outputs(self, spec: FeedSpec, pipeline: Pipeline) -> None:
        """Recording, numbers and push, as the file asks for them; one that cannot be is told, and costs no other."""

        def add(make: Callable[[], Renderer], policy: Policy) -> None:
            try:
                # not waited for: a disk that does not answer yet would hold up the other feeds, and be given up
                pipeline.add(make(), policy, wait=False)
            except (RendererError, OSError) as error:
                log.error("%s: %s; it runs without", spec.name, error)
                pipeline.report(str(error))

        gpu = self._codec_gpu(spec)
        if spec.record is not None:
            how: dict[str, Any] = {"hours": spec.split, "source": spec.address.text, "gpu": gpu}
            add(partial(recorder, pipeline, spec.record, endless=True, patient=True, **how), "every")
        if spec.vitals is not None:
            add(partial(vitals, pipeline, spec.vitals, endless=True, patient=True), "every")
        if spec.push is not None:
            add(partial(push, pipeline, spec.push, gpu, patient=True), "latest")


def _end(feed: WardFeed) -> None:
    try:
        feed.stop()
    except Exception:  # the recordings of the others are to be finished
        log.exception("%s did not end in order", feed.spec.name)
