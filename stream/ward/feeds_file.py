"""FEEDS.toml: what it may say, and what is wrong with it, by line and key.

One feed that is wrong does not keep the others from running: it is left out, and named.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from deepmag.stream.capture.address import Address, parse_address
from deepmag.stream.capture.open import Timestamps
from deepmag.stream.capture.options import Transport
from deepmag.stream.capture.redact import redact
from deepmag.stream.outputs import check_push, check_record
from deepmag.stream.render.endless_recorder import HOURS
from deepmag.stream.render.renderer import RendererError
from deepmag.stream.settings import Settings, default_lag, parse_region

if TYPE_CHECKING:
    from deepmag.stream.gpu_codecs import Codecs

CHOICES = {"transport": get_args(Transport), "timestamps": get_args(Timestamps), "codecs": ("cpu", "gpu")}
LEAST_HOURS = 0.01  # of split, as of that of `deepmag live`

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")
HEADER = re.compile(r"\s*\[\[\s*feed\s*\]\]")
VARIABLE = re.compile(r"\$\{(\w+)\}")
# What a feed may say, and of which type it is.
KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "source": str,
    "target": str,
    "gain": (int, float),
    "lag": (int, float),
    "mode": str,
    "method": str,
    "roi": str,
    "transport": str,
    "timestamps": str,
    "loop": bool,
    "codecs": str,
    "record": str,
    "split": (int, float),
    "vitals": str,
    "push": str,
}
WORDS = {str: "a text in quotes", bool: "true or false", (int, float): "a number"}


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """One feed. slug: its name as it stands in an address. record, vitals: files; push: an RTSP address. split: hours.

    Addresses may hold passwords, so they are not in the repr.
    """

    name: str
    slug: str
    address: Address
    settings: Settings
    transport: Transport = "tcp"
    loop: bool = False
    record: Path | None = None
    vitals: Path | None = None
    push: str | None = field(default=None, repr=False)
    codecs: Codecs = "cpu"
    split: float = HOURS
    timestamps: Timestamps = "stream"


@dataclass(frozen=True, slots=True)
class Feeds:
    """A feeds file.

    good: what can run. problems: one line for each that cannot, with the file's line and the key. listed: feeds in the
    file, good or not.
    """

    good: tuple[FeedSpec, ...]
    problems: tuple[str, ...]
    listed: int


def read_feeds(file: Path) -> Feeds:
    """Read a feeds file.

    ``${NAME}`` in a source or a push is taken from the environment: a password need not stand in the file. Raises
    ValueError, in words, for a file that cannot be read, is no TOML or lists no feed.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {file}: {reason}") from None
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # RecursionError: of brackets in brackets
        raise ValueError(f"{file} is no TOML: {error}") from None
    listed = content.pop("feed", None)
    lines = text.splitlines()
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError(
            f"{file} lists no feed: each begins with a line [[feed]], then name = ... and source = ..."
        )
    problems = [
        f"{file}, line {_line_of(lines, key, None)}: unknown key {key} outside a [[feed]]" for key in content
    ]
    starts = [number for number, line in enumerate(lines) if HEADER.match(line)]
    good: dict[str, FeedSpec] = {}
    taken: set[Path | str] = set()
    for number, entry in enumerate(listed):
        try:
            spec = _spec(entry)
            if spec.slug in good:
                raise _FeedError(
                    "name", f"the name {spec.name!r} is taken by an earlier feed, {good[spec.slug].name!r}"
                )
            written = _written(spec)
            for key, target in written.items():
                if target in taken:
                    raise _FeedError(key, f"{key}: an earlier feed writes to {redact(entry[key])}")
            if "record" in written and written["record"] == written.get("vitals"):
                raise _FeedError("vitals", f"vitals: record writes to {spec.record}")
        except _FeedError as problem:
            # a feed may begin in other ways, of which the line is not known
            known = len(starts) == len(listed)
            where = f"line {_line_of(lines, problem.key, starts[number])}" if known else f"feed {number + 1}"
            label = entry.get("name")
            whose = f"feed {label!r}: " if isinstance(label, str) and problem.key != "name" else ""
            problems.append(f"{file}, {where}: {whose}{problem.text}")
        else:
            good[spec.slug] = spec
            taken |= set(written.values())
    return Feeds(tuple(good.values()), tuple(problems), len(listed))


class _FeedError(Exception):
    """What is wrong with a key of a feed."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key, self.text = key, text


def _spec(entry: dict[str, Any]) -> FeedSpec:
    for key, value in entry.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            raise _FeedError(key, f"unknown key {key}" + (f": did you mean {near[0]}?" if near else ""))
        kind = KEYS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _FeedError(key, f"{key} must be {WORDS[kind]}, not {value!r}")
    for key in ("name", "source"):
        if not entry.get(key):
            raise _FeedError(key, f"{key} is missing")
    name: str = entry["name"]
    if not NAME.fullmatch(name):
        raise _FeedError(
            "name", f"a name is 1 to 40 letters, digits, spaces, dots, dashes and underlines, not {name!r}"
        )
    for key, choices in CHOICES.items():
        if entry.get(key, choices[0]) not in choices:
            raise _FeedError(key, f"{key} must be {' or '.join(choices)}, not {entry[key]}")
    if not entry.get("split", HOURS) >= LEAST_HOURS:
        raise _FeedError("split", f"split must be {LEAST_HOURS:g} hours or more, not {entry['split']}")
    return FeedSpec(
        name,
        re.sub(r"[^a-z0-9._-]+", "-", name.lower()),
        _address(entry["source"]),
        _settings(entry),
        entry.get("transport", "tcp"),
        entry.get("loop", False),
        _file(entry, "record"),
        _file(entry, "vitals"),
        _push(entry),
        entry.get("codecs", "cpu"),
        float(entry.get("split", HOURS)),
        entry.get("timestamps", "stream"),
    )


def _address(source: str) -> Address:
    try:
        return parse_address(_filled("source", source))
    except ValueError as error:
        raise _FeedError("source", str(error)) from None


def _file(entry: dict[str, Any], key: str) -> Path | None:
    """A file to write to. Its folder need not be there yet: a share may be mounted later, and is waited for."""
    if key not in entry:
        return None
    if "\0" in entry[key]:
        raise _FeedError(key, f"{key}: {entry[key]!r} can be no file's name")
    path = Path(entry[key])
    if os.path.isdir(path):  # unlike Path.is_dir also where one may not look
        raise _FeedError(key, f"{key}: {path} is a folder; name a file in it")
    if key == "record":
        try:
            check_record(path)
        except RendererError as error:
            raise _FeedError(key, f"{key}: {error}") from None
    return path


def _push(entry: dict[str, Any]) -> str | None:
    if "push" not in entry:
        return None
    url = _filled("push", entry["push"])
    try:
        check_push(url)
    except RendererError as error:
        raise _FeedError("push", f"push: {error}") from None
    return url


def _written(spec: FeedSpec) -> dict[str, Path | str]:
    """What a feed writes and sends to, by key, each in the one spelling that it has in common with others."""
    files = {"record": spec.record, "vitals": spec.vitals}
    written: dict[str, Path | str] = {
        # unlike Path.resolve also of links that lead in a circle
        key: Path(os.path.realpath(path))
        for key, path in files.items()
        if path is not None
    }
    return written if spec.push is None else written | {"push": check_push(spec.push).url}


def _filled(key: str, text: str) -> str:
    """A text with its variables taken from the environment."""
    missing = [name for name in VARIABLE.findall(text) if name not in os.environ]
    if missing:
        raise _FeedError(key, f"{key}: the environment has no variable {missing[0]}")
    return VARIABLE.sub(lambda match: os.environ[match[1]], text)


def _settings(entry: dict[str, Any]) -> Settings:
    """Settings of a feed: each key is tried by itself, so that the one that is wrong is known."""
    chosen: dict[str, Any] = {}
    for key in ("method", "target", "mode", "gain", "lag", "roi"):
        if key not in entry:
            continue
        try:
            chosen[key] = parse_region(entry[key]) if key == "roi" else entry[key]
            Settings(**chosen)
        except ValueError as error:
            raise _FeedError(key, str(error)) from None
    if "lag" not in chosen:
        chosen["lag"] = default_lag(chosen.get("method", "deepmag"), chosen.get("target", "pulse"))
    return Settings(**chosen)


def _line_of(lines: list[str], key: str, start: int | None) -> int:
    """The line, counted from 1, on which a key of the feed that begins at ``start`` stands; else the feed's own.

    start: None for a key of no feed.
    """
    quoted = rf"[\"']?{re.escape(key)}[\"']?"
    pattern = re.compile(rf"\s*{quoted}\s*[=.]|\s*\[+\s*(feed\s*\.\s*)?{quoted}\s*[\].]")
    for number in range(start or 0, len(lines)):
        if start is not None and number > start and HEADER.match(lines[number]):
            break
        if pattern.match(lines[number]):
            return number + 1
    return (start or 0) + 1
