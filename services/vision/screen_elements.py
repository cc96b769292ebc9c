"""The controls of a screen over time: they keep their ids, and carry the text that is read in them."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy, UiElement
from services.vision.gui import Control
from services.vision.ocr import TextLine
from services.vision.scroll import Scroll
from services.vision.tracking import iou

_SAME_PLACE_IOU = 0.5
# The detector is off by so much between two pictures of the same control: no news.
_JITTER_PX = 3.0
# A check box's label begins within so many of its heights.
_LABEL_GAP = 1.6
_LABELLED = ("checkbox",)
# What is read in an icon is a misread drawing.
_WORDLESS = ("slider", "icon")


class ScreenElements:
    """All controls of the picture last seen, from top to bottom."""

    def __init__(self, elements: Sequence[UiElement] = (), next_number: int = 1) -> None:
        self.elements = list(elements)
        self.next_number = next_number

    def update(self, found: Sequence[Control]) -> None:
        """Take what was found in the newest picture; a control that stays where it is keeps id and box."""
        left = list(self.elements)
        taken: list[UiElement] = []
        for control in found:
            old = max(left, key=lambda element: iou(element.box, control.box), default=None)
            if old is None or old.class_name != control.class_name or iou(old.box, control.box) < _SAME_PLACE_IOU:
                number, box = f"e{self.next_number}", control.box
                self.next_number += 1
            else:
                left.remove(old)
                number = old.element_id
                box = old.box if _moved_px(old.box, control.box) <= _JITTER_PX else control.box
            taken.append(UiElement(number, control.class_name, box, control.confidence, "", control.states))
        self.elements = sorted(taken, key=lambda element: (element.box[1], element.box[0]))

    def scroll(self, scroll: Scroll) -> None:
        """Move the controls along that lay in what scrolled."""
        x0, y0, x1, y1 = scroll.source
        dx, dy = scroll.dx_px, scroll.dy_px
        self.elements = [
            replace(element, box=(box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy))
            if x0 <= box[0] and y0 <= box[1] and box[2] <= x1 and box[3] <= y1
            else element
            for element in self.elements
            for box in (element.box,)
        ]

    def with_text(self, lines: Sequence[TextLine]) -> tuple[UiElement, ...]:
        """The controls with the words whose middles lie in them; a check box has the line beside it."""
        if not lines:
            return tuple(self.elements)
        words = [word for line in lines for word in _words(line)]
        middles = np.array([middle for middle, _ in words])
        return tuple(replace(element, text=_text(element, lines, words, middles)) for element in self.elements)


def _text(
    element: UiElement,
    lines: Sequence[TextLine],
    words: Sequence[tuple[tuple[float, float], str]],
    middles: NDArray[np.float64],
) -> str:
    x0, y0, x1, y1 = element.box
    if element.class_name in _WORDLESS:
        return ""
    if element.class_name in _LABELLED:
        for line in lines:
            gap = line.xyxy[0] - x1
            if 0 <= gap <= _LABEL_GAP * (y1 - y0) and line.xyxy[1] <= (y0 + y1) / 2 <= line.xyxy[3]:
                return line.text
        return ""
    inside = (middles >= (x0, y0)).all(axis=1) & (middles <= (x1, y1)).all(axis=1)
    return " ".join(words[index][1] for index in np.flatnonzero(inside).tolist())


def _words(line: TextLine) -> list[tuple[tuple[float, float], str]]:
    """Words with their middles, as if all letters were equally wide."""
    x0, y0, x1, y1 = line.xyxy
    step = (x1 - x0) / max(1, len(line.text))
    return [
        ((x0 + (match.start() + match.end()) / 2 * step, (y0 + y1) / 2), match[0])
        for match in re.finditer(r"\S+", line.text)
    ]


def _moved_px(a: BoxXyxy, b: BoxXyxy) -> float:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
