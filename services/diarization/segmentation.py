"""Who speaks when within a few seconds, by segmentation-3.0 (arXiv 2310.13025).

The model's speakers are local to one window. As a block grows, ever longer windows from its start are joined into
*tracks* by the speech that they agree on, and vote on every frame, which mends some of what one alone confuses.
Between these, a look at the last seconds tells the newest.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engines.engine import Engine

# Frame i of the graph sees samples [270 i, 270 i + 991); the middle 270 of them are taken as its own.
FRAME_STEP = 270
FRAME_FIELD = 991
# Two windows speak of one person when they agree on this share of the frames that either gives to it.
MIN_AGREEMENT = 0.3
_FIRST = (FRAME_FIELD - FRAME_STEP) // 2
# Powerset classes: nobody, each of three speakers, each pair.
_POWERSET = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.bool_)


def active_speakers(engine: Engine, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """A window's speech: (t,) float32 at 16 kHz, t >= 991 -> (frames, 3 local speakers) bool."""
    log_probs = engine.run({"waveform": samples[None, None]})["log_probs"][0]
    active: NDArray[np.bool_] = _POWERSET[log_probs.argmax(axis=1)]
    return active


@dataclass(slots=True)
class Tracks:
    """Votes of the windows of one block."""

    # (frames, tracks): windows that hear the track in the frame.
    votes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    # (frames,): windows that saw the frame, and how many speakers they heard there, all together.
    seen: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    heard: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def copy(self) -> "Tracks":
        """The same votes, to try one more window on."""
        return Tracks(self.votes.copy(), self.seen.copy(), self.heard.copy())

    def add(self, active: NDArray[np.bool_], first: int = 0) -> None:
        """Let a window vote: (frames, local speakers) bool, from the block's frame `first` on.

        It ends where those before end, or later.
        """
        grow = first + len(active) - len(self.seen)
        self.votes = np.pad(self.votes, ((0, grow), (0, 0)))
        self.seen = np.pad(self.seen, (0, grow))
        self.heard = np.pad(self.heard, (0, grow))
        local = active[:, active.any(axis=0)]
        # What this window says is compared with what those so far say on average.
        seen = self.seen[first:]
        share = self.votes[first:] / np.maximum(seen, 1)[:, None]
        common = local.T @ share
        either = local[seen > 0].sum(axis=0)[:, None] + share.sum(axis=0)[None, :] - common
        agreement = common / np.maximum(either, 1)
        columns = [-1] * local.shape[1]
        for row, column in zip(*linear_sum_assignment(-agreement), strict=True):
            if agreement[row, column] >= MIN_AGREEMENT:
                columns[row] = column
        for row, column in enumerate(columns):
            if column < 0:
                self.votes = np.pad(self.votes, ((0, 0), (0, 1)))
                columns[row] = self.votes.shape[1] - 1
        self.votes[first:, columns] += local
        self.seen[first:] += 1
        self.heard[first:] += local.sum(axis=1)

    def active(self) -> NDArray[np.bool_]:
        """The decision: (frames, tracks) bool; as many at once as the windows heard on average."""
        at_once = np.rint(self.heard / np.maximum(self.seen, 1)).astype(np.int32)
        rank = np.argsort(np.argsort(-self.votes, axis=1, kind="stable"), axis=1, kind="stable")
        decided: NDArray[np.bool_] = (rank < at_once[:, None]) & (self.votes > 0)
        return decided


def frame_start(frame: int) -> int:
    """First sample of a frame's own 270, counted from the start of the window; frame 0 begins at 0."""
    return _FIRST + frame * FRAME_STEP if frame > 0 else 0


def frame_at(sample: int) -> int:
    """The frame that owns a sample of the window."""
    return max(0, (sample - _FIRST) // FRAME_STEP)


def frames_at(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """`frame_at` of many samples."""
    return np.maximum(0, (samples - _FIRST) // FRAME_STEP)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open spans in which a (frames,) mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
