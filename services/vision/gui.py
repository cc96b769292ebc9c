"""Controls in pictures of screens: an anchor-free detector trained here on drawn pages alone (docs/gui.md)."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from engines.pictures import Picture
from services.runtime.percept import BoxXyxy
from services.vision.candidates import STRIDES_PX, Candidates, places

MODEL = "gui-elements"
# Order of the network's outputs: classes first, then states.
CLASS_NAMES = ("button", "link", "input", "checkbox", "select", "tab", "icon", "image", "menu item", "slider")
STATE_NAMES = ("checked", "selected", "disabled", "focused")
# The network sees pictures at this part of their size; larger ones than a 1080p screen at most at that many pixels.
SCALE = 0.875
_MOST_PX = 1680 * 945
# On 30 drawn pages of other seeds: of what is surer than this, more than half is right and .97 of all is found;
# at .4, .85 and .89 (docs/gui.md).
_MIN_CONFIDENCE = 0.2
_MIN_STATE = 0.5
# One place on a screen is one control, whatever its class.
_NMS_IOU = 0.5
_MOST_CANDIDATES = 1500
_MAX_CONTROLS = 400
_CANDIDATES = Candidates(len(CLASS_NAMES), _MIN_CONFIDENCE)


@dataclass(frozen=True, slots=True)
class Control:
    """One control: class, box xyxy in pixels, probability, the states that are seen."""

    class_name: str
    box: BoxXyxy
    confidence: float
    states: tuple[str, ...] = ()


class GuiDetector:
    """Pixels -> controls of ten classes. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "gui-elements.onnx", threads=threads)

    def detect(self, pixels: NDArray[np.uint8], *, scale: float = SCALE) -> list[Control]:
        """(h, w, 3) uint8 BGR -> controls, surest first; boxes are xyxy in its pixels."""
        height, width = pixels.shape[:2]
        scale, (small_w, small_h) = _scaled_size(width, height, scale)
        net_w, net_h = network_size(width, height, scale)
        # Nothing lies beyond the edges of a screen: the rest is grey, as in training.
        image = Picture(pixels, (small_w, small_h), (net_w, net_h), averages=scale < 0.7, fill=114)
        out = self._engine.run({"image": image}, [_CANDIDATES])
        surest = np.argsort(-out["scores"][:, : len(CLASS_NAMES)].max(axis=1), kind="stable")[:_MOST_CANDIDATES]
        cells, scores, edges = (out[name][surest] for name in ("cells", "scores", "edges"))
        kinds = scores[:, : len(CLASS_NAMES)]
        best = kinds.max(axis=1)
        ratio = np.array([width / small_w, height / small_h] * 2, np.float32)
        boxes = _boxes(cells, edges, net_w, net_h)
        found = np.clip(boxes * ratio, 0, np.array([width, height] * 2, np.float32))
        sized = np.concatenate([found[:, :2], found[:, 2:] - found[:, :2]], axis=1)
        keep = np.array(cv2.dnn.NMSBoxes(sized.tolist(), best.tolist(), _MIN_CONFIDENCE, _NMS_IOU), np.intp)[
            :_MAX_CONTROLS
        ]
        return [
            Control(
                CLASS_NAMES[int(kinds[row].argmax())],
                (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                float(best[row]),
                tuple(
                    name
                    for name, p in zip(STATE_NAMES, scores[row, len(CLASS_NAMES) :], strict=True)
                    if p >= _MIN_STATE
                ),
            )
            for row, box in zip(keep, found[keep], strict=True)
        ]


def _scaled_size(width: int, height: int, scale: float) -> tuple[float, tuple[int, int]]:
    scale = min(scale, math.sqrt(_MOST_PX / (height * width)))
    return scale, (max(1, round(width * scale)), max(1, round(height * scale)))


def network_size(width: int, height: int, scale: float = SCALE) -> tuple[int, int]:
    """Width and height in pixels of what the network sees of a picture."""
    _, size = _scaled_size(width, height, scale)
    net_w, net_h = (-(-side // STRIDES_PX[-1]) * STRIDES_PX[-1] for side in size)
    return net_w, net_h


def _boxes(cells: NDArray[np.int32], edges: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Distances (n, 4) from the cells' middles, left top right bottom, in pixels -> boxes xyxy."""
    at, stride = places(cells, width, height)
    middles = (at + 0.5) * stride
    return np.concatenate([middles - edges[:, :2], middles + edges[:, 2:]], axis=1).astype(np.float32)
