"""What differs between a picture and the one that was read."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy

TILE_PX = 32
# Grey levels. Lossless pictures differ by nothing or by a lot; after VP8, H.264 or JPEG an unchanged tile's
# worst pixel is off by 5 to 30 where there are edges, so the threshold rises with the median of the worst
# pixels of all tiles that are not blank.
_MIN_THRESHOLD = 8
_MAX_THRESHOLD = 56
_NOISE_FACTOR = 1.5
_BLANK_CONTRAST = 16
# So many changed pixels make a changed tile: a full stop has 2 x 2, codec noise a few outliers.
_MIN_CHANGED_PX = 2
_MIN_CHANGED_NOISY_PX = 6

Area = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """Changed pixels (h, w) uint8 0 or 1, and the areas (xyxy, whole tiles) that hold `least_px` and more."""

    mask: NDArray[np.uint8]
    areas: tuple[Area, ...]
    least_px: int = _MIN_CHANGED_PX

    def within(self, box: BoxXyxy) -> bool:
        """True when something changed inside the box."""
        x0, y0, x1, y1 = (max(0, round(side)) for side in box)
        return cv2.countNonZero(self.mask[y0:y1, x0:x1]) >= self.least_px


class ReferenceFrame:
    """The grey picture as it was when each part of it was last read.

    Parts that were not read keep their old pixels, so a slow fade adds up until it is seen.
    """

    def __init__(self) -> None:
        self._grey: NDArray[np.uint8] | None = None
        self._latest: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)

    def compare(self, pixels: NDArray[np.uint8]) -> Change | None:
        """(h, w, 3) uint8 BGR -> what changed; None for nothing; everything for a first or a resized picture."""
        self._latest = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
        height, width = self._latest.shape
        if self._grey is None or self._grey.shape != self._latest.shape:
            self._grey = self._latest.copy()
            return Change(np.ones((height, width), np.uint8), ((0, 0, width, height),))
        difference = np.asarray(cv2.absdiff(self._grey, self._latest), np.uint8)
        if not difference.any():
            return None
        noise = _noise(self._grey, difference)
        threshold = min(_MAX_THRESHOLD, _MIN_THRESHOLD + _NOISE_FACTOR * noise)
        least_px = _MIN_CHANGED_NOISY_PX if noise else _MIN_CHANGED_PX
        mask = np.asarray(cv2.threshold(difference, threshold, 1, cv2.THRESH_BINARY)[1], np.uint8)
        tiles = _by_tile(mask).sum(axis=(1, 3), dtype=np.uint16) >= least_px
        return Change(mask, _areas(tiles, width, height), least_px) if tiles.any() else None

    def accept(self, area: Area, keeping: Iterable[BoxXyxy] = ()) -> None:
        """The latest picture was read in `area`; what lies inside the boxes `keeping` was not."""
        grey, latest = self._grey, self._latest
        if grey is None:
            return
        x0, y0, x1, y1 = area
        kept = []
        for box in keeping:
            left, top, right, bottom = (max(0, round(side)) for side in box)
            kept.append((left, top, grey[top:bottom, left:right].copy()))
        grey[y0:y1, x0:x1] = latest[y0:y1, x0:x1]
        for left, top, patch in kept:
            grey[top : top + patch.shape[0], left : left + patch.shape[1]] = patch


def _noise(grey: NDArray[np.uint8], difference: NDArray[np.uint8]) -> int:
    """Median over the whole tiles with some contrast of their largest difference."""
    height, width = (side // TILE_PX * TILE_PX for side in grey.shape)
    grey, difference = grey[:height, :width], difference[:height, :width]
    low, high = (pick(_by_tile(grey), axis=(1, 3)) for pick in (np.min, np.max))
    worst = _by_tile(difference).max(axis=(1, 3))[high - low > _BLANK_CONTRAST]
    return int(np.median(worst)) if worst.size else 0


def _by_tile(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) -> (rows, TILE_PX, columns, TILE_PX), the last tiles filled up with zeros."""
    height, width = values.shape
    bottom, right = -height % TILE_PX, -width % TILE_PX
    if bottom or right:
        values = np.pad(values, ((0, bottom), (0, right)))
    return values.reshape(values.shape[0] // TILE_PX, TILE_PX, values.shape[1] // TILE_PX, TILE_PX)


def _areas(tiles: NDArray[np.bool_], width: int, height: int) -> tuple[Area, ...]:
    """Rectangles around groups of neighbouring tiles."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(tiles.astype(np.uint8), connectivity=8)
    return tuple(
        (
            int(x) * TILE_PX,
            int(y) * TILE_PX,
            min(width, int(x + w) * TILE_PX),
            min(height, int(y + h) * TILE_PX),
        )
        for x, y, w, h, _ in stats[1:count]
    )
