"""Reads lines of text: CTC (Graves et al. 2006) over PP-OCRv6's recogniser."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine, Reduced, Workplace
from engines.kernels import heads
from services.vision.line_ends import LineEnds
from services.vision.line_image import LINE_HEIGHT_PX, ink, level_line, scaled
from services.vision.text_detection import TextBox

_WIDTH_STEP_PX = 64
_MAX_BATCH = 8
_BLANK = 0
# Where the recogniser is unsure of a space, the gap in the picture decides: widths at 48 px line height.
_LIKELY_SPACE = 0.25
_POSSIBLE_SPACE = 0.1
_UNLIKELY_SPACE = 0.0001
_MIN_GAP_PX = 6
_WIDE_GAP_PX = 16
# A gap this large a part of the line's known spaces is one too where the network does not rule it out, as it does
# between the strokes of "ll", though not before these, which fixed-width fonts set far from the letter before them.
_SPACE_RATIO = 0.8
# An ideograph next to at least two other letters, read with less than this probability, is an icon.
_SURE = 0.9
_MIN_LETTERS = 3
SHAPES = frozenset(map(chr, range(0x25A0, 0x2600)))  # Unicode's block of geometric shapes
# What a lone "I" is taken for; what stands alone before words; less likely than so, that and another are icons.
_LIKE_I, _ALONE = frozenset("|l"), frozenset("AI|l")
_SURE_ALONE, _SURE_APART = 0.5, 0.97
_CLOSING = frozenset(".,:;!?)]}'\"")


@dataclass(frozen=True, slots=True)
class ReadLine:
    """What a line says, the mean probability of its characters, its script where that was seen and not read."""

    text: str
    confidence: float
    script: str = ""


class LineReader(Protocol):
    """Boxes of a picture -> what each line says."""

    def read(
        self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()
    ) -> list[ReadLine]:
        """(h, w, 3) uint8 BGR and boxes in it -> one line for each box; `around` is what else the picture says."""

    def read_in_pieces(
        self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()
    ) -> Iterator[Mapping[int, ReadLine]]:
        """The same lines by their numbers: at each step those that are certain by then."""

    def read_first(self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox]) -> Mapping[int, ReadLine]:
        """Of many lines the first piece, as far as it is certain; of few, which are soon read, nothing."""


def read_keys(path: Path) -> list[str]:
    """The recogniser's classes after blank: one a line, then the space."""
    return [*path.read_bytes().decode().replace("\r\n", "\n").removesuffix("\n").split("\n"), " "]


@dataclass(frozen=True, slots=True)
class BestPath(Reduced):
    """Of probabilities (b, steps, classes), by step: `best`, the likeliest class, `sure`, its probability, and `space`,
    that of the class `space`; each (b, steps).
    """

    outputs: tuple[str]
    space: int

    def on_host(self, values: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """By numpy."""
        (probabilities,) = values
        best = probabilities.argmax(axis=2)
        sure = np.take_along_axis(probabilities, best[..., None], axis=2)[..., 0]
        return {"best": best.astype(np.int32), "sure": sure, "space": probabilities[..., self.space]}

    def on_card(self, values: Sequence[Any], workplace: Workplace) -> dict[str, Any]:
        """By the kernels; the probabilities of the other classes, 28 or 75 kB a step, stay."""
        (probabilities,) = values
        lines, steps, classes = probabilities.shape
        best = workplace.empty("best", (lines, steps), "int32")
        sure, space = (workplace.empty(name, (lines, steps), "float32") for name in ("sure", "space"))
        rows = lines * steps
        scores = probabilities.reshape((rows, classes))
        workplace.run(heads.top_k(scores, sure.reshape((rows, 1)), best.reshape((rows, 1))))
        workplace.run(heads.column(scores, self.space, space.reshape((rows,))))
        return {"best": best, "sure": sure, "space": space}


class TextRecognizer:
    """Boxes of a picture -> their text."""

    def __init__(self, engine: Engine, keys: Sequence[str], ends: LineEnds | None = None) -> None:
        """`ends` cuts icons off the lines."""
        self._engine = engine
        self._ends = ends
        self._input = engine.inputs[0].name
        self._keys = ["", *keys]
        self._path = BestPath((engine.outputs[0].name,), len(keys))

    def read(
        self, pixels: NDArray[np.uint8], boxes: Sequence[TextBox], around: Sequence[ReadLine] = ()
    ) -> list[ReadLine]:
        """(h, w, 3) uint8 BGR and boxes in it -> one line for each box.

        A line's padding depends on its own width alone: neither its neighbours nor what is `around` change its text.
        """
        buckets: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {}
        cut_out = [level_line(pixels, box) for box in boxes]
        for index, line in enumerate(map(scaled, self._ends.without_icons(cut_out) if self._ends else cut_out)):
            width = padded_width(line)
            buckets.setdefault(width, []).append((index, line))
        lines = [ReadLine("", 0.0)] * len(boxes)
        for width, members in buckets.items():
            for first in range(0, len(members), _MAX_BATCH):
                batch = members[first : first + _MAX_BATCH]
                path = self._engine.run({self._input: as_input([line for _, line in batch])}, [self._path])
                for row, (index, line) in enumerate(batch):
                    lines[index] = self._decode({name: values[row] for name, values in path.items()}, line, width)
        return lines

    def _decode(self, path: Mapping[str, NDArray[Any]], line: NDArray[np.uint8], width: int) -> ReadLine:
        """`BestPath` of a line over `width` pixels -> its text without repeats and blanks, spaces mended."""
        best, sure = path["best"], path["sure"]
        # Spans of a few steps: lists are faster than arrays.
        classes, space = best.tolist(), len(self._keys) - 1
        starts = np.flatnonzero((best != _BLANK) & (best != np.concatenate(([-1], best[:-1]))))
        if len(starts) == 0:
            return ReadLine("", 0.0)
        confidence = float(sure[starts].mean())
        chars = [(step, self._keys[classes[step]]) for step in starts.tolist() if classes[step] != space]
        if not chars:
            return ReadLine("", 0.0)
        px_per_step = width / len(best)
        middles = [((a + 0.5) * px_per_step, (b + 0.5) * px_per_step) for (a, _), (b, _) in _pairs(chars)]
        gaps = _gaps(line, middles)
        has_space = [space in classes[a:b] for (a, _), (b, _) in _pairs(chars)]
        known = [gap for gap, is_space in zip(gaps, has_space, strict=True) if is_space]
        wide_enough = max(_MIN_GAP_PX, _SPACE_RATIO * float(np.median(known))) if known else math.inf
        chances = path["space"].tolist()
        text = [chars[0][1]]
        for (a, left), (b, right), gap, is_space in zip(chars, chars[1:], gaps, has_space, strict=False):
            chance = max(chances[a : b + 1])
            missed = (
                (chance > _LIKELY_SPACE and gap >= _MIN_GAP_PX)
                or (chance > _POSSIBLE_SPACE and gap >= _WIDE_GAP_PX)
                or (
                    gap >= wide_enough
                    and chance > _UNLIKELY_SPACE
                    and _is_spaced(left)
                    and _is_spaced(right)
                    and right not in _CLOSING
                )
            )
            # The room inside empty brackets is often taken for a space.
            is_empty = (left, right) == ("(", ")") and gap < _WIDE_GAP_PX
            text.append(f" {right}" if (is_space or missed) and not is_empty else right)
        return ReadLine(without_icon("".join(text), [float(sure[at]) for at, _ in chars]), confidence)


def without_icon(text: str, probabilities: Sequence[float]) -> str:
    """Drop a shape or one unsure character that stands apart before a label: icons are read as such.

    An ideograph before or behind a Latin word need not stand apart; a sure one is set apart. `probabilities` are those
    of all characters but the spaces.
    """
    # Figures, "I" and "A" do stand alone before words, and small ones are seldom read surely.
    least = _SURE_ALONE if text[0].isdecimal() or text[0] in _ALONE else _SURE_APART
    rest, is_unsure = text[1:].lstrip(), text[1:2] == " " and probabilities[0] < least
    if (is_unsure or text[0] in SHAPES) and _is_label(rest):
        text, probabilities = rest, probabilities[1:]
    elif text[0] in _LIKE_I and text[1:2] == " " and rest[:1].islower() and probabilities[0] < _SURE:
        text = f"I {rest}"
    ideographs = [index for index, char in enumerate(text) if not _is_spaced(char)]
    if len(ideographs) != 1 or sum(char.isalpha() for char in text) < _MIN_LETTERS:
        return text
    index = ideographs[0]
    first, middle, last = text[:index].strip(), text[index], text[index + 1 :].strip()
    if first and last:
        return text
    is_sure = probabilities[0 if last else -1] >= _SURE
    return " ".join(part for part in (first, middle if is_sure else "", last) if part)


def _is_label(text: str) -> bool:
    """Whether it begins as labels do, not as what goes on in small letters ("I agree") or with a sign ("x = 1")."""
    return text[:1].isalnum() and not text[0].islower() and sum(char.isalnum() for char in text) >= _MIN_LETTERS - 1


def _pairs(chars: Sequence[tuple[int, str]]) -> list[tuple[tuple[int, str], tuple[int, str]]]:
    return list(zip(chars, chars[1:], strict=False))


def _is_spaced(char: str) -> bool:
    """True for a character of a script that puts spaces between words."""
    return unicodedata.east_asian_width(char) not in "WF"


def _gaps(line: NDArray[np.uint8], spans: Sequence[tuple[float, float]]) -> list[int]:
    """The longest run of columns without ink within each span of x, in pixels."""
    empty = np.asarray(~ink(line).any(axis=0))
    end = len(empty) - int(empty[::-1].argmin())  # behind the last ink there is no gap, only margin
    # Length of the run of empty columns that ends at each column.
    index = np.arange(len(empty))
    run = index - np.maximum.accumulate(np.where(empty, -1, index))
    gaps = []
    for x0, x1 in spans:
        first, last = min(int(x0), end), min(int(x1), end)
        inside = np.minimum(run[first:last], np.arange(1, last - first + 1))
        gaps.append(int(inside.max(initial=0)))
    return gaps


def padded_width(line: NDArray[np.uint8]) -> int:
    """How wide the recogniser sees a line (48, w, 3)."""
    return -(-int(line.shape[1]) // _WIDTH_STEP_PX) * _WIDTH_STEP_PX


def as_input(lines: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Lines (48, w, 3) uint8 BGR -> what is read, (b, 3, 48, w'): -1 to 1, padded as the widest is."""
    images = np.zeros((len(lines), 3, LINE_HEIGHT_PX, max(map(padded_width, lines))), np.float32)
    for image, line in zip(images, lines, strict=True):
        image[:, :, : line.shape[1]] = line.transpose(2, 0, 1) / np.float32(127.5) - 1
    return images
