"""PyAV's exceptions in words. Their own text holds the URL with its password, so none of it is passed on."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import av.error

from deepmag.stream.capture.redact import redact
from deepmag.stream.capture.source import SourceError

if TYPE_CHECKING:
    from deepmag.stream.capture.address import Address

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


def open_failure(error: Exception, address: Address) -> SourceError:
    """Say why ``address`` could not be opened, and whether trying again may help."""
    if address.kind == "camera":
        return _camera_failure(error, address.name)
    if address.kind == "file":
        return _file_failure(error, address.name)
    return _network_failure(error, address)


def read_failure(error: Exception, name: str) -> SourceError:
    """Say why reading ended in mid stream: always worth another try."""
    return SourceError(f"{name}: reading failed ({_reason(error)})", retry=True)


def _camera_failure(error: Exception, name: str) -> SourceError:
    code = getattr(error, "errno", None)
    if code == errno.EBUSY:
        return SourceError(f"{name} is in use by another program; close that and try again", retry=False)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SourceError(f"there is no camera at {name}; deepmag doctor lists those there are", retry=False)
    if code in (errno.EACCES, errno.EPERM):
        return SourceError(f"{name} may not be opened; add your user to the group video", retry=False)
    if code in (errno.ENOTTY, errno.EINVAL):
        return SourceError(f"{name} is no camera, or offers no picture that can be used", retry=False)
    if code == errno.ENOSPC:
        return SourceError(
            f"{name} finds no room on its USB bus; plug it into another port, or another camera out",
            retry=False,
        )
    if isinstance(error, av.error.ExitError):
        return SourceError(f"{name} delivers no picture; unplug it and plug it in again", retry=True)
    return SourceError(f"{name} cannot be opened ({_reason(error)})", retry=False)


def _file_failure(error: Exception, name: str) -> SourceError:
    if isinstance(error, av.error.InvalidDataError):
        return SourceError(f"{name} is not a video, or is damaged", retry=False)
    if isinstance(error, PermissionError):
        return SourceError(f"{name} may not be read: check its permissions", retry=False)
    return SourceError(f"{name} cannot be opened ({_reason(error)})", retry=False)


def _network_failure(error: Exception, address: Address) -> SourceError:
    name = address.name
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return SourceError(f"{name}: wrong user name or password", retry=False)
    if isinstance(error, (av.error.HTTPNotFoundError, av.error.HTTPBadRequestError)):
        return SourceError(f"{name}: the server has no such stream; check the path", retry=False)
    if isinstance(error, av.error.ProtocolNotFoundError):
        return SourceError(f"{name}: this kind of URL is not supported", retry=False)
    if isinstance(error, ConnectionRefusedError):
        return SourceError(
            f"{name}: connection refused; check address and port, and that it runs", retry=True
        )
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return SourceError(f"{name}: no answer; check address and network", retry=True)
    if isinstance(error, av.error.InvalidDataError):
        return SourceError(f"{name} does not send video that can be read", retry=True)
    if getattr(error, "errno", None) in _UNREACHABLE:
        return SourceError(f"{name}: the host cannot be reached; check address and network", retry=True)
    if getattr(error, "errno", None) == errno.EIO:
        unknown = _unknown_host(address.text)
        if unknown == "no name server":  # as at a machine's start, before there is a network
            return SourceError(f"{name}: no name server answers; check the network", retry=True)
        if unknown:
            return SourceError(f"{name}: there is no host of that name", retry=False)
    return SourceError(f"{name} cannot be opened ({_reason(error)})", retry=True)


def _unknown_host(url: str) -> Literal["", "no such name", "no name server"]:
    """Why the URL's host has no address: FFmpeg says "Input/output error" where it has none. "" where it has one."""
    host = urlsplit(url).hostname
    try:
        if host:
            socket.getaddrinfo(host, None)
    except OSError as error:
        return "no name server" if error.errno == socket.EAI_AGAIN else "no such name"
    except UnicodeError:  # it cannot be a name
        return "no such name"
    return ""


def _reason(error: Exception) -> str:
    return redact(getattr(error, "strerror", None) or type(error).__name__).lower()
