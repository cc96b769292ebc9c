"""A picture of an icon -> a point in MiniLM's space, near the words for what it shows (docs/open-vocabulary.md)."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine

MODEL = "icon-encoder"
ICON_PX = 32
_MAX_BATCH = 32
# Less contrast than this, in grey levels, is noise on an even colour.
_LEAST_CONTRAST = 24.0
# What is weaker than this part of the strongest ink is blur and shadow: it does not count as the icon's edge.
_EDGE_INK = 0.3


class IconEncoder:
    """Tells what icons look like in words. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "icon-encoder.onnx", threads=threads)

    def encode(self, icons: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Crops (h, w, 3) uint8 BGR -> (n, 384) float32 of length 1; zeros for a crop of one even colour."""
        vectors = np.zeros((len(icons), 384), np.float32)
        inks = [ink_of(cv2.cvtColor(icon, cv2.COLOR_BGR2GRAY)) for icon in icons]
        drawn = [index for index, ink in enumerate(inks) if ink is not None]
        for first in range(0, len(drawn), _MAX_BATCH):
            chosen = drawn[first : first + _MAX_BATCH]
            batch = np.stack([ink for index in chosen if (ink := inks[index]) is not None])[:, None]
            vectors[chosen] = self._engine.run({"ink": batch})["embedding"]
        return vectors


def ink_of(grey: NDArray[np.generic]) -> NDArray[np.float32] | None:
    """Grey crop (h, w), 0 to 255 -> ink (32, 32) in [0, 1], trimmed and centred; None where nothing is drawn.

    Ink is the distance from the most usual grey, so that dark and light themes look the same.
    """
    levels = grey.astype(np.uint8)
    paper = float(np.bincount(levels.ravel() >> 3, minlength=32).argmax() * 8 + 4)
    ink = np.maximum(np.abs(levels.astype(np.float32) - paper) - 4, 0)
    most = float(ink.max(initial=0.0))
    if most < _LEAST_CONTRAST:
        return None
    ink /= most
    rows, columns = (np.flatnonzero((ink >= _EDGE_INK).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = ink
    method = cv2.INTER_AREA if side > ICON_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (ICON_PX, ICON_PX), interpolation=method), np.float32)
