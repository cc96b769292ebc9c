"""Pictures of a screen in, what the screen shows out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import Checkpoint, Percept, ScreenState, TextRegion
from services.runtime.stage import Frame, MediaError, StageConfig
from services.vision.ocr import TINY, OcrReader

TASKS = ("ocr", "gui", "objects")
# fast: the live model alone; accurate: every line is read again by the larger model when the
# screen rests or the stream ends.
QUALITIES = ("fast", "accurate")
_NO_GUI = "no model for GUI elements is part of this version"


class Models(Protocol):
    """Where a stage gets its models from."""

    def reader(self, model: str) -> OcrReader:
        """The OCR reader with these weights."""


class VisionStage:
    """State of one stream of pictures."""

    def __init__(self, models: Models, tasks: Sequence[str], quality: str, config: StageConfig) -> None:
        self._models = models
        self._tasks = tuple(tasks)

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        """Refused: vision takes frames."""
        raise MediaError("vision takes frames, not audio")

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        """Take the next picture."""
        height, width = frame.pixels.shape[:2]
        lines = self._models.reader(TINY).read(frame.pixels) if "ocr" in self._tasks else []
        regions = tuple(
            TextRegion(f"r{number:06d}", line.text, line.xyxy, line.confidence, line.script)
            for number, line in enumerate(lines, 1)
        )
        state = ScreenState(frame.start_sample, width, height, frame.frame_id, regions)
        if "gui" in self._tasks:
            state.unavailable["gui"] = _NO_GUI
        return [state, Checkpoint(frame.start_sample)]

    def flush(self) -> Sequence[Percept]:
        """End of media."""
        return []
