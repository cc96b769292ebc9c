"""Cuts lines of text out of pictures, level and without what is not theirs."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.vision.text_detection import TextBox

LINE_HEIGHT_PX = 48
_MAX_WIDTH_PX = 3200  # the models' own declared limit; longer lines are squeezed
# A box at least this much taller than long holds a column of text, read turned by 90 degrees.
_VERTICAL_RATIO = 1.5
# What reaches out of a line's box above and below is not its own where it is thinner than this part of its height, or
# fills no more than this of the rectangle around it. So far above and below is looked.
_THIN = 0.25
_OUTSIDE_PX = 3
# A text cursor is thinner than this part of its height, and ends so much lower than letters do.
_THINNEST = 0.125


def line_image(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture, level, 48 px high, its width in proportion: (48, w, 3) uint8."""
    return scaled(level_line(pixels, box))


def level_line(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture, level and clean, as large as it is there: (h, w, 3) uint8."""
    return np.ascontiguousarray(_upright(_crop(pixels, box)))


def scaled(line: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A level line made 48 px high, its width in proportion: (48, w, 3) uint8."""
    width = min(_MAX_WIDTH_PX, max(1, math.ceil(line.shape[1] * LINE_HEIGHT_PX / line.shape[0])))
    # Linear, not cubic: ringing around strokes costs accuracy (measured: 4.2 against 4.4 % CER, Lanczos 6.2).
    size = (width, LINE_HEIGHT_PX)
    return np.asarray(cv2.resize(np.ascontiguousarray(line), size, interpolation=cv2.INTER_LINEAR), np.uint8)


def whole_crop(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture as it is, level: marks far above and below its letters stay."""
    if box.angle_deg:
        return _upright(_crop(pixels, box))
    left, top, right, bottom = _inside(pixels, box)
    return _upright(pixels[top:bottom, left:right])


def _upright(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A column of text is turned by 90 degrees."""
    return np.rot90(crop) if crop.shape[0] >= crop.shape[1] * _VERTICAL_RATIO else crop


def place_of(pixels: NDArray[np.uint8], box: TextBox) -> tuple[int, int, int, int]:
    """Where a level box is cut out, xyxy in whole pixels: to where the ink of its first and last character ends."""
    left, top, right, bottom = _inside(pixels, box)
    left, right = _to_ends_of_ink(pixels[top:bottom], left, right)
    return left, top, right, bottom


def _inside(pixels: NDArray[np.uint8], box: TextBox) -> tuple[int, int, int, int]:
    """The box in whole pixels of the picture, at least one each way."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = box.xyxy
    left, top = max(0, min(width - 1, round(x0))), max(0, min(height - 1, round(y0)))
    return left, top, max(left + 1, min(width, round(x1))), max(top + 1, min(height, round(y1)))


def _crop(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    if box.angle_deg == 0:
        left, top, right, bottom = place_of(pixels, box)
        frames = _frames(pixels[:, left:right], top, bottom)
        return _without_neighbours(pixels[top:bottom, left:right], frames)
    turn = cv2.getRotationMatrix2D((box.center_x, box.center_y), box.angle_deg, 1.0)
    turn[:, 2] += np.array((box.length_px / 2 - box.center_x, box.height_px / 2 - box.center_y))
    size = (max(1, round(box.length_px)), max(1, round(box.height_px)))
    level = cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(level, np.uint8)


def _to_ends_of_ink(band: NDArray[np.uint8], left: int, right: int) -> tuple[int, int]:
    """Where the ends of a line lie whose first or last character the detector cut through."""
    height, width = band.shape[:2]
    first, last = max(0, left - height), min(width, right + height)
    columns = np.asarray(ink(band[:, first:last]).any(axis=0))
    before, after = columns[: left - first + 1][::-1], columns[right - first - 1 :]
    # Ink without an end in reach is a frame or a picture, not a character.
    if not before.all():
        cut = int(before.argmin())
        left = max(first, left - cut - 1) if cut else left
    if not after.all():
        cut = int(after.argmin())
        right = min(last, right + cut + 1) if cut else right
    return left, right


def _frames(column: NDArray[np.uint8], top: int, bottom: int) -> NDArray[np.bool_]:
    """Borders of buttons and rules of tables beside a line, which are read as brackets: (bottom - top, w).

    They go on above and below it, or lie around it; `column` (h, w, 3) uint8 BGR is the picture where the line is.
    """
    first, last = max(0, top - _OUTSIDE_PX), min(column.shape[0], bottom + _OUTSIDE_PX)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink(column[first:last]).astype(np.uint8), connectivity=8)
    x, y, w, h, area = stats.T
    is_hollow = area <= _THIN * w * h
    goes_on = (first + y < top) & (first + y + h > bottom)
    is_frame = goes_on & (is_hollow | (w <= _THIN * h))
    if len(stats) > 2:  # the background, a frame, and something in it
        wide, high = (x + w)[1:].max() - x[1:].min(), (y + h)[1:].max() - y[1:].min()
        is_frame |= is_hollow & (w == wide) & (h == high)
    is_frame[0] = False  # label 0 is the background
    return np.asarray(is_frame[labels[top - first : bottom - first]])


def _is_caret(stats: NDArray[Any]) -> NDArray[np.bool_]:
    """Which component is the text cursor behind the last letter; `stats` are OpenCV's, one row for each component.

    It is a thin stroke that begins above all others and ends as low as the lowest, well below where most end.
    """
    x, y, w, h, _ = stats.T
    last = int(x.argmax())
    others = np.arange(len(stats)) != last
    if not others.any():
        return np.asarray(others)
    end, ends = int(y[last] + h[last]), (y + h)[others]
    is_long = y[last] < y[others].min() and end >= ends.max() and end - np.median(ends) >= _THINNEST * h[last]
    return np.asarray(~others & bool(is_long and w[last] <= _THINNEST * h[last]))


def _without_neighbours(crop: NDArray[np.uint8], frames: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Paint over `frames` (h, w), what reaches in from other lines, what is left of frames at the edges, a cursor."""
    height, width = crop.shape[:2]
    mask = ink(crop) & ~frames
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    x, y, w, h = (stats[:, column] for column in (0, 1, 2, 3))
    x1, y1 = x + w, y + h
    flat = (w >= 2.5 * h) & (w >= 0.25 * height)
    above = (y1 <= 0.35 * height) & ((y == 0) | flat & (y1 <= 0.2 * height))
    below = (y1 == height) & (y >= 0.65 * height) & ~flat  # an underscore is the line's own
    frame = ((x == 0) | (x1 == width)) & (h == height) & (w <= 0.2 * height)
    foreign = above | below | frame
    foreign[0] = True  # label 0 is the background
    own = np.flatnonzero(~foreign)
    if own.size:
        foreign[own] = _is_caret(stats[own])
    foreign[0] = False
    painted = foreign[labels] | frames
    if not painted.any():
        return crop
    # One pixel more all around takes the smoothed edges along.
    grown = cv2.dilate(painted.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    kept = np.isin(labels, np.flatnonzero(~foreign)[1:])
    cleaned = crop.copy()
    cleaned[grown & ~kept] = _median(crop)
    return cleaned


def ink(line: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w, 3) uint8 -> (h, w): what differs from the most usual colour by 30 % of the largest difference."""
    blue, green, red = cv2.split(cv2.absdiff(line, np.array((*_median(line), 0.0))))
    difference = cv2.max(cv2.max(blue, green), red)
    return np.asarray(difference > 0.3 * int(difference.max()))


def _median(line: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Of each channel of (h, w, 3) uint8, in whole numbers; by counting, ten times faster than by sorting."""
    middle = (line.shape[0] * line.shape[1] - 1) / 2
    found = []
    for channel in range(3):
        below = cv2.calcHist([line], [channel], None, [256], [0, 256]).cumsum()
        lower, upper = below.searchsorted((math.floor(middle), math.ceil(middle)), side="right")
        found.append(float((lower + upper) // 2))
    return found[0], found[1], found[2]
