"""Drawings with states -> the controls that our detector finds in them, what they look like, and what is true of them."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.vision.control_states import compared, given, views
from services.vision.gui import Control, GuiDetector
from tools.train_gui.measure import iou
from tools.train_gui.render import LEAST_DISABLED_PX, LEAST_FOCUSED_PX

UNKNOWN, NOBODY, NOT_FOUND = -2, -1, -3


@dataclass(frozen=True, slots=True)
class ControlSet:
    """The controls of one drawing.

    views (n, 32, 160, 3) uint8, given (n, 15); disabled (n,) is 1, 0, or -1 where nothing can be told; focused is the
    number of the focused control or UNKNOWN, NOBODY, NOT_FOUND; `visible` counts the page's disabled and focused ones.
    """

    page: str
    classes: list[str]
    views: NDArray[np.uint8]
    given: NDArray[np.float32]
    disabled: NDArray[np.int8]
    focused: int
    visible: tuple[int, int]


def load(folder: Path) -> list[ControlSet]:
    """The sets of a folder's drawings; they are kept beside it."""
    kept = folder.with_suffix(".pickle")
    if not kept.exists():
        kept.write_bytes(pickle.dumps(sets(folder), protocol=5))
    made: list[ControlSet] = pickle.loads(kept.read_bytes())
    return made


def sets(folder: Path) -> list[ControlSet]:
    """Sets of all drawings in `folder` in which a control is found."""
    detector = GuiDetector()
    made = []
    for path in sorted(folder.glob("*-[0-9].json")):
        rows = json.loads(path.read_text())
        picture = cv2.imread(str(path.with_suffix(".png")))
        if picture is None or not rows:
            continue
        pixels = picture.astype(np.uint8, copy=False)
        truth = np.array([row[1:5] for row in rows], np.float32)
        found = detector.detect(pixels)
        found = [found[index] for index in compared(found)]
        boxes = np.array([control.box for control in found], np.float32).reshape(-1, 4)
        made.append(_set(path.stem, pixels, rows, found, _matches(boxes, truth), _near(boxes, truth)))
    return [each for each in made if len(each.disabled)]


def _set(
    page: str,
    pixels: NDArray[np.uint8],
    rows: list[Any],
    controls: list[Control],
    matches: list[int],
    near: list[list[int]],
) -> ControlSet:
    labels = [_disabled(row) for row in rows]
    disabled = np.zeros(len(controls), np.int8)
    for index, (match, others) in enumerate(zip(matches, near, strict=True)):
        # A box that is no control's but lies on one in a state is neither right nor wrong.
        disabled[index] = labels[match] if match >= 0 else -1 if any(labels[other] for other in others) else 0
    focus = _focused(rows)
    focused = focus if focus < 0 else matches.index(focus) if focus in matches else NOT_FOUND
    return ControlSet(
        page,
        [control.class_name for control in controls],
        views(pixels, [control.box for control in controls]),
        given(controls),
        disabled,
        focused,
        (labels.count(1), int(focus >= 0)),
    )


def _disabled(row: Any) -> int:
    name, x0, y0, x1, y1, _, seen = row
    if seen is None or name in ("icon", "image"):
        return -1 if seen is None else 0
    if seen["disabled"]:
        return 1 if seen["inside"] >= LEAST_DISABLED_PX else -1
    # What changed though nothing was done to it holds something that was.
    return -1 if not seen["focused"] and seen["inside"] > max(40, 0.1 * (x1 - x0) * (y1 - y0)) else 0


def _focused(rows: list[Any]) -> int:
    for index, row in enumerate(rows):
        if row[6] and row[6]["focused"]:
            around = row[6]["around"]
            return index if around >= LEAST_FOCUSED_PX else NOBODY if around < LEAST_DISABLED_PX else UNKNOWN
    return NOBODY


def _matches(boxes: NDArray[np.float32], truth: NDArray[np.float32]) -> list[int]:
    """For each box the number of the true one that it stands for, -1 for none; surest first."""
    free, matches = np.ones(len(truth), bool), []
    for box in boxes:
        overlap = iou(box, truth) * free
        best = int(overlap.argmax())
        matches.append(best if overlap[best] >= 0.5 else -1)
        if matches[-1] >= 0:
            free[best] = False
    return matches


def _near(boxes: NDArray[np.float32], truth: NDArray[np.float32]) -> list[list[int]]:
    return [np.flatnonzero(iou(box, truth) > 0.15).tolist() for box in boxes]
