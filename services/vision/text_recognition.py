"""Reads lines of text: CTC (Graves et al. 2006) over PP-OCRv6's recogniser."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.vision.text_detection import TextBox

_HEIGHT_PX = 48
_WIDTH_STEP_PX = 64
_MAX_WIDTH_PX = 3200  # the models' own declared limit; longer lines are squeezed
_MAX_BATCH = 8
# A box at least this much taller than long holds a column of text, read turned by 90 degrees.
_VERTICAL_RATIO = 1.5
_BLANK = 0


@dataclass(frozen=True, slots=True)
class ReadLine:
    """What a line says and the mean probability of its characters; no text gives 0."""

    text: str
    confidence: float


def read_keys(path: Path) -> list[str]:
    """The recogniser's classes after blank: one a line, then the space."""
    return [*path.read_bytes().decode().replace("\r\n", "\n").removesuffix("\n").split("\n"), " "]


class TextRecognizer:
    """Boxes of a picture -> their text."""

    def __init__(self, engine: Engine, keys: Sequence[str]) -> None:
        self._engine = engine
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name
        self._keys = ["", *keys]

    def read(self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox]) -> list[ReadLine]:
        """(h, w, 3) uint8 BGR and boxes in it -> one line for each box.

        A line's padding depends on its own width alone, so its text does not depend on its neighbours.
        """
        buckets: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {}
        for index, box in enumerate(boxes):
            line = line_image(pixels, box)
            width = -(-line.shape[1] // _WIDTH_STEP_PX) * _WIDTH_STEP_PX
            buckets.setdefault(width, []).append((index, line))
        lines = [ReadLine("", 0.0)] * len(boxes)
        for width, members in buckets.items():
            for first in range(0, len(members), _MAX_BATCH):
                batch = members[first : first + _MAX_BATCH]
                blob = np.zeros((len(batch), 3, _HEIGHT_PX, width), np.float32)
                for row, (_, line) in enumerate(batch):
                    blob[row, :, :, : line.shape[1]] = line.transpose(2, 0, 1) / np.float32(127.5) - 1
                out = self._engine.run({self._input: blob}, [self._output])[self._output]
                for (index, _), probabilities in zip(batch, out, strict=True):
                    lines[index] = self._decode(probabilities)
        return lines

    def _decode(self, probabilities: NDArray[np.float32]) -> ReadLine:
        """(steps, classes) -> best path, repeats and blanks removed."""
        best = probabilities.argmax(axis=1)
        starts = np.flatnonzero((best != _BLANK) & (best != np.concatenate(([-1], best[:-1]))))
        if len(starts) == 0:
            return ReadLine("", 0.0)
        text = "".join(self._keys[best[step]] for step in starts)
        return ReadLine(text.strip(), float(probabilities[starts, best[starts]].mean()))


def line_image(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture, level, 48 px high, its width in proportion: (48, w, 3) uint8."""
    crop = _crop(pixels, box)
    if crop.shape[0] >= crop.shape[1] * _VERTICAL_RATIO:
        crop = np.rot90(crop)
    width = min(_MAX_WIDTH_PX, max(1, math.ceil(crop.shape[1] * _HEIGHT_PX / crop.shape[0])))
    return np.asarray(
        cv2.resize(np.ascontiguousarray(crop), (width, _HEIGHT_PX), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _crop(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if box.angle_deg == 0:
        x0, y0, x1, y1 = box.xyxy
        left, top = max(0, min(width - 1, round(x0))), max(0, min(height - 1, round(y0)))
        return pixels[top : max(top + 1, min(height, round(y1))), left : max(left + 1, min(width, round(x1)))]
    turn = cv2.getRotationMatrix2D((box.center_x, box.center_y), box.angle_deg, 1.0)
    turn[:, 2] += np.array((box.length_px / 2 - box.center_x, box.height_px / 2 - box.center_y))
    size = (max(1, round(box.length_px)), max(1, round(box.height_px)))
    level = cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(level, np.uint8)
