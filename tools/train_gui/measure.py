"""How well drawn pages are read: average precision at IoU .5, by class and with classes left aside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.vision.gui import CLASS_NAMES, STATE_NAMES, Control, GuiDetector
from tools.train_gui.crops import Truth, read

_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Figures:
    """AP50 with classes left aside, of each class that occurs, and the share of states that are right."""

    agnostic: float
    by_class: dict[str, float]
    states: dict[str, tuple[float, float]]
    pages: int
    elements: int
    cpu_ms: float

    @property
    def mean(self) -> float:
        """mAP50 over the classes that occur."""
        return float(np.mean(list(self.by_class.values())))


def measure(folder: Path, limit: int | None = None) -> Figures:
    """Read every page that was drawn into `folder` with the product's own detector."""
    detector = GuiDetector()
    truths: list[Truth] = []
    found: list[list[Control]] = []
    cpu_s = 0.0
    for path in sorted(folder.glob("*.json"))[:limit]:
        page = read(path.with_suffix(".png"))
        before = time.process_time()
        found.append(detector.detect(page.pixels))
        cpu_s += time.process_time() - before
        truths.append(page.truth)
    by_class = {}
    for index, name in enumerate(CLASS_NAMES):
        wanted = [truth.boxes[truth.classes == index] for truth in truths]
        if sum(map(len, wanted)):
            by_class[name] = average_precision([[c for c in page if c.class_name == name] for page in found], wanted)
    return Figures(
        average_precision(found, [truth.boxes for truth in truths]),
        by_class,
        _states(found, truths),
        len(truths),
        sum(len(truth.classes) for truth in truths),
        1000 * cpu_s / max(1, len(truths)),
    )


def average_precision(found: Sequence[Sequence[Control]], wanted: Sequence[NDArray[np.float32]]) -> float:
    """AP at IoU .5 over all pages, area under the interpolated curve (Everingham et al. 2010, all points)."""
    hits: list[tuple[float, bool]] = []
    for page, boxes in zip(found, wanted, strict=True):
        free = np.ones(len(boxes), bool)
        for control in sorted(page, key=lambda c: -c.confidence):
            overlap = iou(np.array(control.box), boxes)
            best = int(overlap.argmax()) if len(boxes) else -1
            is_hit = best >= 0 and bool(overlap[best] >= _IOU and free[best])
            if is_hit:
                free[best] = False
            hits.append((control.confidence, is_hit))
    total = sum(map(len, wanted))
    if not hits or not total:
        return 0.0
    right = np.cumsum([hit for _, hit in sorted(hits, key=lambda pair: -pair[0])])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    recall = right / total
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _states(found: Sequence[Sequence[Control]], truths: Sequence[Truth]) -> dict[str, tuple[float, float]]:
    """Precision and recall of each state among the elements that were found."""
    counts = {name: [0, 0, 0] for name in STATE_NAMES}  # right, said, there
    for page, truth in zip(found, truths, strict=True):
        for control in page:
            overlap = iou(np.array(control.box), truth.boxes)
            if control.confidence < 0.3 or not len(overlap) or overlap.max() < _IOU:
                continue
            there = truth.states[int(overlap.argmax())]
            for name, value in zip(STATE_NAMES, there, strict=True):
                said = name in control.states
                counts[name][0] += said and bool(value)
                counts[name][1] += said
                counts[name][2] += bool(value)
    return {name: (right / max(1, said), right / max(1, true)) for name, (right, said, true) in counts.items()}


def iou(box: NDArray[Any], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of one box (4,) with each of (n, 4), xyxy."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    shared: NDArray[np.float64] = both / (areas - both + 1e-9)
    return shared
