"""What controls without words look like: icons and buttons -> MiniLM's space, so that words find them afterwards.

The recogniser of text sees nothing in them, so without this a session knows no more than their class. The vectors are
those of the icon encoder (docs/open-vocabulary.md); a picture is encoded when it appears and when it looks otherwise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.runtime import sentence
from services.runtime.percept import ScreenState, TokenSpan
from services.vision.icons import IconEncoder
from services.vision.open_vocabulary import Looks

_PICTURES = ("icon", "button")
# Less alike than this it shows something else now.
_SAME_PICTURE = 0.9


class VisionAdapter:
    """State of one stream: what was told of which control."""

    def __init__(self, icons: Callable[[], IconEncoder]) -> None:
        self._icons = icons
        self._told: dict[str, NDArray[np.float32]] = {}

    def spans(self, state: ScreenState, pixels: NDArray[np.uint8]) -> list[TokenSpan]:
        """One span for each control without words that is new in (h, w, 3) uint8 BGR or looks otherwise."""
        looks = Looks(self._icons, pixels)
        shown = [each for each in state.elements if each.class_name in _PICTURES and not each.text]
        told, self._told = self._told, {}
        spans = []
        for element in shown:
            vector = looks.vector(element.box)
            before = told.get(element.element_id)
            if before is not None and vector @ before >= _SAME_PICTURE:
                self._told[element.element_id] = before
                continue
            self._told[element.element_id] = vector
            if vector.any():  # nothing is drawn on an even colour
                spans.append(
                    TokenSpan(
                        "screen",
                        element.element_id,
                        state.start_sample,
                        state.start_sample,
                        sentence.space_id(),
                        len(vector),
                        vector.astype("<f2").tobytes(),
                        element.box,
                        state.frame_id,
                    )
                )
        return spans
