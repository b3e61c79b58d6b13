"""Everything that has a clock: capture, ring buffer, engine, vitals, renderers, page, command line."""

import os

# ONNX Runtime would report to its makers from the moment it is imported. Before that, so here; and for child processes.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
