"""What differs between a picture and the one that was read."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy
from services.vision.scroll import Area, Scroll, find_scroll

TILE_PX = 32
# Grey levels. Lossless pictures differ by nothing or by a lot. A codec blurs and rings: while the picture
# moves an unchanged tile's worst pixel is off by 40 to 150, as much as by a new letter. Averaged over 5 x 5 px
# it is off by 6 to 30 and a new letter's by 45 and more; so noisy pictures are compared averaged, and the
# threshold rises with the median of the worst differences of all tiles that are not blank.
_MIN_THRESHOLD = 8
_MAX_THRESHOLD = 36
_NOISE_FACTOR = 4
_AVERAGED_PX = (5, 5)
_BLANK_CONTRAST = 16
# So many changed pixels make a changed tile: a full stop has 2 x 2, codec noise a few outliers.
_MIN_CHANGED_PX = 2
_MIN_CHANGED_NOISY_PX = 6
# So many changed tiles may be a pane that scrolled; fewer are cheaper read than searched.
_MIN_SCROLLED_TILES = 8
# Above this part of the tiles that show anything it is another picture.
_CUT_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Change:
    """Changed pixels (h, w) uint8 0 or 1, and the areas (xyxy, whole tiles) that hold `least_px` and more.

    `noise`: grey levels by which unchanged places differ after averaging; 0 for lossless pictures. Where
    something scrolled, the mask says what differs from the picture moved along, and `still` what differs
    from the picture left as it was.
    """

    mask: NDArray[np.uint8]
    areas: tuple[Area, ...]
    noise: int = 0
    scroll: Scroll | None = None
    still: NDArray[np.uint8] | None = None

    @property
    def least_px(self) -> int:
        """So many changed pixels are a change."""
        return _MIN_CHANGED_NOISY_PX if self.noise else _MIN_CHANGED_PX

    def within(self, box: BoxXyxy) -> bool:
        """True when something changed inside the box."""
        return _count(self.mask, box) >= self.least_px

    def is_still(self, box: BoxXyxy) -> bool:
        """True when what the box shows is where it was, though something scrolled."""
        return self.still is not None and _count(self.still, box) < self.least_px

    def is_between(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
        """True when two cut-outs (h, w, 3) uint8 BGR differ by more than the noise of these pictures."""
        return cv2.countNonZero(_different(*_comparable(_grey(a), _grey(b), self.noise), self.noise)) >= self.least_px

    def corrected(self, dirty: Iterable[BoxXyxy], clean: Iterable[BoxXyxy]) -> "Change":
        """The same with everything changed in the boxes `dirty`, and then nothing in the boxes `clean`."""
        mask = self.mask.copy()
        for boxes, value in ((dirty, 1), (clean, 0)):
            for box in boxes:
                x0, y0, x1, y1 = _inside(box)
                mask[y0:y1, x0:x1] = value
        return replace(self, mask=mask, areas=_areas(_tile_sums(mask) >= self.least_px, mask.shape))


class ReferenceFrame:
    """The grey picture as it was when each part of it was last read.

    Parts that were not read keep their old pixels, so a slow fade adds up until it is seen.
    """

    def __init__(self) -> None:
        self._grey: NDArray[np.uint8] | None = None
        self._latest: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)

    def compare(self, pixels: NDArray[np.uint8]) -> Change | None:
        """(h, w, 3) uint8 BGR -> what changed; None for nothing; everything for another or a resized picture.

        What scrolled is moved along in the reference.
        """
        latest = self._latest = _grey(pixels)
        grey = self._grey
        if grey is None or grey.shape != latest.shape:
            self._grey = latest.copy()
            return self._everything()
        difference = np.asarray(cv2.absdiff(grey, latest), np.uint8)
        if not difference.any():
            return None
        change, tiles = _changed(grey, latest)
        if not tiles.any():
            return None
        if np.count_nonzero(tiles) < _MIN_SCROLLED_TILES:
            return change
        scroll = find_scroll(*_comparable(grey, latest, change.noise), tiles, is_noisy=change.noise > 0)
        if scroll is not None:
            return _scrolled(grey, latest, scroll)
        shows = _contrast(grey) | _contrast(latest)
        if np.count_nonzero(tiles & shows) > _CUT_SHARE * np.count_nonzero(shows):
            return self._everything()
        return change

    def _everything(self) -> Change:
        height, width = self._latest.shape
        return Change(np.ones((height, width), np.uint8), ((0, 0, width, height),))

    def accept(self, area: Area, keeping: Iterable[BoxXyxy] = ()) -> None:
        """The latest picture was read in `area`; what lies inside the boxes `keeping` was not."""
        grey, latest = self._grey, self._latest
        if grey is None:
            return
        x0, y0, x1, y1 = area
        kept = []
        for box in keeping:
            left, top, right, bottom = _inside(box)
            kept.append((left, top, grey[top:bottom, left:right].copy()))
        grey[y0:y1, x0:x1] = latest[y0:y1, x0:x1]
        for left, top, patch in kept:
            grey[top : top + patch.shape[0], left : left + patch.shape[1]] = patch


def _scrolled(grey: NDArray[np.uint8], latest: NDArray[np.uint8], scroll: Scroll) -> Change:
    """Move the pane along in `grey`, and see what differs then."""
    x0, y0, x1, y1 = scroll.area
    from_x0, from_y0, from_x1, from_y1 = scroll.source
    before = grey.copy()
    grey[y0:y1, x0:x1] = before[from_y0:from_y1, from_x0:from_x1]
    change, _ = _changed(grey, latest)
    still = _different(*_comparable(before, latest, change.noise), change.noise)
    return replace(change, scroll=scroll, still=still).corrected([scroll.exposed], [])


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)


def _changed(grey: NDArray[np.uint8], latest: NDArray[np.uint8]) -> tuple[Change, NDArray[np.bool_]]:
    """What differs by more than noise, and which tiles hold it."""
    shows = _contrast(grey)
    noise = _noise(grey, latest, shows)
    if noise:
        grey, latest = _comparable(grey, latest, noise)
        noise = max(1, _noise(grey, latest, shows))
    mask = _different(grey, latest, noise)
    change = Change(mask, (), noise)
    tiles = _tile_sums(mask) >= change.least_px
    return replace(change, areas=_areas(tiles, mask.shape)), tiles


def _comparable(a: NDArray[np.uint8], b: NDArray[np.uint8], noise: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two, averaged where there is noise."""
    if not noise:
        return a, b
    return np.asarray(cv2.blur(a, _AVERAGED_PX), np.uint8), np.asarray(cv2.blur(b, _AVERAGED_PX), np.uint8)


def _different(a: NDArray[np.uint8], b: NDArray[np.uint8], noise: int) -> NDArray[np.uint8]:
    """1 where two comparable pictures differ by more than noise."""
    threshold = min(_MAX_THRESHOLD, _MIN_THRESHOLD + _NOISE_FACTOR * noise)
    return np.asarray(cv2.threshold(cv2.absdiff(a, b), threshold, 1, cv2.THRESH_BINARY)[1], np.uint8)


def _noise(a: NDArray[np.uint8], b: NDArray[np.uint8], shows: NDArray[np.bool_]) -> int:
    """Median over the tiles that show anything of their largest difference."""
    worst = _by_tile(np.asarray(cv2.absdiff(a, b), np.uint8), np.maximum)[shows]
    return int(np.median(worst)) if worst.size else 0


def _contrast(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which tiles show anything."""
    return np.asarray(_by_tile(grey, np.maximum) - _by_tile(grey, np.minimum) > _BLANK_CONTRAST)


def _tile_sums(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.asarray(_by_tile(mask, np.add, np.int32), np.int32)


def _by_tile(values: NDArray[np.uint8], pick: np.ufunc, dtype: type = np.uint8) -> NDArray[np.integer]:
    """(h, w) -> (rows, columns) of tiles, the edge pixels going on in the last ones (zeros for a sum)."""
    height, width = values.shape
    border = cv2.BORDER_CONSTANT if pick is np.add else cv2.BORDER_REPLICATE
    padded = cv2.copyMakeBorder(values, 0, -height % TILE_PX, 0, -width % TILE_PX, border)
    # Rows first: numpy is quick along the last axis only where it stays.
    by_row = pick.reduce(padded.reshape(-1, TILE_PX, padded.shape[1]), axis=1, dtype=np.uint8)
    return np.asarray(pick.reduce(by_row.reshape(len(by_row), -1, TILE_PX), axis=2, dtype=dtype))


def _count(mask: NDArray[np.uint8], box: BoxXyxy) -> int:
    x0, y0, x1, y1 = _inside(box)
    return cv2.countNonZero(mask[y0:y1, x0:x1])


def _inside(box: BoxXyxy) -> Area:
    """Whole pixels, none of them before the picture."""
    x0, y0, x1, y1 = (max(0, round(side)) for side in box)
    return x0, y0, x1, y1


def _areas(tiles: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[Area, ...]:
    """Rectangles around groups of neighbouring tiles."""
    height, width = shape[:2]
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
