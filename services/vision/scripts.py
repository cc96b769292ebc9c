"""Which script a line of text is in: by its letters, and by its picture (docs/scripts.md)."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine

MODEL = "line-script"
WINDOW_HEIGHT_PX = 32
WINDOW_WIDTH_PX = 256
_MAX_BATCH = 32
# ISO 15924 code -> first word of the Unicode names of its letters.
_NAMES = {
    "Latn": "LATIN",
    "Cyrl": "CYRILLIC",
    "Grek": "GREEK",
    "Hebr": "HEBREW",
    "Arab": "ARABIC",
    "Deva": "DEVANAGARI",
    "Beng": "BENGALI",
    "Guru": "GURMUKHI",
    "Gujr": "GUJARATI",
    "Orya": "ORIYA",
    "Taml": "TAMIL",
    "Telu": "TELUGU",
    "Knda": "KANNADA",
    "Mlym": "MALAYALAM",
    "Sinh": "SINHALA",
    "Thai": "THAI",
    "Laoo": "LAO",
    "Khmr": "KHMER",
    "Mymr": "MYANMAR",
    "Tibt": "TIBETAN",
    "Ethi": "ETHIOPIC",
    "Geor": "GEORGIAN",
    "Armn": "ARMENIAN",
    "Cher": "CHEROKEE",
    "Hang": "HANGUL",
    "Hani": "CJK",
}
_BY_NAME = {name: code for code, name in _NAMES.items()} | {"HIRAGANA": "Jpan", "KATAKANA": "Jpan"}
# The order of the network's outputs; Zyyy: figures, signs and drawings.
SCRIPTS = (*_NAMES, "Jpan", "Zyyy")


def script_of(text: str) -> str:
    """ISO 15924 code of most letters; Japanese where there is any kana; empty without letters."""
    counts = Counter(_of_letter(char) for char in text if char.isalpha())
    if counts["Jpan"]:
        return "Jpan"
    return counts.most_common(1)[0][0] if counts else ""


@lru_cache(4096)
def _of_letter(char: str) -> str:
    return _BY_NAME.get(unicodedata.name(char, "").split(" ")[0], "")


class ScriptClassifier:
    """Pictures of lines -> how probable each script is. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "line-script.onnx", threads=threads)

    def probabilities(self, lines: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Level lines (h, w, 3) uint8 BGR -> (lines, scripts) in the order of SCRIPTS.

        Of a line longer than a window its beginning and its end are seen.
        """
        windows: list[NDArray[np.float32]] = []
        owners: list[int] = []
        for index, line in enumerate(lines):
            ink = ink_of(line)
            for part in (ink[:, :WINDOW_WIDTH_PX], *((ink[:, -WINDOW_WIDTH_PX:],) * (ink.shape[1] > WINDOW_WIDTH_PX))):
                windows.append(np.pad(part, ((0, 0), (0, WINDOW_WIDTH_PX - part.shape[1]))))
                owners.append(index)
        sums = np.zeros((len(lines), len(SCRIPTS)), np.float32)
        for first in range(0, len(windows), _MAX_BATCH):
            blob = np.stack(windows[first : first + _MAX_BATCH])[:, None]
            np.add.at(sums, owners[first : first + _MAX_BATCH], self._engine.run({"ink": blob})["probabilities"])
        return np.asarray(sums / np.maximum(1e-9, sums.sum(axis=1, keepdims=True)), np.float32)


def ink_of(line: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) uint8 BGR -> (32, w * 32 / h) in [0, 1]: how far from the most usual grey, whatever the colours."""
    height, width = line.shape[:2]
    how = cv2.INTER_AREA if height > WINDOW_HEIGHT_PX else cv2.INTER_LINEAR
    size = (max(1, round(width * WINDOW_HEIGHT_PX / height)), WINDOW_HEIGHT_PX)
    grey = np.asarray(cv2.resize(cv2.cvtColor(line, cv2.COLOR_BGR2GRAY), size, interpolation=how), np.uint8)
    difference = np.asarray(cv2.absdiff(grey, np.full_like(grey, round(float(np.median(grey))))), np.float32)
    return difference / max(1.0, float(difference.max()))
