"""Draws lines of text as a screen, a compressed video or a scan shows them, each from its seed."""

import random
from functools import cache, lru_cache
from itertools import accumulate, groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from services.vision.scripts import SCRIPTS, WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX, ink_of
from tools.train_script.fonts import font
from tools.train_script.material import text

Pixels = NDArray[np.uint8]
# Draws what the script's own font has no letters for: names and figures.
_OTHER = (Path("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf"), 0)


@lru_cache(maxsize=400)
def _open(path: Path, face: int, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px, index=face, layout_engine=ImageFont.Layout.RAQM)


@cache
def _has(path: Path, face: int, char: str) -> bool:
    """False where the font draws the same for the character as for one that does not exist."""
    sample = _open(path, face, 20)
    return char.isspace() or bytes(sample.getmask(char)) != bytes(sample.getmask("\U0010fffe"))


def line(script: str, seed: str, *, held_out: bool = False, words: str = "") -> tuple[Pixels, str]:
    """(h, w, 3) uint8 BGR of one line and what it says, `words` if given; "Zyyy" may be a drawing that says nothing."""
    chance = random.Random(seed)
    dark = [chance.randint(0, 110) for _ in range(3)]
    light = [chance.randint(170, 255) for _ in range(3)]
    if chance.random() < 0.4:
        dark, light = [0] * 3, [255] * 3
    paper, pen = (dark, light) if chance.random() < 0.35 else (light, dark)
    size_px = chance.randint(11, 44)
    if script == "Zyyy" and not words and chance.random() < 0.4:
        pixels, said = _drawing(size_px, paper, pen, chance), ""
    else:
        said = words or text(script, chance, held_out=held_out)
        path, face = font(script, chance, held_out=held_out)
        own, other = _open(path, face, size_px), _open(*_OTHER, size_px)
        runs = [("".join(run), own if known else other) for known, run in groupby(said, lambda c: _has(path, face, c))]
        boxes = [pen_font.getbbox(run, anchor="ls") for run, pen_font in runs]
        starts = [0.0, *accumulate(pen_font.getlength(run) for run, pen_font in runs)]
        x0 = min(round(start + box[0]) for start, box in zip(starts, boxes, strict=False))
        x1 = max(round(start + box[2]) for start, box in zip(starts, boxes, strict=False))
        y0, y1 = round(min(box[1] for box in boxes)), round(max(box[3] for box in boxes))
        # A detector's box: some paper around, seldom a letter cut.
        above, below = (round(size_px * chance.uniform(0.0, 0.35)) for _ in range(2))
        before, after = (round(size_px * chance.uniform(0.0, 0.5)) for _ in range(2))
        image = Image.new("RGB", (max(8, x1 - x0 + before + after), max(8, y1 - y0 + above + below)), tuple(paper))
        canvas = ImageDraw.Draw(image)
        for start, (run, drawn_with) in zip(starts, runs, strict=False):
            canvas.text((before - x0 + start, above - y0), run, fill=tuple(pen), font=drawn_with, anchor="ls")
        pixels = np.asarray(image, np.uint8)[..., ::-1].copy()
    if chance.random() < 0.3:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), chance.uniform(0.3, 0.03 * size_px + 0.3)), np.uint8)
    if chance.random() < 0.3:
        noise = np.random.default_rng(chance.getrandbits(32)).normal(0, chance.uniform(1, 10), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if chance.random() < 0.4:
        _, coded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, chance.randint(25, 90)))
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        pixels = np.asarray(decoded, np.uint8)
    return pixels, said


def _drawing(size_px: int, paper: list[int], pen: list[int], chance: random.Random) -> Pixels:
    """An icon: boxes, rules, circles, as they are read for ideographs."""
    pixels = np.full((size_px, round(size_px * chance.uniform(0.8, 1.4)), 3), paper[::-1], np.uint8)
    height, width = pixels.shape[:2]
    colour = tuple(pen[::-1])

    def spot() -> tuple[int, int]:
        return chance.randint(1, width - 2), chance.randint(1, height - 2)

    for _ in range(chance.randint(1, 5)):
        thick = chance.choice((1, 1, 2, 3))
        kind = chance.randint(0, 4)
        if kind == 0:
            cv2.rectangle(pixels, spot(), spot(), colour, chance.choice((thick, cv2.FILLED)))
        elif kind == 1:
            cv2.line(pixels, spot(), spot(), colour, thick, cv2.LINE_AA)
        elif kind == 2:
            cv2.circle(pixels, spot(), chance.randint(2, max(3, size_px // 2)), colour, thick, cv2.LINE_AA)
        elif kind == 3:
            y = chance.randint(1, height - 2)
            cv2.line(pixels, (2, y), (width - 3, y), colour, thick)
        else:
            corners = np.array([spot() for _ in range(chance.randint(3, 6))], np.int32)
            cv2.polylines(pixels, [corners], chance.random() < 0.7, colour, thick, cv2.LINE_AA)
    return pixels


def draw(out: Path, each: int, *, first: int = 0, held_out: bool = False) -> int:
    """Write `each` lines of every script as the network sees them; returns their number."""
    windows = np.zeros((each * len(SCRIPTS), WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX), np.uint8)
    labels = np.zeros(len(windows), np.int64)
    for index in range(len(windows)):
        label, number = index % len(SCRIPTS), first + index // len(SCRIPTS)
        pixels, _ = line(SCRIPTS[label], f"{SCRIPTS[label]}-{number}", held_out=held_out)
        inked = ink_of(pixels)
        spare = inked.shape[1] - WINDOW_WIDTH_PX
        left = random.Random(index).randint(0, spare) if spare > 0 else 0
        part = inked[:, left : left + WINDOW_WIDTH_PX]
        windows[index, :, : part.shape[1]] = np.rint(part * 255)
        labels[index] = label
    np.savez(out, windows=windows, labels=labels)
    return len(windows)
