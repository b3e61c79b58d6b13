"""The live page: a small web server that shows the newest magnified frame in any browser."""

from deepmag.stream.page.renderer import PageRenderer

__all__ = ["PageRenderer"]
