"""The fixed-iteration ascent as one ONNX graph, and the runtimes that run it."""
