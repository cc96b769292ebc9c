"""How pages are read, letter by letter: `python -m benchmarks.reading --packages DIR [--pages N]`.

Pages of the CSS framework that nothing was trained on (`python -m tools.train_gui fetch --packages DIR`), 1280 x 720,
drawn by Chromium. Words that are clipped, covered or nearly as bright as what is behind them are taken off the page
first, and so is what fields hold: what is left can be read, and the page tells what it is and where it stands.
Character error: letters to change, to add and to take away (Levenshtein) in the lines that were read, and letters of
words where nothing was read, by the letters of all words. A line read where no word stands is not counted.
The table goes to results/vision-reading.md; rapidocr, faster-paddle and tesseract are beside, where they are installed.
"""

import argparse
import re
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from benchmarks import ocr_peers
from benchmarks.machine import describe_machine
from benchmarks.ocr_peers import TextLine
from benchmarks.vision import timed
from engines.fetch import fetch
from services.runtime.percept import ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.service import VisionExpert, new_expert
from tools.train_gui.page import page
from tools.train_gui.render import HELD_OUT_SIZE, launched, picture

RESULTS = Path(__file__).parent / "results"
_WORDS = (Path(__file__).parent / "reading.js").read_text()
# The first page; those below were looked at while the reader was made.
SEED = 910_000
# Words whose brightest and darkest pixel are nearer are not there to be read (contrast as WCAG 2.2 has it).
LEAST_CONTRAST = 1.5
_BETWEEN_IDEOGRAPHS = re.compile(r"(?<=[\u3040-\u30ff\u3400-\u9fff]) (?=[\u3040-\u30ff\u3400-\u9fff])")
# A word belongs to the line that holds so much of it.
_INSIDE = 0.5


@dataclass(frozen=True, slots=True)
class Drawing:
    """A page (h, w, 3) uint8 BGR and every word on it with its box."""

    pixels: NDArray[np.uint8]
    words: list[TextLine]


@dataclass
class Score:
    """Letters: of all words, wrong where something was read, and of words where nothing was; CPU milliseconds."""

    pages: int = 0
    letters: int = 0
    wrong: int = 0
    unread: int = 0
    cpu_ms: float = 0.0

    @property
    def error(self) -> float:
        """The character error."""
        return (self.wrong + self.unread) / max(1, self.letters)


def drawn(packages: Path, seeds: Sequence[int], *, held_out: bool = True) -> Iterator[Drawing]:
    """The pages of these seeds, with a framework and icons that are trained on unless `held_out`.

    Raises FileNotFoundError where Chromium or a package is missing.
    """
    from playwright.sync_api import sync_playwright

    width, height = HELD_OUT_SIZE
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        tab = launched(playwright).new_page(viewport={"width": width, "height": height})
        source = Path(folder) / "page.html"
        for seed in seeds:
            source.write_text(page(seed, packages, held_out=held_out, size=HELD_OUT_SIZE).html)
            tab.goto(source.as_uri(), timeout=20_000)
            tab.evaluate("() => document.fonts.ready.then(() => null)")
            words = tab.evaluate(_WORDS, [])
            pixels = picture(tab)
            if faint := [i for i, (_, *box) in enumerate(words) if contrast(pixels, box) < LEAST_CONTRAST]:
                words = tab.evaluate(_WORDS, faint)
                pixels = picture(tab)
            # Where the cover of one word changes the style of another, that may be faint now.
            seen = [(text, tuple(box)) for text, *box in words if contrast(pixels, box) >= LEAST_CONTRAST]
            yield Drawing(pixels, seen)


def contrast(pixels: NDArray[np.uint8], box: Sequence[float]) -> float:
    """Contrast ratio of the brightest to the darkest pixel in a box xyxy."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    inside = pixels[max(0, y0) : y1, max(0, x0) : x1].reshape(-1, 3) / 255
    if not len(inside):
        return 1.0
    linear = np.where(inside <= 0.04045, inside / 12.92, ((inside + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.0722, 0.7152, 0.2126)
    return float((luminance.max() + 0.05) / (luminance.min() + 0.05))


def score(words: Sequence[TextLine], lines: Sequence[TextLine], into: Score) -> None:
    """Add what `lines` say of a page that shows `words`."""
    of_line: dict[int, list[TextLine]] = defaultdict(list)
    for text, box in words:
        into.letters += len(plain(text))
        shares = [_share(box, other) for _, other in lines]
        if shares and max(shares) >= _INSIDE:
            of_line[int(np.argmax(shares))].append((text, box))
        else:
            into.unread += len(plain(text))
    for number, inside in of_line.items():
        # The page has its words in the order in which they are read, also those from right to left.
        if not any(map(_is_right_to_left, (text for text, _ in inside))):
            inside.sort(key=lambda word: word[1][0])
        into.wrong += Levenshtein.distance(plain(" ".join(text for text, _ in inside)), plain(lines[number][0]))


def plain(text: str) -> str:
    """The text with one form of each letter and single spaces, without those between ideographs."""
    return _BETWEEN_IDEOGRAPHS.sub("", " ".join(unicodedata.normalize("NFKC", text).split()))


def _share(box: Sequence[float], other: Sequence[float]) -> float:
    """How much of a box lies in another."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height) / max(1e-9, (box[2] - box[0]) * (box[3] - box[1]))


def _is_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)


def measure(expert: VisionExpert, drawings: Iterator[Drawing]) -> dict[str, dict[str, Score]]:
    """Scores by script of the pages ("Latin", "others") and by reader."""
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    peers = ocr_peers.installed()
    for drawing in drawings:
        group = "Latin" if all(_is_latin(text) for text, _ in drawing.words) else "others"
        stage = expert.open_stage(StageConfig(tasks=("ocr",)))
        first, first_ms = timed(lambda: stage.push_frame(Frame(drawing.pixels, 0)))  # noqa: B023
        second, second_ms = timed(stage.flush)
        readings = {"Sensorium, first reading": (_lines(first), first_ms)}
        readings["and the second one"] = (_lines(second or first), first_ms + second_ms)
        for name, peer in peers.items():
            start_s = ocr_peers.cpu_s()
            lines = peer(drawing.pixels)
            readings[name] = (lines, 1000 * (ocr_peers.cpu_s() - start_s))
        for name, (lines, spent_ms) in readings.items():
            one = scores[group][name]
            score(drawing.words, lines, one)
            one.pages += 1
            one.cpu_ms += spent_ms
    return scores


def _lines(state: ScreenState | None) -> list[TextLine]:
    return [(region.text, region.box) for region in state.regions] if state is not None else []


def _is_latin(text: str) -> bool:
    return all(not letter.isalpha() or unicodedata.name(letter, "").startswith("LATIN") for letter in plain(text))


def as_markdown(scores: dict[str, dict[str, Score]]) -> str:
    """The table."""
    machine, pages = describe_machine(), sum(max(one.pages for one in readers.values()) for readers in scores.values())
    lines = [
        "# Pages, letter by letter",
        "",
        f"`python -m benchmarks.reading --packages DIR --pages {pages}`; {machine['date']}, commit "
        f"{machine['commit'] or 'unknown'}, {machine['processor']}, one thread. Pages of a CSS framework and icons "
        "that nothing was trained on, 1280 x 720; what is clipped, covered or fainter than a contrast of "
        f"{LEAST_CONTRAST} was taken off them. Percent of the characters; processor milliseconds a page.",
        "",
        "| reader | script | pages | characters | character error | wrong where read | not read | CPU ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for script, readers in sorted(scores.items()):
        for name, one in readers.items():
            shares = (one.error, one.wrong / one.letters, one.unread / one.letters)
            cells = " | ".join(f"{100 * share:.2f} %" for share in shares)
            lines.append(
                f"| {name} | {script} | {one.pages} | {one.letters} | {cells} | {one.cpu_ms / one.pages:.0f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Draw, read, write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=60)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    fetch(["ppocrv6-tiny", "ppocrv6-small", "line-script", "line-ends"])
    expert = new_expert(threads=1)
    expert.open_stage(StageConfig(tasks=("ocr",)))
    table = as_markdown(measure(expert, drawn(options.packages, range(SEED, SEED + options.pages))))
    (RESULTS / "vision-reading.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
