"""Chooses the recogniser of each line by its script: PP-OCR, or Tesseract for what PP-OCR does not know."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from services.vision.line_image import line_image, whole_crop
from services.vision.scripts import SCRIPTS, ScriptClassifier, script_of
from services.vision.tesseract import DATA, LEAST_SURE, TesseractReader
from services.vision.text_detection import TextBox
from services.vision.text_recognition import ReadLine, TextRecognizer

# Latin and Chinese lines are nearly all surer than this, lines in other scripts nearly none (docs/scripts.md).
_SURE = 0.96
# Words of these letters alone may be Cyrillic or Greek, however surely they are read.
_LOOK_ALIKES = frozenset("ABCEHIKMNOPTXYZaceiopuvxy0346")
# Least probability of a script for Tesseract to try the line; what it reads must be in that script.
_LEAST = 0.4
# Where it cannot: less sure lines of PP-OCR are no text, nor is what the network is as sure of; and so sure it must
# be for the line to be shown as one that is not read.
_PLAUSIBLE = 0.85
_CERTAIN = 0.8
_LEAST_UNREAD = 0.6
# A picture is PP-OCR's own where it surely read so many letters, and so many times as many as are in lines of which the
# network is certain that they are in another script. There a line read so surely stays, unless the network is certain;
# of words like HOME, which are spelled alike in several scripts, it cannot be.
_OWN_LETTERS, _OWN_RATIO, _OWN_PLAUSIBLE = 20, 4, 0.7
# Two signs of a script that lie side by side; narrower ones are icons more often than words.
_LEAST_ASPECT = 1.2
# A picture is in the script of at least so many lines and letters that were read as surely as this in it.
_PAGE_LINES, _PAGE_LETTERS, _PAGE_SURE = 2, 8, 0.8
# Another doubtful line of it is tried in that script from this probability on; what comes of it must be so sure, and
# not this much less sure than what PP-OCR read.
_PAGE_LEAST, _PAGE_LEAST_READ, _PAGE_MARGIN = 0.005, 0.5, 0.2
_FIRST_IDEOGRAPHIC = "\u2e80"
_JAPANESE = "Jpan"
_SIGNS = "Zyyy"
# In heights of lines: no more than this, 80 ms of a core, is read as a whole. Of more the first piece ends with the
# line that makes it so long, a heading; each other is twice as long as the one before it.
_WHOLE_LENGTH, _FIRST_PIECE_LENGTH = 80.0, 10.0


class ScriptRouter:
    """Reads with PP-OCR first and looks at the script of those lines alone that it may have misread.

    What a line says depends on its own pixels, on the installed data of languages, and, where it could be of several
    scripts, on the one that most of the picture is in.
    """

    def __init__(
        self,
        recognizer: TextRecognizer,
        classifier: ScriptClassifier,
        tesseract: TesseractReader,
        japanese: Callable[[], TextRecognizer],
    ) -> None:
        """`japanese` gives the recogniser that knows kana, which may be `recognizer` itself."""
        self._recognizer = recognizer
        self._classifier = classifier
        self._tesseract = tesseract
        self._japanese = japanese

    def read(
        self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()
    ) -> list[ReadLine]:
        """(h, w, 3) uint8 BGR and boxes in it -> one line for each box; no text and a script where none can read it.

        `around` is what else the picture says.
        """
        lines: dict[int, ReadLine] = {}
        for piece in self.read_in_pieces(pixels, boxes, around):
            lines |= piece
        return [lines[index] for index in range(len(boxes))]

    def read_in_pieces(
        self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()
    ) -> Iterator[Mapping[int, ReadLine]]:
        """The same lines by their numbers: at each step those that are certain by then.

        Doubtful ones come last: the whole picture says which script they are likely in.
        """
        lines: list[ReadLine] = []
        sure: list[int] = []
        doubtful: list[int] = []
        for piece in _pieces(boxes):
            if sure:
                yield {index: lines[index] for index in sure}
            sure = []
            for box, line in zip(piece, self._recognizer.read(pixels, piece), strict=True):
                (doubtful if is_doubtful(line, box) else sure).append(len(lines))
                lines.append(line)
        if doubtful:
            self._settle(pixels, boxes, lines, doubtful, around)
        yield {index: lines[index] for index in (*sure, *doubtful)}

    def read_first(self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox]) -> Mapping[int, ReadLine]:
        """Of many lines the first piece, as far as it is certain; of few, which are soon read, nothing."""
        first, *more = _pieces(boxes)
        if not more:
            return {}
        read = zip(first, self._recognizer.read(pixels, first), strict=True)
        return {index: line for index, (box, line) in enumerate(read) if not is_doubtful(line, box)}

    def _settle(
        self,
        pixels: NDArray[np.uint8],
        boxes: Sequence[TextBox],
        lines: list[ReadLine],
        doubtful: Sequence[int],
        around: Sequence[ReadLine],
    ) -> None:
        """Put right in `lines` the doubtful ones, given by their numbers."""
        chances = self._classifier.probabilities([line_image(pixels, boxes[index]) for index in doubtful])
        is_own = _is_own_picture(lines, dict(zip(doubtful, chances, strict=True)), around)
        for index, each in zip(doubtful, chances, strict=True):
            script, chance = SCRIPTS[int(each.argmax())], float(each.max())
            box = boxes[index]
            if chance < _LEAST:
                continue
            if script == _JAPANESE and self._japanese() is not self._recognizer:
                (lines[index],) = self._japanese().read(pixels, [box])
            elif script == _SIGNS and script_of(lines[index].text) in ("Hani", _JAPANESE):
                lines[index] = ReadLine("", 0.0)
            elif script not in DATA or box.length_px < _LEAST_ASPECT * box.height_px:
                continue
            elif not (is_own and _may_stay(lines[index], chance)):
                lines[index] = self._foreign(pixels, box, script, chance, lines[index])
        if usual := _script_of_picture([*lines, *around]):
            for index, each in zip(doubtful, chances, strict=True):
                if lines[index].script != usual and each[SCRIPTS.index(usual)] >= _PAGE_LEAST:
                    lines[index] = self._as_usual(pixels, boxes[index], usual, lines[index])

    def _as_usual(self, pixels: NDArray[np.uint8], box: TextBox, script: str, line: ReadLine) -> ReadLine:
        """What Tesseract reads in the picture's own script if that is likelier than what the line was read as."""
        if box.length_px < _LEAST_ASPECT * box.height_px:
            return line
        read = self._tesseract.read(whole_crop(pixels, box), script)
        if read is None or read[1] < _PAGE_LEAST_READ or script_of(read[0]) != script:
            return line
        is_foreign = line.script in DATA
        if line.text and not is_foreign and read[1] < line.confidence - _PAGE_MARGIN:
            return line
        return ReadLine(read[0], read[1], script)

    def _foreign(self, pixels: NDArray[np.uint8], box: TextBox, script: str, chance: float, line: ReadLine) -> ReadLine:
        """What Tesseract reads; else the line as it was if that may be right, else no text."""
        read = self._tesseract.read(whole_crop(pixels, box), script)
        if read is not None and read[1] >= LEAST_SURE and script_of(read[0]) == script:
            return ReadLine(read[0], read[1], script)
        if line.confidence >= _PLAUSIBLE and chance < _CERTAIN:
            return line
        return ReadLine("", chance if chance >= _LEAST_UNREAD else 0.0, script)


def _pieces(boxes: Sequence[TextBox]) -> Iterator[Sequence[TextBox]]:
    """Boxes in their order, so few at first that something can be said soon."""
    lengths = [box.length_px / box.height_px for box in boxes]
    first, enough = 0, _FIRST_PIECE_LENGTH if sum(lengths) > _WHOLE_LENGTH else math.inf
    for index in range(1, len(boxes)):
        if sum(lengths[first:index]) >= enough:
            yield boxes[first:index]
            first, enough = index, 2 * enough
    yield boxes[first:]


def _is_own_picture(
    lines: Sequence[ReadLine], chances: Mapping[int, NDArray[np.float32]], around: Sequence[ReadLine]
) -> bool:
    """True where nearly all lines are PP-OCR's to read; `chances` are of the scripts of its doubtful lines."""
    own = sum(len(line.text) for index, line in enumerate(lines) if index not in chances)
    foreign = sum(
        len(lines[index].text)
        for index, each in chances.items()
        if SCRIPTS[int(each.argmax())] in DATA and each.max() >= _CERTAIN
    )
    for line in around:
        if line.script in DATA:
            foreign += len(line.text)
        elif line.confidence >= _SURE:
            own += len(line.text)
    return own >= max(_OWN_LETTERS, _OWN_RATIO * foreign)


def _may_stay(line: ReadLine, chance: float) -> bool:
    """True for a line on a picture of PP-OCR's own that need not be in the script that has this probability."""
    letters = {char for char in line.text if char.isalpha()}
    return line.confidence >= _OWN_PLAUSIBLE and (chance < _CERTAIN or letters <= _LOOK_ALIKES)


def _script_of_picture(lines: Sequence[ReadLine]) -> str:
    """The script, of those that PP-OCR cannot read, that most of the lines are in which were surely read; or ""."""
    sure = [line for line in lines if line.script in DATA and line.confidence >= _PAGE_SURE]
    letters: Counter[str] = Counter()
    for line in sure:
        letters[line.script] += len(line.text)
    if not letters:
        return ""
    script, count = letters.most_common(1)[0]
    is_enough = count >= _PAGE_LETTERS and sum(line.script == script for line in sure) >= _PAGE_LINES
    return script if is_enough else ""


def is_doubtful(line: ReadLine, box: TextBox) -> bool:
    """True for what may be in another script than it was read as."""
    if box.is_lone:
        return False
    letters = {char for char in line.text if char.isalpha()}
    return (
        line.confidence < _SURE
        or (bool(letters) and letters <= _LOOK_ALIKES)
        or any(char >= _FIRST_IDEOGRAPHIC for char in letters)
        # Letters are narrower than high: a line of fewer was passed over.
        or len(line.text) * box.height_px < box.length_px
    )
