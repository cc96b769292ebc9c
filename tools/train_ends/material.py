"""Ends of lines as the service sees them: icons on drawn pages, and characters there and on lines without icons."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_letters

import numpy as np
from numpy.typing import NDArray

from benchmarks.ocr_peers import TextLine
from benchmarks.reading import Drawing, drawn
from services.vision.line_ends import ends_of, view
from services.vision.line_image import level_line, place_of
from services.vision.ocr import open_detector
from services.vision.scripts import SCRIPTS
from services.vision.text_detection import TextDetector
from tools.train_ocr.lines import read_lines
from tools.train_script.material import text
from tools.train_script.render import line

# A word belongs to the line in which so much of its height lies.
_INSIDE = 0.5
# Of the columns of an end: words cover no more where it is an icon, no less where it is of characters.
_MOST_OF_ICON, _LEAST_OF_WORD = 0.2, 0.6

# Most lines that are read are Latin, and letters and figures do stand at their ends alone.
_MORE_LATIN, _LONE_SHARE = 32, 0.6
_SIGNS = "+-–—=%$€£¥#@&*?!<>|/~§©→•"

End = tuple[NDArray[np.uint8], bool]


def draw(
    out: Path, packages: Path, pages: Sequence[int], lines: Sequence[int], texts: Path | None, *, held_out: bool
) -> None:
    """Write what is seen of each end and whether it is an icon.

    `pages` and `lines` are seeds; `texts` is a folder of lines without icons that `tools.train_ocr` drew.
    """
    detector = open_detector()
    ends: list[End] = []
    for number, page in enumerate(drawn(packages, pages, held_out=held_out), 1):
        ends += _of_page(detector, page)
        if number % 50 == 0:
            print(f"{number} pages, {len(ends)} ends, {sum(is_icon for _, is_icon in ends)} icons", flush=True)
    for file in sorted(texts.glob("*.npz")) if texts else ():
        ends += [
            (view(drawn_line.pixels, end), False)
            for drawn_line in read_lines(file)
            for end in ends_of(drawn_line.pixels)
        ]
    for script, seed in ((script, seed) for seed in lines for script in (*SCRIPTS, *("Latn",) * _MORE_LATIN)):
        name = f"ends-{script}-{seed}-{len(ends)}"
        pixels, said = line(script, name, held_out=held_out, words=_with_lone(script, random.Random(name), held_out))
        ends += [(view(pixels, end), False) for end in ends_of(pixels) if said]
    views, icons = zip(*ends, strict=True)
    np.savez_compressed(out, views=np.stack(views), icons=np.array(icons))
    print(f"{len(ends)} ends, {sum(icons)} icons")


def _with_lone(script: str, chance: random.Random, held_out: bool) -> str:
    """A line that most often has a lone letter, figure or sign at one end or both, now and then far from the rest."""
    parts = [text(script, chance, held_out=held_out)]
    if chance.random() < _LONE_SHARE:
        parts.insert(0, _lone(chance))
    if chance.random() < _LONE_SHARE:
        parts.append(_lone(chance))
    return (" " * chance.choice((1, 1, 1, 2, 4))).join(parts)


def _lone(chance: random.Random) -> str:
    figure, letter = str(chance.randrange(10)), chance.choice(ascii_letters)
    kinds = (figure, figure, letter, letter.upper(), chance.choice(_SIGNS), chance.choice((f"{figure}.", f"{letter})")))
    return chance.choice(
        (*kinds, f"({figure})", figure + str(chance.randrange(10)), letter + chance.choice(ascii_letters))
    )


def _of_page(detector: TextDetector, page: Drawing) -> Iterator[End]:
    for box in detector.detect(page.pixels):
        if box.is_lone or box.angle_deg:
            continue
        left, top, right, bottom = place_of(page.pixels, box)
        cut_out = level_line(page.pixels, box)
        words = [word for word in page.words if _is_inside(word, (left, top, right, bottom))]
        # A turned column, and what is no text at all.
        if cut_out.shape[:2] != (bottom - top, right - left) or not words:
            continue
        for end in ends_of(cut_out):
            covered = np.zeros(end.stop - end.start, bool)
            for _, (x0, _, x1, _) in words:
                covered[max(0, round(x0) - left - end.start) : max(0, round(x1) - left - end.start)] = True
            if not _MOST_OF_ICON < covered.mean() < _LEAST_OF_WORD:
                yield view(cut_out, end), bool(covered.mean() <= _MOST_OF_ICON)


def _is_inside(word: TextLine, place: tuple[int, int, int, int]) -> bool:
    _, (x0, y0, x1, y1) = word
    left, top, right, bottom = place
    return x1 > left and x0 < right and min(y1, bottom) - max(y0, top) > _INSIDE * (y1 - y0)
