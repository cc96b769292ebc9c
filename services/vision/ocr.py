"""A picture's text: lines found, read and put in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Protocol, TypeVar

from engines.models import model_file, open_engine
from services.runtime.percept import BoxXyxy
from services.vision.line_ends import LineEnds
from services.vision.scripts import script_of
from services.vision.tesseract import DATA, LEAST_SURE
from services.vision.text_detection import TextBox, TextDetector
from services.vision.text_recognition import SHAPES, ReadLine, TextRecognizer, read_keys

TINY = "ppocrv6-tiny"
SMALL = "ppocrv6-small"
# Least mean probability inside a box, from the model's inference.yml.
_BOX_THRESHOLD = 0.4
_SHORT = 2
_MIN_CONFIDENCE = 0.5
_MIN_CONFIDENCE_SHORT = 0.7
_LONE_CONFIDENCE = 0.9
_IDEOGRAPHIC = frozenset({"Hani", "Jpan"})


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line: what it says, where (xyxy pixels and as found), mean character probability, script."""

    text: str
    xyxy: BoxXyxy
    box: TextBox
    confidence: float
    script: str

    @classmethod
    def of(cls, box: TextBox, read: ReadLine, shape: tuple[int, ...]) -> "TextLine":
        """A line read in a picture of this shape (h, w, ...), its box clipped to the picture."""
        height, width = shape[:2]
        x0, y0, x1, y1 = box.xyxy
        xyxy = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
        return cls(read.text, xyxy, box, read.confidence, read.script or script_of(read.text))

    @property
    def is_foreign(self) -> bool:
        """True for a line that is not PP-OCR's to read."""
        return self.script in DATA

    @property
    def is_legible(self) -> bool:
        """False for icons and texture, which are read with little confidence, the more so when short.

        A line without text is one in a script that cannot be read here. A lone shape is a checkbox, a radio
        button or a bullet, however surely it is read. What the detector did not take for text is so where it is surely
        a figure.
        """
        if self.box.is_lone:
            return self.text.isdecimal() and self.confidence >= _LONE_CONFIDENCE
        if len(self.text) == 1 and self.text in SHAPES:
            return False
        if 0 < len(self.text) <= _SHORT:
            least = _MIN_CONFIDENCE_SHORT
        else:
            least = LEAST_SURE if self.is_foreign else _MIN_CONFIDENCE
        return bool(self.text or self.script) and self.confidence >= least


class Placed(Protocol):
    """Something with a place in a picture."""

    @property
    def xyxy(self) -> BoxXyxy:
        """The upright rectangle around it, in pixels."""


PlacedLine = TypeVar("PlacedLine", bound=Placed)


def open_detector(*, threads: int = 1) -> TextDetector:
    """The line finder of both qualities. Raises ModelMissingError."""
    return TextDetector(open_engine(TINY, "det.onnx", threads=threads), _BOX_THRESHOLD)


def open_recognizer(model: str, ends: LineEnds | None = None, *, threads: int = 1) -> TextRecognizer:
    """The recogniser of TINY or SMALL; `ends` cuts icons off its lines. Raises ModelMissingError."""
    engine = open_engine(model, "rec.onnx", threads=threads)
    return TextRecognizer(engine, read_keys(model_file(model, "keys.txt")), ends)


def in_reading_order(lines: Sequence[PlacedLine]) -> list[PlacedLine]:
    """Rows from top to bottom, each from left to right; a row holds lines whose middles overlap."""
    rows: list[list[PlacedLine]] = []
    for line in sorted(lines, key=lambda line: (line.xyxy[1] + line.xyxy[3], line.xyxy[0])):
        middle = (line.xyxy[1] + line.xyxy[3]) / 2
        first = rows[-1][0].xyxy if rows else (0.0, 0.0, 0.0, 0.0)
        if rows and first[1] < middle < first[3] and line.xyxy[1] < (first[1] + first[3]) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.xyxy[0])]


def are_shown(lines: Sequence[TextLine]) -> list[bool]:
    """The legible lines of a screen, without lone ideographs on one in other scripts: icons are read as such."""
    legible = [line.is_legible for line in lines]
    scripts = {line.script for line in compress(lines, legible)}
    if scripts <= _IDEOGRAPHIC or any(line.script in _IDEOGRAPHIC and len(line.text) > _SHORT for line in lines):
        return legible
    return [ok and line.script not in _IDEOGRAPHIC for ok, line in zip(legible, lines, strict=True)]
