"""Draws pages of lines with headless Chromium and cuts the lines out as the vision service does.

A line is kept where the service's own detector finds it whole, so its box is as loose or tight as in use.
"""

import html
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from benchmarks.screens import HEIGHT_PX, WIDTH_PX, through_codec
from services.vision.line_image import line_image
from services.vision.ocr import open_detector
from services.vision.text_detection import TextBox, TextDetector
from tools.train_gui.render import launched, picture
from tools.train_gui.sources import Source
from tools.train_ocr.lines import Line, write_lines
from tools.train_ocr.material import text

Pixels = NDArray[np.uint8]
_LATIN = (
    "work-sans rubik mulish raleway oswald merriweather playfair-display pt-sans pt-serif source-code-pro fira-code "
    "roboto-mono roboto-condensed dm-sans manrope arimo tinos cousine karla barlow exo-2 asap"
).split()
_HANI = ("noto-serif-sc", "noto-sans-tc", "noto-serif-tc", "lxgw-wenkai")
# Together they have all ideographs that are written.
_COMPLETE = ("noto-serif-sc", "noto-serif-tc")
_NEWER = {"source-code-pro": "5.3.1"}
# None of these fonts is on the pages that benchmarks are drawn with.
FONTS = tuple(Source("npm", f"@fontsource/{name}", _NEWER.get(name, "5.3.0"), "OFL-1.1") for name in (*_LATIN, *_HANI))
# Not every package has a bold cut.
_WEIGHTS = (400, 700)
# Fonts are asked for when the page is laid out, not before.
_FONTS_LOADED = "() => { document.body.getBoundingClientRect(); return document.fonts.ready.then(() => 0) }"
_RECTANGLES = """() => [...document.querySelectorAll('.l')].map(line => {
    const range = document.createRange()
    range.selectNodeContents(line)
    const box = range.getBoundingClientRect()
    return [box.left, box.top, box.right, box.bottom]
})"""
# A box holds a line where each end lies so near to the line's own, in parts of its height.
_CUT, _MORE = 0.08, 0.9


def draw(out: Path, seeds: Iterable[int], fonts: Path, tab: Page, detector: TextDetector) -> int:
    """Write the lines of the pages of these seeds; returns their number."""
    lines = [line for seed in seeds for line in page_lines(seed, fonts, tab, detector)]
    write_lines(out, lines)
    return len(lines)


def draw_all(folder: Path, fonts: Path, *, first: int, pages: int, each: int = 20) -> None:
    """Write `folder`/NUMBER.npz for every `each` pages; what is there already stays."""
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    detector = open_detector(threads=1)
    with sync_playwright() as playwright:
        browser = launched(playwright)
        tab = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        for start in range(first, first + pages, each):
            out = folder / f"{start:07}.npz"
            if not out.exists():
                print(out.name, draw(out, range(start, start + each), fonts, tab, detector), "lines", flush=True)
        browser.close()


def page_lines(seed: int, fonts: Path, tab: Page, detector: TextDetector) -> list[Line]:
    """The lines of one page that the detector finds whole."""
    chance = random.Random(seed)
    said = [text(chance) for _ in range(chance.randint(30, 70))]
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(_page(said, chance, fonts))
        file.flush()
        tab.goto(f"file://{file.name}")
        tab.evaluate(_FONTS_LOADED)
        rectangles = tab.evaluate(_RECTANGLES)
    pixels = _as_sent(picture(tab), chance)
    boxes = detector.detect(pixels)
    found = []
    for line, rectangle in zip(said, rectangles, strict=True):
        box = next((box for box in boxes if _holds(box, rectangle)), None)
        if box is not None:
            found.append(Line(line_image(pixels, box), line))
    return found


def _page(said: list[str], chance: random.Random, fonts: Path) -> str:
    """Columns of lines, each line now and then in a look of its own."""
    families = [chance.choice(_LATIN) for _ in range(3)]
    ideographs = (chance.choice(_HANI), *_COMPLETE)
    wanted = {f"@fontsource/{name}" for name in (*families, *ideographs)}
    folders = [fonts / source.folder / "package" for source in FONTS if source.name in wanted]
    paths = [folder / f"{weight}.css" for folder in folders for weight in _WEIGHTS]
    sheets = "".join(f'<link rel="stylesheet" href="{path.as_uri()}">' for path in paths if path.exists())
    is_dark, size = chance.random() < 0.35, chance.choice((11, 12, 12, 13, 13, 14, 14, 15, 16, 16, 18, 20))

    def look() -> str:
        paper, pen = _colours(is_dark, chance)
        names = ", ".join(f"'{_family(name)}'" for name in (chance.choice(families), *ideographs))
        rules = [f"font-family: {names}"]
        rules += [f"background: {paper}", f"color: {pen}", f"font-weight: {chance.choice((400, 400, 400, 700))}"]
        rules.append(f"font-size: {max(9, round(size * chance.choice((0.85, 1, 1, 1, 1.2, 1.6, 2.2))))}px")
        rules.append(f"padding: {chance.randint(0, 6)}px {chance.randint(0, 20)}px")
        if chance.random() < 0.1:
            rules.append(f"border: 1px solid {pen}")
        if chance.random() < 0.05:
            rules.append("text-decoration: underline")
        if chance.random() < 0.05:
            rules.append("font-style: italic")
        if chance.random() < 0.05:
            rules.append(f"letter-spacing: {chance.choice((-0.02, 0.05, 0.1))}em")
        return "; ".join(rules)

    usual = look()
    rows = "".join(
        f'<div style="{usual if chance.random() < 0.7 else look()}"><span class="l">{html.escape(line)}</span></div>'
        for line in said
    )
    layout = "height: 704px; display: flex; flex-flow: column wrap; align-content: flex-start"
    return (
        f'<!doctype html><meta charset="utf-8">{sheets}<style>* {{ box-sizing: border-box }} '
        f"div {{ white-space: pre }} body {{ margin: 8px; {layout}; gap: {chance.randint(1, 10)}px 24px; {usual} }}"
        f"</style>{rows}"
    )


def _family(name: str) -> str:
    """As the package's style sheet calls it."""
    small = {"pt": "PT", "dm": "DM", "sc": "SC", "tc": "TC", "lxgw": "LXGW", "wenkai": "WenKai"}
    return " ".join(small.get(part, part.title()) for part in name.split("-"))


def _colours(is_dark: bool, chance: random.Random) -> tuple[str, str]:
    """Paper and pen; now and then with little contrast."""
    near, far = (0, 70), (150 if chance.random() < 0.2 else 215, 255)
    if chance.random() < 0.2:
        near = (70, 120)
    dark, light = ([chance.randint(*ends) for _ in range(3)] for ends in (near, far))
    if chance.random() < 0.3:
        dark, light = [0, 0, 0], [255, 255, 255]
    paper, pen = (dark, light) if is_dark ^ (chance.random() < 0.15) else (light, dark)
    return f"rgb({', '.join(map(str, paper))})", f"rgb({', '.join(map(str, pen))})"


def _as_sent(pixels: Pixels, chance: random.Random) -> Pixels:
    """As a viewer has it: as drawn, through a video codec, or as JPEG."""
    kind = chance.random()
    if kind < 0.25:
        return through_codec([pixels], chance.choice(("vp8", "h264")))[-1]
    if kind < 0.45:
        _, coded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, chance.randint(35, 90)))
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    if kind < 0.6:
        blurred = cv2.GaussianBlur(pixels, (0, 0), chance.uniform(0.3, 0.8))
        return np.asarray(blurred, np.uint8)
    return pixels


def _holds(box: TextBox, rectangle: tuple[float, float, float, float]) -> bool:
    """Whether the box is that line's alone, whole, and level."""
    left, top, right, bottom = rectangle
    x0, y0, x1, y1 = box.xyxy
    height = bottom - top
    if box.angle_deg or not (top < (y0 + y1) / 2 < bottom and y1 - y0 < 1.5 * height) or bottom > HEIGHT_PX:
        return False
    before, after = (left - x0) / height, (x1 - right) / height
    return -_CUT <= before <= _MORE and -_CUT <= after <= _MORE
