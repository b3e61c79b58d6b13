"""What Prometheus reads at /metrics. A registry of its own: two pages in one process do not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from deepmag.stream.frames import SourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

    from deepmag.stream.frames import Reading, SignalName
    from deepmag.stream.status import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0, 2.1, 2.5, 4.0)  # s
RATES: dict[SignalName, tuple[str, str]] = {
    "pulse": ("deepmag_pulse_rate_bpm", "Pulse rate"),
    "respiration": ("deepmag_respiration_rate_per_minute", "Breaths per minute"),
}


class _Snapshot(Collector):
    """Gauges and counters that are read from the pipeline when they are asked for."""

    def __init__(
        self,
        status: Callable[[], Status],
        readings: Callable[[Status], dict[SignalName, Reading]],
        counts: Callable[[], dict[str, int]],
    ) -> None:
        self._status = status
        self._readings = readings
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Every metric, now."""
        status, counts = self._status(), self._counts()
        yield CounterMetricFamily("deepmag_frames", "Magnified frames", value=counts["frames"])
        yield CounterMetricFamily("deepmag_page_pictures", "Pictures sent to browsers", value=counts["sent"])
        dropped = CounterMetricFamily("deepmag_dropped_frames", "Frames dropped, by stage", labels=["stage"])
        for stage, number in {**status.dropped, "browsers": counts["dropped"]}.items():
            dropped.add_metric([stage], number)
        yield dropped
        state = GaugeMetricFamily(
            "deepmag_source_state", "1 for the state the source is in", labels=["state"]
        )
        for name in get_args(SourceState):
            state.add_metric([name], float(status.state == name))
        yield state
        yield GaugeMetricFamily("deepmag_source_fps", "Frames per second of the source", value=status.fps)
        yield GaugeMetricFamily("deepmag_source_age_seconds", "Age of the newest frame", value=status.age)
        yield GaugeMetricFamily("deepmag_lag_seconds", "Chosen lag of the filter", value=status.lag)
        latency = GaugeMetricFamily(
            "deepmag_latency_seconds",
            "Arrival of a frame to its magnification, last 10 s",
            labels=["quantile"],
        )
        for quantile, value in (("0.5", status.latency_p50), ("0.95", status.latency_p95)):
            if value is not None:
                latency.add_metric([quantile], value)
        yield latency
        yield GaugeMetricFamily("deepmag_recording", "1 while recording", value=float(bool(status.recording)))
        yield GaugeMetricFamily(
            "deepmag_output_troubles",
            "Outputs that stopped or cannot work now, and a source that is not decoded whole",
            value=float(len(status.troubles)),
        )
        yield GaugeMetricFamily("deepmag_page_clients", "Browsers that watch", value=counts["clients"])
        for name, reading in self._readings(status).items():
            metric, help_text = RATES[name]
            yield GaugeMetricFamily(
                f"deepmag_{name}_quality", "Signal quality index, 0 to 1", value=reading.quality
            )
            # Absent, not 0 and not frozen, where it cannot be trusted.
            rate = GaugeMetricFamily(metric, f"{help_text}, only while it can be trusted", labels=[])
            if reading.rate is not None:
                rate.add_metric([], reading.rate)
            yield rate


class PageMetrics:
    """The registry and its histogram. status, readings and counts are called at every scrape."""

    def __init__(
        self,
        status: Callable[[], Status],
        readings: Callable[[Status], dict[SignalName, Reading]],
        counts: Callable[[], dict[str, int]],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Snapshot(status, readings, counts))
        self._sent = Histogram(
            "deepmag_sent_latency_seconds",
            "Arrival of a frame to its picture handed to a browser's socket, lag included",
            buckets=BUCKETS,
            registry=self._registry,
        )

    def observe_sent(self, latency: float) -> None:
        """One picture was sent, ``latency`` s after its frame arrived."""
        self._sent.observe(latency)

    def text(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self._registry)
