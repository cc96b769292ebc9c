"""Fits the probabilities of services/vision/open_vocabulary.py on drawn pages, and measures them on others."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy, ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.open_vocabulary import LEAST_SCORES, Candidate, Looks, score_of
from services.vision.service import VisionExpert, new_expert
from services.vision.tracking import iou

_SORTS = ("text", "element", "icon", "class")
_WORDED = ("button", "link", "tab", "menu item")
_NAMED = (*_WORDED, "checkbox", "select", "input")
_EACH = 5  # queries of every sort for a page


@dataclass(frozen=True, slots=True)
class Truth:
    """One control as it was drawn."""

    kind: str
    box: BoxXyxy
    words: str
    icon: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate of one query, and whether it is what was asked for."""

    query: str
    candidate: Candidate
    is_right: bool


def calibrate(pages: Path) -> None:
    """Print the logistic weights that the pages of this folder give."""
    judged, _ = judge(pages)
    for sort in _SORTS:
        mine = [one for one in judged if one.candidate.weights == sort]
        right = np.array([one.is_right for one in mine], float)
        weights = fit(np.array([one.candidate.features for one in mine]), right)
        shown = ", ".join(f"{weight:.2f}" for weight in weights)
        print(f'"{sort}": ({shown}),  # {len(mine)} candidates, {right.sum():.0f} right')


def measure(pages: Path) -> None:
    """Print how good answers and their probabilities are on the pages of this folder, for each sort of evidence."""
    judged, wanted = judge(pages)
    for sort in _SORTS:
        mine = [one for one in judged if one.candidate.weights == sort]
        scores = np.array([score_of(one.candidate) for one in mine])
        right = np.array([one.is_right for one in mine], float)
        given = scores >= LEAST_SCORES[sort]
        bins = np.minimum((scores * 10).astype(int), 9)
        gap = sum(abs((scores - right)[bins == part].mean()) * (bins == part).mean() for part in np.unique(bins))
        print(
            f"{sort}: candidates {len(mine)}, asked for {wanted[sort]}, answers {given.sum()}, "
            f"right {right[given].sum():.0f}; "
            f"calibration error {gap:.3f}, mean score of answers {scores[given].mean():.3f}"
        )


def judge(pages: Path) -> tuple[list[Judged], dict[str, int]]:
    """Every candidate of the queries made for these pages, and how many places of each sort were asked for."""
    cv2.setNumThreads(1)
    expert = new_expert()
    vocabulary = expert.vocabulary()
    files = sorted(pages.glob("*.json"))
    truths = {path: _truths(path) for path in files}
    elsewhere = [truth for each in truths.values() for truth in each]
    judged: list[Judged] = []
    wanted = dict.fromkeys(_SORTS, 0)
    for path in files:
        pixels = np.asarray(cv2.imread(str(path.with_suffix(".png"))), np.uint8)
        state = _state(expert, pixels)
        looks = Looks(expert.icons, pixels)
        for query, right in _queries(truths[path], elsewhere, random.Random(path.stem)):
            for candidate in vocabulary.candidates(vocabulary.understand(query), state, looks):
                if candidate.source == "text" and not any(_holds(truth.box, candidate.box) for truth in truths[path]):
                    continue  # running text, of which the page's truth says nothing
                is_right = any(_is_there(candidate, truth.box) for truth in right)
                judged.append(Judged(query, candidate, is_right))
            sort = "text" if query.startswith("text ") else "icon" if right and not right[0].words else "element"
            wanted["class" if query in _NAMED else sort] += len(right)
    return judged, wanted


def _truths(path: Path) -> list[Truth]:
    return [Truth(kind, (a, b, c, d), words, icon) for kind, a, b, c, d, words, icon in json.loads(path.read_text())]


def _queries(
    here: Sequence[Truth], elsewhere: Sequence[Truth], chance: random.Random
) -> Iterator[tuple[str, list[Truth]]]:
    """Queries, of which some ask for what the page does not show, with the controls that are right."""
    for source in (here, elsewhere):
        worded = [t for t in source if t.kind in _WORDED and t.words.isascii() and 2 < len(t.words) <= 40]
        for one in _some(worded, chance):
            words = one.words.lower()
            yield f"the {words} {one.kind}", [t for t in here if (t.kind, t.words.lower()) == (one.kind, words)]
            yield f'text "{words}"', [t for t in here if words in t.words.lower()]
        drawn = [t for t in source if t.icon and not t.words and t.kind in ("icon", "button")]
        for one in _some(drawn, chance):
            same = [t for t in here if not t.words and sorted(t.icon.split()) == sorted(one.icon.split())]
            yield f"{one.icon} {one.kind}", [t for t in same if one.kind == "button" or t.kind == "icon"]
    for kind in _NAMED:
        yield kind, [t for t in here if t.kind == kind]


def _some(truths: Sequence[Truth], chance: random.Random) -> list[Truth]:
    return chance.sample(list(truths), min(_EACH, len(truths)))


def _state(expert: VisionExpert, pixels: NDArray[np.uint8]) -> ScreenState:
    stage = expert.open_stage(StageConfig(tasks=("ocr", "gui"), options={"quality": "fast"}))
    return next(percept for percept in stage.push_frame(Frame(pixels, 0)) if isinstance(percept, ScreenState))


def _is_there(candidate: Candidate, box: BoxXyxy) -> bool:
    return _holds(box, candidate.box) if candidate.source == "text" else iou(candidate.box, box) >= 0.5


def _holds(outer: BoxXyxy, inner: BoxXyxy) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def fit(features: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method, lightly held to zero: bias first, then one weight for each column."""
    columns = np.column_stack([np.ones(len(features)), features])
    weights = np.zeros(columns.shape[1])
    hold = np.diag([1e-6, *[0.1] * features.shape[1]])
    for _ in range(50):
        p = 1 / (1 + np.exp(-columns @ weights))
        gradient = columns.T @ (right - p) - hold @ weights
        weights += np.linalg.solve((columns * (p * (1 - p))[:, None]).T @ columns + hold, gradient)
    return weights
