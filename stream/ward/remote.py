"""Feeds on a Ray cluster: an actor per group of feeds, restarted where it fails, moved where its machine dies."""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepmag.stream.capture.redact import redact
from deepmag.stream.page.access import new_token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepmag.export.runtime import DeviceName, Runtime
    from deepmag.stream.ward.feeds_file import FeedSpec

PERIOD = 0.5  # s between two looks at a group
PATIENCE = 2.0  # s that a group may take for an answer
START = 120.0  # s for the first answer: on a GPU a worker imports torch and compiles its kernels
CLOSE = 20.0  # s for a group to finish its recordings

GUARDED = (2, 52)  # version of Ray, the first that can be told to ask for a secret

log = logging.getLogger("deepmag.stream.ward")


class RayUnavailableError(RuntimeError):
    """Ray is not installed, or no cluster answers at the address; the message says which."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group is now. url: of its pages, None while it is being started. pid: of its process."""

    url: str | None
    pid: int | None
    states: Mapping[str, str]


LOST = Place(None, None, {})


def _reach(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


def _keep_others_out() -> None:
    """Give a cluster of this machine alone a secret of its own, before Ray is imported, which reads it then.

    Ray listens on all addresses all the same, and runs whatever is sent to it. The secret is not left to Ray, which
    keeps one in the home directory: a service's user may have none.
    """
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", new_token())


def _version(text: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", text)[:2]
    return int(major), int(minor)


def _cause(error: Exception) -> str:
    """What a group's constructor raised, of the error in which Ray wraps it: the last line of a traceback."""
    name, _, message = str(error).rstrip().rpartition("\n")[2].partition(": ")
    return redact(message or name)


class RayWard:
    """Runs feeds on a Ray cluster.

    address: of the cluster; "local" starts one on this machine. groups: so many actors, at most one a feed. gpus: share
    of a GPU for each, 0 for none. The rest as for `Ward`. Raises RayUnavailableError.
    """

    def __init__(
        self,
        specs: Sequence[FeedSpec],
        address: str,
        *,
        groups: int = 2,
        gpus: float = 0.0,
        runtime: Runtime = "auto",
        device: DeviceName = "auto",
        threads: int | None = 1,
        budget: float,
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's own telemetry, which nobody asked for
        if address == "local":
            _keep_others_out()
        try:
            import ray
        except ImportError:
            raise RayUnavailableError("--ray needs Ray: pip install ray") from None
        if address == "local" and _version(ray.__version__) < GUARDED:
            raise RayUnavailableError(
                f"--ray local needs Ray {'.'.join(map(str, GUARDED))} or newer: with {ray.__version__} whoever reaches "
                "this machine could run programs on it"
            )
        self._ray = ray
        try:
            _reach(address)
            ray.init(
                address=address,  # "local" too: without one it would join the cluster of RAY_ADDRESS
                include_dashboard=False if address == "local" else None,
                log_to_driver=True,
                logging_level=logging.WARNING,
                configure_logging=True,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise RayUnavailableError(f"no Ray cluster answers at {address}: {error}") from None
        self.token = new_token()
        self.specs = tuple(specs)
        count = max(1, min(groups, len(specs)))
        self._members = [self.specs[i::count] for i in range(count)]
        self._of = {spec.slug: i for i, members in enumerate(self._members) for spec in members}
        self._places = [LOST] * count
        self._answered = [False] * count
        # why a group cannot start: Ray begins again whose process ends, not whose constructor raises
        self._failed = [""] * count
        self._troubles: list[str] = []
        self._stop = threading.Event()
        from deepmag.stream.ward.group import FeedGroup

        # On one machine the pages of the groups are for the gateway only; on a cluster it must reach them.
        hosts = "127.0.0.1" if address == "local" else "0.0.0.0"
        actor: Any = ray.remote(FeedGroup)
        self._groups: list[Any] = [
            actor.options(max_restarts=-1, max_concurrency=4, num_cpus=1, num_gpus=gpus).remote(
                members, self.token, hosts, runtime, device, threads, budget
            )
            for members in self._members
        ]
        self._threads = [
            threading.Thread(target=self._watch, args=(i,), name=f"group-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def url_of(self, slug: str) -> str | None:
        """Where a feed's page is now, without the token; None where it is nowhere."""
        url = self._places[self._of[slug]].url
        return None if url is None else f"{url}feeds/{slug}/"

    def groups(self) -> list[dict[str, Any]]:
        """Each group: its process, and the state of its feeds; "lost" while it is started again, or cannot be."""
        told = []
        for i, (place, members) in enumerate(zip(self._places, self._members, strict=True)):
            otherwise = "lost" if self._answered[i] or self._failed[i] else "connecting"
            states = {spec.slug: place.states.get(spec.slug, otherwise) for spec in members}
            told.append({"pid": place.pid, "feeds": states})
        return told

    @property
    def over(self) -> bool:
        """Whether nothing is left to run: every feed was a file, and has ended, or is of a group that cannot start."""
        return all(
            failed or set(group["feeds"].values()) == {"ended"}
            for failed, group in zip(self._failed, self.groups(), strict=True)
        )

    @property
    def troubles(self) -> list[str]:
        """Why groups could not start and, after `stop`, what could not be written or sent; see `Ward.troubles`."""
        return [why for why in self._failed if why] + self._troubles

    def stop(self) -> None:
        """End all; recordings are finished."""
        self._stop.set()
        started = [group for group, failed in zip(self._groups, self._failed, strict=True) if not failed]
        try:
            ends = [group.stop.remote() for group in started]
            if ends:  # to get them would raise at the first that fails, and not wait for the others
                self._ray.wait(ends, num_returns=len(ends), timeout=CLOSE)
            for troubles in self._ray.get(ends, timeout=0):
                self._troubles += troubles
        except Exception as error:  # see _watch
            log.warning("a group did not end in order: %s", type(error).__name__)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._ray.shutdown()

    def _watch(self, number: int) -> None:
        """Follow one group: a place that does not answer is one that pages must not be asked of."""
        group = self._groups[number]
        while not self._stop.wait(PERIOD):
            patience = PATIENCE if self._answered[number] else START
            try:
                (url, pid), states = self._ray.get(
                    [group.where.remote(), group.states.remote()], timeout=patience
                )
            # Ray's own errors, and what its connection to the cluster raises: whatever it is, this thread must go on
            except Exception as error:
                if self._stop.is_set():
                    return
                names = ", ".join(spec.name for spec in self._members[number])
                if getattr(error, "actor_init_failed", False):
                    self._places[number] = LOST
                    self._failed[number] = f"the group of {names} cannot start: {_cause(error)}"
                    log.error("%s", self._failed[number])
                    return
                if self._places[number] is not LOST:
                    log.error(
                        "the group of %s does not answer (%s); it is started again",
                        names,
                        type(error).__name__,
                    )
                self._places[number] = LOST
            else:
                self._answered[number] = True
                self._places[number] = Place(url, pid, states)
