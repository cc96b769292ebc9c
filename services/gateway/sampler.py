"""Chooses which pictures of a shared screen are worth reading. Pure: no clock, no I/O."""

import numpy as np
from numpy.typing import NDArray

# Mean grey of one cell of the thumbnail; one typed word moves its cell by more, codec noise by less.
CHANGED_LEVELS = 10
# Video codecs sharpen a still picture over a second or two, so it is sent again when it has been
# still for so long: the last one is the one that reads best.
SETTLED_AFTER_S = (0.5, 2.0)


# A picture that keeps changing (a film, scrolling) is read ever less often: reading costs what speech
# needs. The first change and the picture at rest are always read at once. So is typing: the pause grows with
# the part of the picture that changed, up to what a picture costs that must be read as a whole.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 4.0
WHOLE_SHARE = 0.1


class FrameSampler:
    """Says for each picture of one track whether to send it; `thumbnail` is (h, w) uint8 grey.

    `is_waiting` is true while the newest picture was put off; ask again later, also without a new one.
    """

    def __init__(self) -> None:
        self.is_waiting = False
        self._sent: NDArray[np.uint8] | None = None
        self._previous: NDArray[np.uint8] | None = None
        self._moved_at_s = 0.0
        self._resent = 0
        self._pause_s = FIRST_PAUSE_S
        self._next_at_s = float("-inf")

    def wants(self, thumbnail: NDArray[np.uint8], at_s: float) -> bool:
        """True when the picture shown at `at_s` differs from the last one sent, or has come to rest."""
        moves = self._previous is None or _differs(self._previous, thumbnail)
        self._previous = thumbnail
        if moves:
            self._moved_at_s = at_s
        self.is_waiting = False
        if self._sent is None or _differs(self._sent, thumbnail):
            return self._wants_changed(thumbnail, at_s, moves)
        still_s = at_s - self._moved_at_s
        if still_s >= SETTLED_AFTER_S[0]:
            self._pause_s = FIRST_PAUSE_S
        if self._resent < len(SETTLED_AFTER_S) and still_s >= SETTLED_AFTER_S[self._resent]:
            self._resent = sum(1 for after_s in SETTLED_AFTER_S if still_s >= after_s)
            return True
        return False

    def _wants_changed(self, thumbnail: NDArray[np.uint8], at_s: float, moves: bool) -> bool:
        if moves and at_s < self._next_at_s:
            self.is_waiting = True
            return False
        share = 1.0 if self._sent is None else _changed_share(self._sent, thumbnail)
        self._next_at_s = at_s + min(self._pause_s, LONGEST_PAUSE_S * share / WHOLE_SHARE)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._sent = thumbnail
        self._resent = 0
        return True


def _differs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return _changed_share(a, b) > 0


def _changed_share(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Part of the cells that changed; 1 for a picture of another size."""
    if a.shape != b.shape:
        return 1.0
    return float(np.mean(np.abs(a.astype(np.int16) - b) > CHANGED_LEVELS))
