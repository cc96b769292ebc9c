"""Things in pictures: NanoDet-g (RangiLyu 2020), an FCOS-style detector with generalised focal loss heads."""

import math

import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from engines.pictures import Levels, Picture
from services.runtime.percept import DetectedObject
from services.vision.candidates import Candidates, places

MODEL = "nanodet-g"
_LEVELS = Levels((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))  # BGR
_BINS = 11  # distances of an edge are 0 to 10 strides
# Pictures are brought to this many pixels in their own proportions (COCO val2017 part: mAP50 .47;
# squeezed to a square .42; 512^2 pixels .45; two scales no better).
_AREA_PX = 416 * 416
_MIN_CONFIDENCE = 0.1
_NMS_IOU = 0.6
_MAX_OBJECTS = 100

CLASS_NAMES = tuple(
    (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
        "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
        "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
        "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
        "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
        "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
    ).split(",")
)
_CANDIDATES = Candidates(len(CLASS_NAMES), _MIN_CONFIDENCE)


class ObjectDetector:
    """Pixels -> things of the 80 COCO classes. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "nanodet.onnx", threads=threads)

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedObject]:
        """(h, w, 3) uint8 BGR -> objects, surest first; boxes are xyxy in its pixels."""
        height, width = pixels.shape[:2]
        net_w, net_h = network_size(width, height)
        image = Picture(pixels, (net_w, net_h), (net_w, net_h), _LEVELS)
        out = self._engine.run({"image": image}, [_CANDIDATES])
        rows, classes = np.nonzero(out["scores"] >= _MIN_CONFIDENCE)
        boxes, scores = _boxes(out["cells"], out["edges"], net_w, net_h)[rows], out["scores"][rows, classes]
        ratio = np.array([width / net_w, height / net_h] * 2, np.float32)
        boxes = np.clip(boxes * ratio, 0, np.array([width, height] * 2, np.float32))
        keep = suppress(boxes, scores, classes)[:_MAX_OBJECTS]
        return [
            DetectedObject(
                CLASS_NAMES[classes[k]],
                int(classes[k]),
                (float(boxes[k, 0]), float(boxes[k, 1]), float(boxes[k, 2]), float(boxes[k, 3])),
                float(scores[k]),
            )
            for k in keep
        ]


def network_size(width: int, height: int) -> tuple[int, int]:
    """Width and height in pixels of what the network sees of a picture."""
    scale = math.sqrt(_AREA_PX / (height * width))
    # A strip of a picture would be blown up without bound on its long side otherwise.
    net_w, net_h = (min(1024, max(32, round(side * scale / 32) * 32)) for side in (width, height))
    return net_w, net_h


def _boxes(cells: NDArray[np.int32], edges: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """(n,) and (n, 4 * 11) of a network's picture of width x height -> boxes (n, 4) in its pixels."""
    at, stride = places(cells, width, height)
    logits = edges.reshape(-1, 4, _BINS)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    distances = (weights @ np.arange(_BINS, dtype=np.float32)) / weights.sum(axis=2) * stride
    # Upstream puts a cell's middle at (stride - 1) / 2.
    middles = at * stride + (stride - 1) / 2
    boxes = np.concatenate([middles - distances[:, :2], middles + distances[:, 2:]], axis=1)
    return np.asarray(boxes, np.float32)


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class: indices kept, surest first."""
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.prod(np.maximum(high - low, 0), axis=1)
        iou = overlap / np.maximum(area[best] + area[rest] - overlap, 1e-9)
        order = rest[(iou < _NMS_IOU) | (classes[rest] != classes[best])]
    return np.array(kept, np.intp)
