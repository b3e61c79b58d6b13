"""Whether a window can be opened here.

``cv2.imshow`` without a display does not raise: it aborts the process. So a child process tries first, which
also finds what no look at the environment can: a display that refuses, or an OpenCV built without windows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

PROBE = 'import cv2, av; cv2.namedWindow("probe"); cv2.destroyAllWindows()'
PROBE_TIMEOUT = 20.0  # s; importing OpenCV on a slow machine takes some of them


def display_problem() -> str | None:
    """Why no window can be opened here, in one line, or None where one can."""
    advice = "use --show page and open the page in a browser"
    if sys.platform == "darwin" and threading.current_thread() is not threading.main_thread():
        return f"macOS opens windows from the main thread only: {advice}"
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return f"there is no display for a window (DISPLAY is not set): {advice}"
    if sys.platform != "linux":
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, timeout=PROBE_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"the display does not answer: {advice}"
    if done.returncode != 0:
        where = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        return f"no window can be opened on display {where}: {advice}"
    return None
