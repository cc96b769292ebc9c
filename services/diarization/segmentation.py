"""Who speaks when inside one window, by segmentation-3.0 (arXiv 2310.13025): speakers are local to the window."""

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine

# Frame i of the graph sees samples [270 i, 270 i + 991); the middle 270 of them are taken as its own.
FRAME_STEP = 270
FRAME_FIELD = 991
_FIRST = (FRAME_FIELD - FRAME_STEP) // 2
# Powerset classes: nobody, each of three speakers, each pair.
_POWERSET = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.bool_
)


def active_speakers(engine: Engine, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Windows's speech: (t,) float32 at 16 kHz, t >= 991 -> (frames, 3 local speakers) bool."""
    log_probs = engine.run({"waveform": samples[None, None]})["log_probs"][0]
    active: NDArray[np.bool_] = _POWERSET[log_probs.argmax(axis=1)]
    return active


def frame_start(frame: int) -> int:
    """First sample of a frame's own 270, counted from the start of the window; frame 0 begins at 0."""
    return _FIRST + frame * FRAME_STEP if frame > 0 else 0


def frame_at(sample: int) -> int:
    """The frame that owns a sample of the window."""
    return max(0, (sample - _FIRST) // FRAME_STEP)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open spans in which a (frames,) mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
