"""The fixed-iteration ascent as one ONNX graph, and the runtimes that run it."""

import os

# ONNX Runtime would report to its makers from the moment it is imported. Before that, so here; and for child processes.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
