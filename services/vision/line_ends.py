"""Tells icons at the ends of a line from characters: they are cut off, not read (docs/ocr.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.vision.line_image import ink

MODEL = "line-ends"
# Height and width in pixels of what is seen of a line, around its end.
VIEW = (32, 96)
# In heights of the line: what lies so far from the rest, is no wider and no lower may be an icon; dashes, underscores
# and bullets are lower.
_GAP, _WIDEST, _LOWEST = 0.12, 1.3, 0.3
# Chosen on drawn pages of other seeds than those that are reported (docs/ocr.md).
LEAST_SURE = 0.9
_MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class LineEnd:
    """Columns of ink at one end of a line, from `start` to before `stop`; between it and the rest lies `cut`."""

    start: int
    stop: int
    cut: int

    @property
    def is_first(self) -> bool:
        """True for the left end."""
        return self.cut >= self.stop


class LineEnds:
    """Cuts icons off lines. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "line-ends.onnx", threads=threads)

    def without_icons(self, lines: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Level lines (h, w, 3) uint8 BGR -> the same without icons before and behind their text."""
        found = [(index, end) for index, line in enumerate(lines) for end in ends_of(line)]
        chances = self.probabilities([view(lines[index], end) for index, end in found])
        icons: dict[int, list[LineEnd]] = {}
        for (index, end), chance in zip(found, chances, strict=True):
            if chance >= LEAST_SURE:
                icons.setdefault(index, []).append(end)
        return [_cut_off(line, icons.get(index, ())) for index, line in enumerate(lines)]

    def probabilities(self, views: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Views (32, 96, 3) uint8 BGR -> how surely each has an icon in its middle, (views,)."""
        said = [np.zeros(0, np.float32)]
        for first in range(0, len(views), _MAX_BATCH):
            batch = np.stack(views[first : first + _MAX_BATCH]).transpose(0, 3, 1, 2).astype(np.float32)
            said.append(self._engine.run({"views": np.ascontiguousarray(batch)})["icon"])
        return np.concatenate(said)


def ends_of(line: NDArray[np.uint8]) -> list[LineEnd]:
    """What may be icons at the ends of a line (h, w, 3) uint8 BGR: at most two, and never all of it."""
    height = line.shape[0]
    inked = ink(line)
    columns = np.flatnonzero(inked.any(axis=0))
    if not len(columns):
        return []
    breaks = np.flatnonzero(np.diff(columns) > _GAP * height + 1)
    starts, stops = columns[[0, *(breaks + 1)]].tolist(), (columns[[*breaks, -1]] + 1).tolist()
    ends = []
    if len(starts) > 1:
        ends = [LineEnd(starts[0], stops[0], (stops[0] + starts[1] + 1) // 2)]
        ends += [LineEnd(starts[-1], stops[-1], (stops[-2] + starts[-1]) // 2)]
    return [
        end
        for end in ends
        if end.stop - end.start <= _WIDEST * height
        and np.ptp(np.flatnonzero(inked[:, end.start : end.stop].any(axis=1))) >= _LOWEST * height
    ]


def view(line: NDArray[np.uint8], end: LineEnd) -> NDArray[np.uint8]:
    """What is seen of an end of a line (h, w, 3) uint8 BGR and around it, (32, 96, 3)."""
    height, width = VIEW
    scale = height / line.shape[0]
    turn = np.array([[scale, 0, width / 2 - scale * (end.start + end.stop) / 2], [0, scale, 0]])
    seen = cv2.warpAffine(line, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def _cut_off(line: NDArray[np.uint8], ends: Sequence[LineEnd]) -> NDArray[np.uint8]:
    """The line without these ends; as it is without any, and where nothing would be left."""
    if not ends:
        return line
    first = max((end.cut for end in ends if end.is_first), default=0)
    last = min((end.cut for end in ends if not end.is_first), default=line.shape[1])
    between = line[:, first:last]
    return between if between.size and ink(between).any() and last - first > 2 else line
