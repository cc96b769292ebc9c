"""Finds lines of text: DB (Liao et al. 2020, arXiv 1911.08947) as trained for PP-OCRv6."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from engines.pictures import Levels, Picture
from services.runtime.percept import BoxXyxy

# From the models' own inference.yml: BGR means and deviations, bitmap threshold and unclip ratio.
_LEVELS = Levels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), unit=255)
_BITMAP_THRESHOLD = 0.2
_UNCLIP_RATIO = 1.4
_STRIDE_PX = 32
_MIN_SIDE_PX = 3.0
# Lines that rise from end to end by no more than this part of their height and a bit are cut out level:
# the angle of a thin kernel is not known better, and screens are level.
_LEVEL_RISE = 0.25
_LEVEL_RISE_PX = 1.5
# A lone character: its edges' least steepness, its height, its width by its height. More of them are a picture.
_LEAST_EDGE, _LONE_PX, _LONE_ASPECT, _MOST_LONE = 48, (7, 32), (0.2, 0.9), 64
_AROUND = np.ones((3, 3), np.uint8)
# The network sees at most this many pixels: 1080p as it is, 4K at half size. Memory grows with it
# (about 350 bytes a pixel in the tiny model), so this is also the bound on memory.
MAX_DETECTION_PX = 2_100_000


@dataclass(frozen=True, slots=True)
class TextBox:
    """One line found: centre, size along and across the line in pixels, angle in degrees, score in [0, 1].

    `is_lone`: one character or an icon that the network passed over (`lone_characters`).
    """

    center_x: float
    center_y: float
    length_px: float
    height_px: float
    angle_deg: float
    score: float
    is_lone: bool = False

    @property
    def xyxy(self) -> BoxXyxy:
        """The upright rectangle around it, not clipped to the picture."""
        cos, sin = abs(math.cos(math.radians(self.angle_deg))), abs(math.sin(math.radians(self.angle_deg)))
        half_w = (self.length_px * cos + self.height_px * sin) / 2
        half_h = (self.length_px * sin + self.height_px * cos) / 2
        return (
            self.center_x - half_w,
            self.center_y - half_h,
            self.center_x + half_w,
            self.center_y + half_h,
        )


class TextDetector:
    """Pixels -> text boxes. `box_threshold` is the least mean probability inside a box."""

    def __init__(self, engine: Engine, box_threshold: float) -> None:
        self._engine = engine
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name
        self._box_threshold = box_threshold

    def detect(self, pixels: NDArray[np.uint8], share: float = 1.0) -> list[TextBox]:
        """(h, w, 3) uint8 BGR -> boxes in its pixels; more than MAX_DETECTION_PX are looked at scaled down.

        `share` in (0, 1]: that part of the pixels is enough; it costs as much less, and small text is passed over.
        """
        height, width = pixels.shape[:2]
        scale, size = _scaled_size(width, height, share)
        # Edge pixels go on outwards, so that the border of the padding is no edge of its own.
        image = Picture(pixels, size, network_size(width, height, share), _LEVELS, averages=True)
        out = self._engine.run({self._input: image}, [self._output])[self._output]
        probability = np.asarray(out[0, 0, : size[1], : size[0]], np.float32)
        boxes = boxes_of(probability, self._box_threshold)
        return [*boxes, *lone_characters(pixels, boxes)] if scale == 1 else [_scaled(box, 1 / scale) for box in boxes]


def _scaled_size(width: int, height: int, share: float) -> tuple[float, tuple[int, int]]:
    scale = min(1.0, math.sqrt(MAX_DETECTION_PX / (height * width))) * math.sqrt(share)
    return scale, (width, height) if scale == 1 else (max(1, round(width * scale)), max(1, round(height * scale)))


def network_size(width: int, height: int, share: float = 1.0) -> tuple[int, int]:
    """Width and height in pixels of what the network sees of a picture, or of a share of its pixels."""
    _, size = _scaled_size(width, height, share)
    padded_w, padded_h = (-(-side // _STRIDE_PX) * _STRIDE_PX for side in size)
    return padded_w, padded_h


def boxes_of(probability: NDArray[np.float32], box_threshold: float) -> list[TextBox]:
    """(h, w) text probability -> boxes, grown from the shrunken kernels that DB is trained on."""
    bitmap = (probability > _BITMAP_THRESHOLD).astype(np.uint8)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        if min(w, h) < _MIN_SIDE_PX:
            continue
        mask = np.zeros((h, w), np.uint8)
        cv2.drawContours(mask, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
        score = float(cv2.mean(probability[y : y + h, x : x + w], mask)[0])
        if score < box_threshold:
            continue
        boxes.append(_unclipped(np.asarray(contour, np.int32), (x, y, w, h), score))
    return joined(boxes)


def lone_characters(pixels: NDArray[np.uint8], boxes: Sequence[TextBox]) -> list[TextBox]:
    """Ink of a character's size and shape in (h, w, 3) uint8 BGR, outside of boxes and with nothing beside it.

    The network passes over single figures, as those that lead to the next pages.
    """
    edges = cv2.morphologyEx(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.MORPH_GRADIENT, _AROUND) > _LEAST_EDGE
    for box in boxes:
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in box.xyxy)
        edges[y0:y1, x0:x1] = False
    _, _, stats, _ = cv2.connectedComponentsWithStats(edges.astype(np.uint8), connectivity=8)
    # Label 0 is the background; edges lie one pixel around the ink.
    x, y, w, h = (stats[1:, :4] + (1, 1, -2, -2)).T
    height, width = edges.shape
    is_inside = (x > 1) & (y > 1) & (x + w < width - 1) & (y + h < height - 1)
    is_sized = (h >= _LONE_PX[0]) & (h <= _LONE_PX[1]) & (w >= _LONE_ASPECT[0] * h) & (w <= _LONE_ASPECT[1] * h)
    found = np.flatnonzero(is_inside & is_sized)
    if len(found) > _MOST_LONE:
        return []
    lone = []
    for index in found:
        left, top, long, high = (float(each[index]) for each in (x, y, w, h))
        is_near = (x < left + long + high) & (x + w > left - high) & (np.abs(y + h / 2 - top - high / 2) < high / 2)
        if (is_near & (h > 0.4 * high) & (h < 2 * high)).sum() == 1:  # itself
            lone.append(TextBox(left + long / 2, top + high / 2, long + high / 2, 1.5 * high, 0.0, 0.0, is_lone=True))
    return lone


def joined(boxes: Sequence[TextBox]) -> list[TextBox]:
    """Put level boxes together that overlap side by side on one line: the detector broke a line there."""
    lines: list[TextBox] = []
    for box in sorted(boxes, key=lambda box: box.center_x - box.length_px / 2):
        for index, line in enumerate(lines):
            if _continues(line, box):
                x0, y0, x1, y1 = _around(line.xyxy, box.xyxy)
                score = min(line.score, box.score)
                lines[index] = TextBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0, score)
                break
        else:
            lines.append(box)
    return lines


def _continues(line: TextBox, box: TextBox) -> bool:
    low, high = sorted((line.height_px, box.height_px))
    return (
        line.angle_deg == box.angle_deg == 0
        and low > 0.7 * high
        and abs(line.center_y - box.center_y) < 0.2 * low
        and box.xyxy[0] < line.xyxy[2]
    )


def _around(a: BoxXyxy, b: BoxXyxy) -> BoxXyxy:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _unclipped(contour: NDArray[np.int32], bounds: tuple[int, int, int, int], score: float) -> TextBox:
    (center_x, center_y), (length, across), angle = cv2.minAreaRect(contour)
    # OpenCV's angle may name either side: bring it to the side nearest to level.
    while angle > 45:
        angle, length, across = angle - 90, across, length
    while angle <= -45:
        angle, length, across = angle + 90, across, length
    rise = abs(math.sin(math.radians(angle))) * max(length, across)
    if rise < _LEVEL_RISE * min(length, across) + _LEVEL_RISE_PX:
        x, y, w, h = bounds
        center_x, center_y, length, across, angle = x + w / 2, y + h / 2, float(w), float(h), 0.0
    else:
        # minAreaRect measures between pixel centres.
        center_x, center_y, length, across = center_x + 0.5, center_y + 0.5, length + 1, across + 1
    # Offsetting a rectangle outwards by d (Vatti clipping in the paper) gives a rectangle 2 d larger.
    distance = length * across * _UNCLIP_RATIO / (2 * (length + across))
    return TextBox(center_x, center_y, length + 2 * distance, across + 2 * distance, angle, score)


def _scaled(box: TextBox, factor: float) -> TextBox:
    if factor == 1:
        return box
    return TextBox(
        box.center_x * factor,
        box.center_y * factor,
        box.length_px * factor,
        box.height_px * factor,
        box.angle_deg,
        box.score,
    )
