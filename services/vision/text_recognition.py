"""Reads lines of text: CTC (Graves et al. 2006) over PP-OCRv6's recogniser."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine, Reduced, Workplace
from engines.kernels import heads
from services.vision.text_detection import TextBox

LINE_HEIGHT_PX = 48
_WIDTH_STEP_PX = 64
_MAX_WIDTH_PX = 3200  # the models' own declared limit; longer lines are squeezed
_MAX_BATCH = 8
# A box at least this much taller than long holds a column of text, read turned by 90 degrees.
_VERTICAL_RATIO = 1.5
_BLANK = 0
# Where the recogniser is unsure of a space, the gap in the picture decides: widths at 48 px line height.
_LIKELY_SPACE = 0.25
_POSSIBLE_SPACE = 0.1
_MIN_GAP_PX = 6
_WIDE_GAP_PX = 16
# A gap this large a part of the line's known spaces is one too, though not before these, which fixed-width
# fonts set far from the letter before them.
_SPACE_RATIO = 0.8
# An ideograph next to at least two other letters, read with less than this probability, is an icon.
_SURE = 0.9
_MIN_LETTERS = 3
SHAPES = frozenset(map(chr, range(0x25A0, 0x2600)))  # Unicode's block of geometric shapes
# What a lone "I" is taken for; what stands alone before words; less likely than so, that and another are icons.
_LIKE_I, _ALONE = frozenset("|l"), frozenset("AI|l")
_SURE_ALONE, _SURE_APART = 0.5, 0.97
# What reaches out of a line's box above and below is not its own where it is thinner than this part of its height, or
# fills no more than this of the rectangle around it. So far above and below is looked.
_THIN = 0.25
_OUTSIDE_PX = 3
# A text cursor is thinner than this part of its height, and ends so much lower than letters do.
_THINNEST = 0.125
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

    def __init__(self, engine: Engine, keys: Sequence[str]) -> None:
        self._engine = engine
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
        for index, box in enumerate(boxes):
            line = line_image(pixels, box)
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
                or (gap >= wide_enough and _is_spaced(left) and _is_spaced(right) and right not in _CLOSING)
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


def ink(line: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w, 3) uint8 -> (h, w): what differs from the most usual colour by 30 % of the largest difference."""
    blue, green, red = cv2.split(cv2.absdiff(line, np.array((*_median(line), 0.0))))
    difference = cv2.max(cv2.max(blue, green), red)
    return np.asarray(difference > 0.3 * int(difference.max()))


def _median(line: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Of each channel of (h, w, 3) uint8, in whole numbers; by counting, ten times faster than by sorting."""
    middle = (line.shape[0] * line.shape[1] - 1) / 2
    found = []
    for channel in range(3):
        below = cv2.calcHist([line], [channel], None, [256], [0, 256]).cumsum()
        lower, upper = below.searchsorted((math.floor(middle), math.ceil(middle)), side="right")
        found.append(float((lower + upper) // 2))
    return found[0], found[1], found[2]


def line_image(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture, level, 48 px high, its width in proportion: (48, w, 3) uint8."""
    crop = _upright(_crop(pixels, box))
    width = min(_MAX_WIDTH_PX, max(1, math.ceil(crop.shape[1] * LINE_HEIGHT_PX / crop.shape[0])))
    # Linear, not cubic: ringing around strokes costs accuracy (measured: 4.2 against 4.4 % CER, Lanczos 6.2).
    size = (width, LINE_HEIGHT_PX)
    return np.asarray(cv2.resize(np.ascontiguousarray(crop), size, interpolation=cv2.INTER_LINEAR), np.uint8)


def padded_width(line: NDArray[np.uint8]) -> int:
    """How wide the recogniser sees a line (48, w, 3)."""
    return -(-int(line.shape[1]) // _WIDTH_STEP_PX) * _WIDTH_STEP_PX


def as_input(lines: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Lines (48, w, 3) uint8 BGR -> what is read, (b, 3, 48, w'): -1 to 1, padded as the widest is."""
    images = np.zeros((len(lines), 3, LINE_HEIGHT_PX, max(map(padded_width, lines))), np.float32)
    for image, line in zip(images, lines, strict=True):
        image[:, :, : line.shape[1]] = line.transpose(2, 0, 1) / np.float32(127.5) - 1
    return images


def whole_crop(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    """One line cut out of the picture as it is, level: marks far above and below its letters stay."""
    if box.angle_deg:
        return _upright(_crop(pixels, box))
    left, top, right, bottom = _inside(pixels, box)
    return _upright(pixels[top:bottom, left:right])


def _upright(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A column of text is turned by 90 degrees."""
    return np.rot90(crop) if crop.shape[0] >= crop.shape[1] * _VERTICAL_RATIO else crop


def _inside(pixels: NDArray[np.uint8], box: TextBox) -> tuple[int, int, int, int]:
    """The box in whole pixels of the picture, at least one each way."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = box.xyxy
    left, top = max(0, min(width - 1, round(x0))), max(0, min(height - 1, round(y0)))
    return left, top, max(left + 1, min(width, round(x1))), max(top + 1, min(height, round(y1)))


def _crop(pixels: NDArray[np.uint8], box: TextBox) -> NDArray[np.uint8]:
    if box.angle_deg == 0:
        left, top, right, bottom = _inside(pixels, box)
        left, right = _to_ends_of_ink(pixels[top:bottom], left, right)
        frames = _frames(pixels[:, left:right], top, bottom)
        return _without_neighbours(pixels[top:bottom, left:right], frames)
    turn = cv2.getRotationMatrix2D((box.center_x, box.center_y), box.angle_deg, 1.0)
    turn[:, 2] += np.array((box.length_px / 2 - box.center_x, box.height_px / 2 - box.center_y))
    size = (max(1, round(box.length_px)), max(1, round(box.height_px)))
    level = cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(level, np.uint8)


def _to_ends_of_ink(band: NDArray[np.uint8], left: int, right: int) -> tuple[int, int]:
    """Where the ends of a line lie whose first or last character the detector cut through."""
    height, width = band.shape[:2]
    first, last = max(0, left - height), min(width, right + height)
    columns = np.asarray(ink(band[:, first:last]).any(axis=0))
    before, after = columns[: left - first + 1][::-1], columns[right - first - 1 :]
    # Ink without an end in reach is a frame or a picture, not a character.
    if not before.all():
        cut = int(before.argmin())
        left = max(first, left - cut - 1) if cut else left
    if not after.all():
        cut = int(after.argmin())
        right = min(last, right + cut + 1) if cut else right
    return left, right


def _frames(column: NDArray[np.uint8], top: int, bottom: int) -> NDArray[np.bool_]:
    """Borders of buttons and rules of tables beside a line, which are read as brackets: (bottom - top, w).

    They go on above and below it, or lie around it; `column` (h, w, 3) uint8 BGR is the picture where the line is.
    """
    first, last = max(0, top - _OUTSIDE_PX), min(column.shape[0], bottom + _OUTSIDE_PX)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink(column[first:last]).astype(np.uint8), connectivity=8)
    x, y, w, h, area = stats.T
    is_hollow = area <= _THIN * w * h
    goes_on = (first + y < top) & (first + y + h > bottom)
    is_frame = goes_on & (is_hollow | (w <= _THIN * h))
    if len(stats) > 2:  # the background, a frame, and something in it
        wide, high = (x + w)[1:].max() - x[1:].min(), (y + h)[1:].max() - y[1:].min()
        is_frame |= is_hollow & (w == wide) & (h == high)
    is_frame[0] = False  # label 0 is the background
    return np.asarray(is_frame[labels[top - first : bottom - first]])


def _is_caret(stats: NDArray[Any]) -> NDArray[np.bool_]:
    """Which component is the text cursor behind the last letter; `stats` are OpenCV's, one row for each component.

    It is a thin stroke that begins above all others and ends as low as the lowest, well below where most end.
    """
    x, y, w, h, _ = stats.T
    last = int(x.argmax())
    others = np.arange(len(stats)) != last
    if not others.any():
        return np.asarray(others)
    end, ends = int(y[last] + h[last]), (y + h)[others]
    is_long = y[last] < y[others].min() and end >= ends.max() and end - np.median(ends) >= _THINNEST * h[last]
    return np.asarray(~others & bool(is_long and w[last] <= _THINNEST * h[last]))


def _without_neighbours(crop: NDArray[np.uint8], frames: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Paint over `frames` (h, w), what reaches in from other lines, what is left of frames at the edges, a cursor."""
    height, width = crop.shape[:2]
    mask = ink(crop) & ~frames
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    x, y, w, h = (stats[:, column] for column in (0, 1, 2, 3))
    x1, y1 = x + w, y + h
    flat = (w >= 2.5 * h) & (w >= 0.25 * height)
    above = (y1 <= 0.35 * height) & ((y == 0) | flat & (y1 <= 0.2 * height))
    below = (y1 == height) & (y >= 0.65 * height) & ~flat  # an underscore is the line's own
    frame = ((x == 0) | (x1 == width)) & (h == height) & (w <= 0.2 * height)
    foreign = above | below | frame
    foreign[0] = True  # label 0 is the background
    own = np.flatnonzero(~foreign)
    if own.size:
        foreign[own] = _is_caret(stats[own])
    foreign[0] = False
    painted = foreign[labels] | frames
    if not painted.any():
        return crop
    # One pixel more all around takes the smoothed edges along.
    grown = cv2.dilate(painted.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    kept = np.isin(labels, np.flatnonzero(~foreign)[1:])
    cleaned = crop.copy()
    cleaned[grown & ~kept] = _median(crop)
    return cleaned
