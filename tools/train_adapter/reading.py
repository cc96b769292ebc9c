"""Letters out of rows of the space of spelling, and how many of them are wrong. Pure."""

import numpy as np
from numpy.typing import NDArray

from services.runtime.spelling import BLANK, LETTERS


def best_path(log_probabilities: NDArray[np.float32]) -> str:
    """(frames, 29) -> the likeliest letter of each frame, repetitions and blanks taken out."""
    path = log_probabilities.argmax(axis=1)
    kept = path[np.diff(path, prepend=-1) != 0]
    return "".join(LETTERS[code] for code in kept if code != BLANK).strip()


def distance(one: str, other: str) -> int:
    """Fewest letters to change, add or drop."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
