"""Which pictures are accepted."""

from __future__ import annotations

from dataclasses import dataclass

from deepmag.stream.capture.source import SourceError

SMALLEST = 36  # px on each side: what the network looks at


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the size of a picture.

    smallest: px on each side. largest: (width, height), px, of a landscape
    picture (a portrait one may be as large turned over): beyond it no machine keeps up, and one crafted
    header could ask for all memory there is.
    """

    smallest: int = SMALLEST
    largest: tuple[int, int] = (4096, 2304)

    @property
    def decoded(self) -> int:
        """Pixels of a picture that is decoded at all: somewhat more, to tell of a camera that is set too large."""
        return 4 * self.largest[0] * self.largest[1]

    def check(self, width: int, height: int, name: str) -> None:
        """Raise SourceError where a picture of this size is not accepted."""
        check_smallest(width, height, name, self.smallest)
        if max(width, height) > max(self.largest) or min(width, height) > min(self.largest):
            raise SourceError(
                f"{name}: the picture is too large ({width}x{height}); "
                f"at most {self.largest[0]}x{self.largest[1]} is accepted: set the camera to a smaller one",
                retry=False,
            )


def check_smallest(width: int, height: int, name: str, smallest: int = SMALLEST) -> None:
    """Raise SourceError where a picture is smaller than that, px, on a side."""
    if min(width, height) < smallest:
        raise SourceError(
            f"{name}: the picture is too small ({width}x{height}); at least {smallest}x{smallest} is needed",
            retry=False,
        )
