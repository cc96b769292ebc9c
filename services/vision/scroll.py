"""How far a part of the picture has scrolled: coarse by row signatures, then checked pixel by pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Area = tuple[int, int, int, int]

# Signatures are mean greys of rows as wide as this, so that codec noise averages out.
_STRIP_PX = 32
# A picture's frame or a table's rule must not outweigh all text.
_MAX_STEP_LEVELS = 16.0
# Offsets looked at pixel by pixel, and how far apart they are.
_CANDIDATES = 4
_APART_PX = 3
# Part of the picture's changing content that must take part in an offset for it to count.
_LEAST_ENERGY = 0.05
_LEAST_LIKENESS = 0.1
# Grey levels below the contrast of text, and of averaged text above codec noise.
_MISMATCH_LEVELS = 40
_NOISY_MISMATCH_LEVELS = 24
# At the pane's edges any difference counts that is a change (change.py): a bar may be nearly as bright as the pane.
_RIM_MISMATCH_LEVELS = 8
# A pane is this large in pixels that the offset explains, and they outnumber those against it.
_LEAST_EXPLAINED_PX = 150
_EXPLAINED_RATIO = 3
# Rows at the pane's edges may hold so many pixels that do not fit: noise.
_STRAY_PX = 2


@dataclass(frozen=True, slots=True)
class Scroll:
    """What `area` (xyxy) of the new picture shows was `dx_px` further left and `dy_px` further up in the old one."""

    dx_px: int
    dy_px: int
    area: Area

    @property
    def source(self) -> Area:
        """Where it was."""
        x0, y0, x1, y1 = self.area
        return x0 - self.dx_px, y0 - self.dy_px, x1 - self.dx_px, y1 - self.dy_px

    @property
    def pane(self) -> Area:
        """Where it was and where it is."""
        (x0, y0, x1, y1), (from_x0, from_y0, from_x1, from_y1) = self.area, self.source
        return min(x0, from_x0), min(y0, from_y0), max(x1, from_x1), max(y1, from_y1)

    @property
    def exposed(self) -> Area:
        """The strip of the pane into which new content came."""
        (x0, y0, x1, y1), (from_x0, from_y0, from_x1, from_y1) = self.area, self.source
        if self.dy_px:
            return (x0, from_y0, x1, y0) if self.dy_px > 0 else (x0, y1, x1, from_y1)
        return (from_x0, y0, x0, y1) if self.dx_px > 0 else (x1, y0, from_x1, y1)


def find_scroll(
    old: NDArray[np.uint8], new: NDArray[np.uint8], changed: NDArray[np.bool_], *, is_noisy: bool
) -> Scroll | None:
    """Two (h, w) grey pictures and their changed tiles of 32 x 32 px -> the pane that scrolled most, if one did.

    `is_noisy`: they were averaged over some pixels to tell changes from codec noise.
    """
    levels = (_NOISY_MISMATCH_LEVELS,) * 2 if is_noisy else (_MISMATCH_LEVELS, _RIM_MISMATCH_LEVELS)
    if (down := _vertical(old, new, changed, levels)) is not None:
        return Scroll(0, down[0], down[1])
    across = _vertical(np.ascontiguousarray(old.T), np.ascontiguousarray(new.T), changed.T, levels)
    if across is None:
        return None
    offset, (y0, x0, y1, x1) = across
    return Scroll(offset, 0, (x0, y0, x1, y1))


def _vertical(
    old: NDArray[np.uint8], new: NDArray[np.uint8], changed: NDArray[np.bool_], levels: tuple[int, int]
) -> tuple[int, Area] | None:
    """`levels`: what is a mismatch inside the pane and at its edges."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    row, end_row = int(rows[0]), int(rows[-1]) + 1
    # One tile more on both sides: boxes of lines are wider than their letters.
    column, end_column = max(0, int(columns[0]) - 1), min(changed.shape[1], int(columns[-1]) + 2)
    top, bottom = row * _STRIP_PX, min(old.shape[0], end_row * _STRIP_PX)
    left, right = column * _STRIP_PX, min(old.shape[1], end_column * _STRIP_PX)
    old, new = old[top:bottom, left:right], new[top:bottom, left:right]
    is_changed = changed[row:end_row, column:end_column]
    # What turned blank is explained by any blank place: only edges of what came count.
    edges = cv2.morphologyEx(new, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    moved = cv2.threshold(cv2.min(cv2.absdiff(old, new), edges), levels[0], 1, cv2.THRESH_BINARY)[1]
    best: tuple[int, int, Area] | None = None
    for offset in _offsets(old, new, is_changed):
        found = _pane(old, new, np.asarray(moved, np.uint8), offset, levels)
        if found is not None and (best is None or found[0] > best[0]):
            best = (found[0], offset, found[1])
    if best is None:
        return None
    _, offset, (x0, y0, x1, y1) = best
    return offset, (x0 + left, y0 + top, x1 + left, y1 + top)


def _offsets(old: NDArray[np.uint8], new: NDArray[np.uint8], changed: NDArray[np.bool_]) -> list[int]:
    """The likeliest offsets in pixels, best first: peaks of the correlation of all strips' signatures."""
    height = old.shape[0]
    before, after = (_signatures(picture, changed) for picture in (old, new))
    length = cv2.getOptimalDFTSize(2 * height)
    spectrum = (np.fft.rfft(after, length, axis=0) * np.fft.rfft(before, length, axis=0).conj()).sum(axis=1)
    common = np.fft.irfft(spectrum, length)
    # after[y] against before[y - offset], from -(height - 1) to height - 1.
    common = np.concatenate([common[-(height - 1) :], common[:height]])
    offsets = np.arange(-(height - 1), height)
    energy = _overlapping(after, offsets) + _overlapping(before, -offsets)
    total = float((before**2).sum() + (after**2).sum())
    likeness = np.where(energy > _LEAST_ENERGY * total, 2 * common / np.maximum(energy, 1e-6), 0.0)
    likeness[height - 1] = 0  # not moved at all
    best: list[int] = []
    for _ in range(_CANDIDATES):
        peak = int(likeness.argmax())
        if likeness[peak] < _LEAST_LIKENESS:
            break
        best.append(int(offsets[peak]))
        likeness[max(0, peak - _APART_PX) : peak + _APART_PX + 1] = 0
    return best


def _signatures(picture: NDArray[np.uint8], changed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(h, w) -> (h, strips): steps from row to row of mean grey where tiles changed, else 0."""
    height, width = picture.shape
    strips = changed.shape[1]
    padded = cv2.copyMakeBorder(picture, 0, 0, 0, strips * _STRIP_PX - width, cv2.BORDER_REPLICATE)
    means = cv2.resize(padded, (strips, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    steps = np.diff(means.reshape(height, strips), axis=0, prepend=means[:1].reshape(1, strips))
    steps = np.clip(steps, -_MAX_STEP_LEVELS, _MAX_STEP_LEVELS)
    return np.asarray(steps * np.repeat(changed, _STRIP_PX, axis=0)[:height], np.float32)


def _overlapping(signatures: NDArray[np.float32], offsets: NDArray[np.int_]) -> NDArray[np.float64]:
    """Energy of the rows that have a partner when they moved by each offset: [offset, h) or [0, h + offset)."""
    height = len(signatures)
    so_far = np.concatenate([[0.0], np.cumsum((signatures**2).sum(axis=1), dtype=np.float64)])
    return np.asarray(so_far[np.minimum(height, height + offsets)] - so_far[np.maximum(0, offsets)], np.float64)


def _pane(
    old: NDArray[np.uint8], new: NDArray[np.uint8], moved: NDArray[np.uint8], offset: int, levels: tuple[int, int]
) -> tuple[int, Area] | None:
    """How many changed pixels an offset explains, less those against it, and the rectangle where it does."""
    height, width = old.shape
    first, last = max(0, offset), min(height, height + offset)
    difference = cv2.absdiff(new[first:last], old[first - offset : last - offset])
    against, rim = (np.asarray(cv2.threshold(difference, each, 1, cv2.THRESH_BINARY)[1], np.uint8) for each in levels)
    explained = np.asarray(cv2.subtract(moved[first:last], against), np.uint8)
    score = _tile_sums(explained) - _EXPLAINED_RATIO * _tile_sums(against)
    x0, y0, x1, y1 = (side * _STRIP_PX for side in _best_rectangle(score))
    x1, y1 = min(x1, width), min(y1, last - first)
    y0, y1 = _trimmed(_row_sums(explained[y0:y1, x0:x1]) - _EXPLAINED_RATIO * _row_sums(rim[y0:y1, x0:x1]), y0)
    y0, y1 = _stretched(_row_sums(rim[:, x0:x1]), y0, y1)
    x0, x1 = _stretched(rim[y0:y1].sum(axis=0, dtype=np.int32), x0, x1)
    inside = against[y0:y1, x0:x1]
    gain = cv2.countNonZero(cv2.subtract(moved[first + y0 : first + y1, x0:x1], inside))
    loss = cv2.countNonZero(inside)
    if gain < max(_LEAST_EXPLAINED_PX, _EXPLAINED_RATIO * loss):
        return None
    return gain - loss, (x0, first + y0, x1, first + y1)


def _tile_sums(mask: NDArray[np.uint8] | cv2.typing.MatLike) -> NDArray[np.int32]:
    height, width = mask.shape
    padded = cv2.copyMakeBorder(mask, 0, -height % _STRIP_PX, 0, -width % _STRIP_PX, cv2.BORDER_CONSTANT, value=0)
    by_row = padded.reshape(-1, _STRIP_PX, padded.shape[1]).sum(axis=1, dtype=np.uint8)
    return np.asarray(by_row.reshape(len(by_row), -1, _STRIP_PX).sum(axis=2, dtype=np.int32), np.int32)


def _best_rectangle(score: NDArray[np.int32]) -> Area:
    """The rectangle of tiles (xyxy) with the largest sum (Kadane's algorithm for every pair of rows at once)."""
    rows, columns = score.shape
    so_far = np.zeros((rows + 1, columns), np.int32)
    np.cumsum(score, axis=0, out=so_far[1:])
    tops, bottoms = np.triu_indices(rows + 1, 1)
    sums = np.zeros((len(tops), columns + 1), np.int32)
    np.cumsum(so_far[bottoms] - so_far[tops], axis=1, out=sums[:, 1:])
    lowest = np.minimum.accumulate(sums, axis=1)
    gain = sums - lowest
    pair, right = np.unravel_index(int(gain.argmax()), gain.shape)
    left = int(np.flatnonzero(sums[pair, : right + 1] == lowest[pair, right])[-1])
    return left, int(tops[pair]), int(right), int(bottoms[pair])


def _row_sums(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.asarray(mask.sum(axis=1, dtype=np.int32))


def _trimmed(score: NDArray[np.int32], start: int) -> tuple[int, int]:
    """First row and the one after the last, without rows of the first and the last tile that speak against it.

    The edge of a pane need not lie where a tile ends.
    """
    before, after = (np.cumsum(np.concatenate([[0], side[:_STRIP_PX]])) for side in (score, score[::-1]))
    return start + int(before.argmin()), start + len(score) - int(after.argmin())


def _stretched(against: NDArray[np.int32], start: int, end: int) -> tuple[int, int]:
    """Move both ends outwards over what fits the offset."""
    bad = against > _STRAY_PX
    before, after = np.flatnonzero(bad[:start]), np.flatnonzero(bad[end:])
    return (int(before[-1]) + 1 if before.size else 0), (end + int(after[0]) if after.size else len(against))
