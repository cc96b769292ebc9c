"""Places that a line of bright colour goes around, such as the tile of who speaks in a video call. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy

# Pictures so wide have lines of two pixels and more.
LARGE_PX = 1_000
# Highest less lowest of a pixel's three channels: greys have 0, the frames of video calls 100 and more.
MIN_CHROMA = 72
# Least sides of such a place, as parts of the picture's.
MIN_WIDTH, MIN_HEIGHT = 0.08, 0.08
# A line is at most this part of the place's shorter side, runs along this part of each side, and is of one colour.
MAX_LINE, MIN_RUN, MIN_SAME = 0.06, 0.85, 0.7
# Inside there is at most this part of that colour: the place is outlined, not filled.
MAX_INSIDE = 0.25
_SAME_COLOUR = 48
# OpenCV's hues; a line's lie in two neighbouring steps. Boxes that differ by less than _SAME_PX are one.
_HUES, _HUE_STEP, _SAME_PX = 180, 15, 8


def outlined(pixels: NDArray[np.uint8]) -> tuple[BoxXyxy, ...]:
    """(h, w, 3) uint8 BGR -> boxes, the largest first; of large pictures every other pixel is looked at."""
    every = 2 if pixels.shape[1] >= LARGE_PX else 1
    boxes = _outlined(np.ascontiguousarray(pixels[::every, ::every]))
    return tuple((every * x0, every * y0, every * x1, every * y1) for x0, y0, x1, y1 in boxes)


def _outlined(pixels: NDArray[np.uint8]) -> list[BoxXyxy]:
    height, width = pixels.shape[:2]
    least_w, least_h = MIN_WIDTH * width, MIN_HEIGHT * height
    hue, saturation, value = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV))
    # chroma is the product of these two; a grey pixel has no hue
    is_bright = cv2.multiply(saturation, value, scale=1 / 255) >= MIN_CHROMA
    steps = np.where(is_bright, hue // _HUE_STEP, _HUES // _HUE_STEP).astype(np.uint8)
    count = cv2.calcHist([steps], [0], None, [_HUES // _HUE_STEP], [0, _HUES // _HUE_STEP]).ravel()
    found: list[BoxXyxy] = []
    for step in range(len(count)):
        after = (step + 1) % len(count)
        if float(count[step] + count[after]) < 2 * (least_w + least_h):
            continue
        bright = ((steps == step) | (steps == after)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
        for label, (x, y, w, h, _) in enumerate(stats[1:].tolist(), 1):
            box = (float(x), float(y), float(x + w), float(y + h))
            if w < least_w or h < least_h or any(_is_same(box, known) for known in found):
                continue
            if _is_outline(labels[y : y + h, x : x + w] == label, pixels[y : y + h, x : x + w]):
                found.append(box)
    return sorted(found, key=lambda box: ((box[0] - box[2]) * (box[3] - box[1]), box))


def _is_same(a: BoxXyxy, b: BoxXyxy) -> bool:
    return max(abs(p - q) for p, q in zip(a, b, strict=True)) <= _SAME_PX


def _is_outline(part: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> bool:
    """Whether connected bright pixels (h, w) are a line of one colour along all four sides, and not all inside."""
    line = max(2, round(MAX_LINE * min(part.shape)))
    sides = (part[:line].any(0), part[-line:].any(0), part[:, :line].any(1), part[:, -line:].any(1))
    if min(float(side.mean()) for side in sides) < MIN_RUN:
        return False
    rim = np.zeros_like(part)
    rim[:2], rim[-2:], rim[:, :2], rim[:, -2:] = True, True, True, True
    colours = pixels[rim & part].astype(np.int16)
    colour = np.median(colours, axis=0)
    inside = pixels[line:-line, line:-line].astype(np.int16)
    return _share(colours, colour) >= MIN_SAME and _share(inside.reshape(-1, 3), colour) <= MAX_INSIDE


def _share(pixels: NDArray[np.int16], colour: NDArray[np.floating]) -> float:
    """Part of the pixels (n, 3) that are near to a colour."""
    if not len(pixels):
        return 0.0
    return float((np.abs(pixels - colour).max(axis=1) <= _SAME_COLOUR).mean())
