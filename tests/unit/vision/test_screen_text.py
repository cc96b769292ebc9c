"""Lines of a screen read again: what of the live reading stays."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.vision.ocr import TextLine
from services.vision.screen_text import ScreenLine, ScreenText
from services.vision.text_detection import TextBox
from services.vision.text_recognition import ReadLine

SHAPE = (60, 400, 3)
BOX = TextBox(200, 30, 360, 24, 0.0, 1.0)


class Reads:
    """A recogniser that reads one text in every box."""

    def __init__(self, text: str) -> None:
        self._read = ReadLine(text, 0.97)

    def read(self, pixels: object, boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()) -> list[ReadLine]:
        return [self._read for _ in boxes]


@pytest.mark.parametrize(
    ("live", "accurate", "kept"),
    [
        ("def make(one two)", "defmake(one two)", "def make(one two)"),
        ("hewent", "he went", "he went"),
        ("he wont", "hewent", "hewent"),
    ],
    ids=["a space that only the live reading has", "one that only the accurate reading has", "other letters"],
)
def test_spaces_of_the_live_reading_stay_where_the_letters_are_the_same(live: str, accurate: str, kept: str) -> None:
    line = TextLine.of(BOX, ReadLine(live, 0.9), SHAPE)
    text = ScreenText([ScreenLine("r1", line)], 2)
    text.read_again(np.zeros(SHAPE, np.uint8), lambda: Reads(accurate))
    assert [(line.line_id, line.line.text, line.is_accurate) for line in text.lines] == [("r1", kept, True)]
    assert text.lines[0].line.confidence == 0.97
