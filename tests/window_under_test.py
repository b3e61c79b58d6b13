"""Run by test_render_window.py under Xvfb: the window, fed as the engine would, until a person quits it.

Says on standard output what happens, one line each; takes "feed" and "stop" (frames) on standard input.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render_frames import Panel, magnified

from deepmag.stream.render.thread import RenderThread
from deepmag.stream.render.window import Window

if TYPE_CHECKING:
    from deepmag.stream.settings import Settings


class TellingPanel(Panel):
    """Says what the keys changed."""

    def change(self, **changes: Any) -> Settings:
        settings = super().change(**changes)
        print(f"gain {settings.gain:g} {settings.mode}", flush=True)  # noqa: T201
        return settings


def main() -> None:
    folder = Path(sys.argv[1])
    quitting, feeding = threading.Event(), threading.Event()
    panel = TellingPanel()
    window = Window(panel, on_quit=quitting.set, title="deepmag test", folder=folder)
    thread = RenderThread(window)
    thread.start()
    if not thread.wait_opened(60):
        print("failed", thread.error, flush=True)  # noqa: T201
        return
    print("open", flush=True)  # noqa: T201

    def obey() -> None:
        for line in sys.stdin:
            if line.strip() == "feed":
                feeding.set()
            else:
                feeding.clear()
        quitting.set()

    threading.Thread(target=obey, daemon=True).start()
    number = 0
    tick = threading.Event()
    while not quitting.is_set():
        if feeding.is_set():
            thread.push(magnified(number % 1024))
            number += 1
        tick.wait(1 / 30)
    thread.close()
    print("ended", thread.closed, thread.error, flush=True)  # noqa: T201


main()
