"""Sources of timestamped frames: cameras, RTSP, files and the demo."""
