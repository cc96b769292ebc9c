"""A picture's text: lines found, read and put in order."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.models import model_file, open_engine
from services.runtime.percept import BoxXyxy
from services.vision.text_detection import TextBox, TextDetector
from services.vision.text_recognition import TextRecognizer, read_keys

TINY = "ppocrv6-tiny"
SMALL = "ppocrv6-small"
# Least mean probability inside a box, from the models' inference.yml.
_BOX_THRESHOLD = {TINY: 0.4, SMALL: 0.45}
# Lines read with less than this mean character probability are icons and texture, not text.
_MIN_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line: what it says, where (xyxy pixels and as found), mean character probability, script."""

    text: str
    xyxy: BoxXyxy
    box: TextBox
    confidence: float
    script: str


class OcrReader:
    """One PP-OCRv6 model pair. Safe to share between streams."""

    def __init__(self, model: str, *, threads: int = 1) -> None:
        """Load `model` from the cache. Raises ModelMissingError."""
        self.detector = TextDetector(open_engine(model, "det.onnx", threads=threads), _BOX_THRESHOLD[model])
        self.recognizer = TextRecognizer(
            open_engine(model, "rec.onnx", threads=threads), read_keys(model_file(model, "keys.txt"))
        )

    def read(self, pixels: NDArray[np.uint8]) -> list[TextLine]:
        """(h, w, 3) uint8 BGR -> its lines in reading order."""
        return in_reading_order(self.read_boxes(pixels, self.detector.detect(pixels)))

    def read_boxes(self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox]) -> list[TextLine]:
        """Read boxes that are known already; those without legible text are left out."""
        height, width = pixels.shape[:2]
        lines = []
        for box, line in zip(boxes, self.recognizer.read(pixels, boxes), strict=True):
            if line.text and line.confidence >= _MIN_CONFIDENCE:
                x0, y0, x1, y1 = box.xyxy
                xyxy = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
                lines.append(TextLine(line.text, xyxy, box, line.confidence, script_of(line.text)))
        return lines


def in_reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Rows from top to bottom, each from left to right; a row holds lines whose middles overlap."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.xyxy[1] + line.xyxy[3], line.xyxy[0])):
        middle = (line.xyxy[1] + line.xyxy[3]) / 2
        first = rows[-1][0].xyxy if rows else (0.0, 0.0, 0.0, 0.0)
        if rows and first[1] < middle < first[3] and line.xyxy[1] < (first[1] + first[3]) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.xyxy[0])]


_SCRIPTS = {
    "LATIN": "Latn",
    "CJK": "Hani",
    "HIRAGANA": "Jpan",
    "KATAKANA": "Jpan",
    "GREEK": "Grek",
    "CYRILLIC": "Cyrl",
    "HANGUL": "Hang",
}


def script_of(text: str) -> str:
    """ISO 15924 code of most letters; Japanese where there is any kana; empty without letters."""
    counts = Counter(
        _SCRIPTS.get(unicodedata.name(char, "").split(" ")[0], "") for char in text if char.isalpha()
    )
    if counts["Jpan"]:
        return "Jpan"
    return counts.most_common(1)[0][0] if counts else ""
