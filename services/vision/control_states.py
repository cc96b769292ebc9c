"""Which controls of a screen are disabled and which one is focused: each is compared with the others (docs/gui.md)."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.vision.gui import CLASS_NAMES, Control

MODEL = "control-states"
# What is seen around a control, in pixels: focus is drawn outside of it.
RING_PX = 8
_HEIGHT, _WHOLE, _CORNER = 32, 96, 32
VIEW = (_HEIGHT, _WHOLE + 2 * _CORNER)
GIVEN = len(CLASS_NAMES) + 5
# Chosen on 60 drawn pages, 60 windows of Qt and 40 of GTK of other seeds, reported on others (docs/gui.md).
LEAST_DISABLED, LEAST_FOCUSED = 0.89, 0.997
# Pictures are in no such state, and what is less sure than this is too often no control at all.
_WITHOUT = ("icon", "image")
_LEAST_CONFIDENCE = 0.35
_MOST = 128


class ControlStates:
    """Adds disabled and focused to controls. Safe to share between streams."""

    def __init__(self, *, threads: int = 1) -> None:
        """Load the model from the cache. Raises ModelMissingError."""
        self._engine = open_engine(MODEL, "control-states.onnx", threads=threads)

    def add(self, pixels: NDArray[np.uint8], controls: Sequence[Control]) -> list[Control]:
        """(h, w, 3) uint8 BGR and its controls -> the same, those that are surely disabled or focused said to be so."""
        chosen, disabled, focused = self.probabilities(pixels, controls)
        said = list(controls)
        for index, off, lit in zip(chosen, disabled, focused, strict=True):
            new = ("disabled",) * bool(off >= LEAST_DISABLED) + ("focused",) * bool(lit >= LEAST_FOCUSED)
            # the detector may say so itself
            said[index] = replace(said[index], states=tuple(dict.fromkeys((*said[index].states, *new))))
        return said

    def probabilities(
        self, pixels: NDArray[np.uint8], controls: Sequence[Control]
    ) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32]]:
        """(h, w, 3) uint8 BGR -> numbers of those compared, how surely disabled, how surely focused."""
        chosen = compared(controls)
        if not chosen:
            return [], np.zeros(0, np.float32), np.zeros(0, np.float32)
        some = [controls[index] for index in chosen]
        images = views(pixels, [control.box for control in some]).transpose(0, 3, 1, 2).astype(np.float32)
        out = self._engine.run({"views": np.ascontiguousarray(images), "given": given(some)})
        return chosen, out["disabled"], out["focused"]


def compared(controls: Sequence[Control]) -> list[int]:
    """Numbers of the controls that may be in a state, the surest 128 of them."""
    able = [
        index
        for index, control in enumerate(controls)
        if control.class_name not in _WITHOUT and control.confidence >= _LEAST_CONFIDENCE
    ]
    return sorted(able, key=lambda index: -controls[index].confidence)[:_MOST]


def given(controls: Sequence[Control]) -> NDArray[np.float32]:
    """What the detector says of n controls as (n, 15): class, width, height, checked, selected, confidence."""
    rows = np.zeros((len(controls), GIVEN), np.float32)
    for row, control in zip(rows, controls, strict=True):
        x0, y0, x1, y1 = control.box
        row[CLASS_NAMES.index(control.class_name)] = 1
        row[len(CLASS_NAMES) :] = (
            np.log(max(1.0, x1 - x0) / 40),
            np.log(max(1.0, y1 - y0) / 24),
            "checked" in control.states,
            "selected" in control.states,
            control.confidence,
        )
    return rows


def views(pixels: NDArray[np.uint8], boxes: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 BGR and n boxes xyxy -> (n, 32, 160, 3): the whole with its ring, two corners at full size."""
    pad = _CORNER
    padded = cv2.copyMakeBorder(pixels, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    height, width = pixels.shape[:2]
    out = np.empty((len(boxes), *VIEW, 3), np.uint8)
    for view, box in zip(out, boxes, strict=True):
        x0, y0 = min(width - 1, max(0, round(box[0]))), min(height - 1, max(0, round(box[1])))
        x1, y1 = min(width, max(x0 + 1, round(box[2]))), min(height, max(y0 + 1, round(box[3])))
        left, top, right, bottom = x0 + pad - RING_PX, y0 + pad - RING_PX, x1 + pad + RING_PX, y1 + pad + RING_PX
        whole = padded[top:bottom, left:right]
        shrinks = whole.shape[0] > _HEIGHT or whole.shape[1] > _WHOLE
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        view[:, :_WHOLE] = cv2.resize(whole, (_WHOLE, _HEIGHT), interpolation=how)
        view[:, _WHOLE : _WHOLE + _CORNER] = padded[top : top + _CORNER, left : left + _CORNER]
        low, far = max(0, bottom - _CORNER), max(0, right - _CORNER)
        view[:, _WHOLE + _CORNER :] = padded[low : low + _CORNER, far : far + _CORNER]
    return out
