"""Training pictures: crops of drawn pages at random sizes, with the faults of video and of other people's screens."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from services.vision.gui import CLASS_NAMES, STATE_NAMES

# Parts of a page's own size; the service looks at one between them (services/vision/gui.py).
_LEAST_SCALE, _MOST_SCALE = 0.62, 1.1
_LEAST_SEEN = 0.5
_LEAST_SIDE_PX = 4


@dataclass(frozen=True, slots=True)
class Truth:
    """Elements of one picture: boxes (n, 4) float32 xyxy, classes (n,) int64, states (n, 4) float32 of 0 and 1."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    states: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page as the renderer left it: pixels (h, w, 3) uint8 BGR."""

    pixels: NDArray[np.uint8]
    truth: Truth


def read(picture: Path) -> Drawn:
    """A drawn page; its boxes lie beside it as JSON. Raises FileNotFoundError, ValueError."""
    pixels = cv2.imread(str(picture))
    if pixels is None:
        raise FileNotFoundError(f"{picture} is no picture")
    entries = json.loads(picture.with_suffix(".json").read_text())
    boxes = np.array([entry[1:5] for entry in entries], np.float32).reshape(-1, 4)
    classes = np.array([CLASS_NAMES.index(entry[0]) for entry in entries], np.int64)
    states = np.array([[state in entry[5] for state in STATE_NAMES] for entry in entries], np.float32).reshape(
        -1, len(STATE_NAMES)
    )
    return Drawn(pixels.astype(np.uint8, copy=False), Truth(boxes, classes, states))


def crop(page: Drawn, rng: random.Random, width: int, height: int) -> Drawn:
    """A piece of the page, `width` x `height` px after scaling, around an element of a class chosen by chance."""
    scale = float(np.exp(rng.uniform(np.log(_LEAST_SCALE), np.log(_MOST_SCALE))))
    stretch = rng.uniform(0.92, 1.08)
    sx, sy = scale * stretch, scale / stretch
    truth = page.truth
    page_h, page_w = page.pixels.shape[:2]
    at_x, at_y = rng.uniform(0, page_w), rng.uniform(0, page_h)
    if len(truth.classes) and rng.random() < 0.85:
        kind = rng.choice(sorted(set(truth.classes.tolist())))
        x0, y0, x1, y1 = truth.boxes[rng.choice(np.flatnonzero(truth.classes == kind).tolist())]
        at_x = (x0 + x1) / 2 + rng.uniform(-0.35, 0.35) * width / sx
        at_y = (y0 + y1) / 2 + rng.uniform(-0.35, 0.35) * height / sy
    # Edges of the screen stay edges where they can: nothing lies beyond them.
    left = min(max(0.0, at_x - width / sx / 2), max(0.0, page_w - width / sx))
    top = min(max(0.0, at_y - height / sy / 2), max(0.0, page_h - height / sy))
    x0, y0 = int(left), int(top)
    x1, y1 = min(page_w, round(left + width / sx) + 1), min(page_h, round(top + height / sy) + 1)
    part = page.pixels[y0:y1, x0:x1]
    how = cv2.INTER_AREA if scale < 0.8 and rng.random() < 0.7 else cv2.INTER_LINEAR
    scaled = cv2.resize(part, (max(1, round(part.shape[1] * sx)), max(1, round(part.shape[0] * sy))), interpolation=how)
    pixels = np.full((height, width, 3), 114, np.uint8)
    pixels[: scaled.shape[0], : scaled.shape[1]] = scaled[:height, :width]
    ratio = np.array([scaled.shape[1] / part.shape[1], scaled.shape[0] / part.shape[0]] * 2, np.float32)
    moved = (truth.boxes - np.array([x0, y0, x0, y0], np.float32)) * ratio
    cut = moved.clip(0, np.array([min(width, scaled.shape[1]), min(height, scaled.shape[0])] * 2, np.float32))
    keep = (_area(cut) > _LEAST_SEEN * _area(moved)) & (
        (cut[:, 2:] - cut[:, :2]).min(1, initial=np.inf) >= _LEAST_SIDE_PX
    )
    return Drawn(_spoil(pixels, rng), Truth(cut[keep], truth.classes[keep], truth.states[keep]))


def _area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    width, height = (boxes[:, 2:] - boxes[:, :2]).clip(0, None).T
    area: NDArray[np.float32] = width * height
    return area


def _spoil(pixels: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    spoilt = pixels
    if rng.random() < 0.15:
        spoilt = spoilt[..., rng.sample((0, 1, 2), 3)]
    if rng.random() < 0.12:
        spoilt = 255 - spoilt
    if rng.random() < 0.4:
        gain, offset = rng.uniform(0.7, 1.15), rng.uniform(-25, 25)
        spoilt = np.clip(spoilt.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)
    if rng.random() < 0.08:
        spoilt = cv2.GaussianBlur(spoilt, (0, 0), rng.uniform(0.4, 1.0)).astype(np.uint8)
    if rng.random() < 0.35:
        _, coded = cv2.imencode(".jpg", spoilt, [cv2.IMWRITE_JPEG_QUALITY, rng.randrange(25, 95)])
        spoilt = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(spoilt)


class Pool:
    """Some pages held decoded; crops come from all of them, and a few are replaced with each batch."""

    def __init__(self, folder: Path, rng: random.Random, size: int = 160) -> None:
        """Pages that are drawn into `folder` later are found too."""
        self._folder, self._rng, self._size = folder, rng, size
        self._waiting: list[Path] = []
        self._held: list[Drawn] = []

    def batch(self, count: int, width: int, height: int) -> Sequence[Drawn]:
        """`count` crops. Raises FileNotFoundError where nothing was drawn."""
        for _ in range(1 if len(self._held) >= self._size else 4):
            page = self._next()
            if len(self._held) < self._size:
                self._held.append(page)
            else:
                self._held[self._rng.randrange(self._size)] = page
        return [crop(self._rng.choice(self._held), self._rng, width, height) for _ in range(count)]

    def _next(self) -> Drawn:
        if not self._waiting:
            self._waiting = sorted(path.with_suffix(".png") for path in self._folder.glob("*.json"))
            self._rng.shuffle(self._waiting)
        if not self._waiting:
            raise FileNotFoundError(f"{self._folder} holds no pages: run `python -m tools.train_gui render`")
        return read(self._waiting.pop())
