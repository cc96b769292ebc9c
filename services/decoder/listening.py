"""Words found in how utterances were spelled by ear, whatever the recogniser wrote for them.

An utterance is rows of the space of spelling (services/runtime/spelling.py). The score of a word is that of its best
path through any stretch of the rows, by connectionist temporal classification (Graves et al. 2006) with the most
probable path in the place of their sum, against the best path of all; in natural logarithms for each letter, so 0 is
what the rows say most clearly and every doubt counts below it.
"""

import math
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from services.runtime.spelling import BLANK, LETTERS, spelled

# Words with fewer letters lie hidden in too many others; longer ones are no words, and their paths cost memory.
LEAST_LETTERS, MOST_LETTERS = 4, 32
# Below it a word is not heard; chosen on made speech of voices that were not trained on (docs/adapters.md).
LEAST_SCORE = -1.0
# Weights of `evidence` and bias of the logarithm of `likelihood_ratio`, fitted by
# `python -m tools.train_adapter calibrate` (docs/adapters.md).
WEIGHTS, BIAS = (2.04, 0.88, 0.58), 0.86
# One letter against all other evidence costs no more than this.
_MOST_COST = 10.0
_STEPS = 255 / _MOST_COST
_SPACE = LETTERS.index(" ")
# Utterances whose paths are followed side by side.
_TOGETHER = 512
# What a path that cannot be has.
_NEVER = np.float32(-1e9)


class Listener:
    """The spelled utterances of one session, 29 bytes a row. Not thread-safe."""

    def __init__(self) -> None:
        self._costs: dict[str, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._costs)

    def hear(self, source_id: str, rows: NDArray[np.float32]) -> None:
        """Keep an utterance's rows, (n, 29) log-probabilities, in the place of its old ones."""
        costs = np.clip((rows.max(axis=1, keepdims=True) - rows) * _STEPS, 0, 255)
        edge = np.full((1, len(LETTERS)), 255)
        edge[0, [BLANK, _SPACE]] = 0
        # words begin and end where the utterance does
        self._costs[source_id] = np.concatenate([edge, np.rint(costs), edge]).astype(np.uint8)

    def forget(self, source_id: str) -> None:
        """Drop an utterance, if it is known."""
        self._costs.pop(source_id, None)

    def find(self, word: str, least: float = LEAST_SCORE) -> dict[str, float]:
        """Scores, at most 0, of the utterances in which a word is heard with `least` or more."""
        letters = spelled(word)
        if not LEAST_LETTERS <= len(letters) <= MOST_LETTERS or not self._costs:
            return {}
        codes = np.array([LETTERS.index(letter) for letter in f" {letters} "])
        # of like length, so that few rows are padding
        names = sorted(self._costs, key=lambda name: len(self._costs[name]))
        found = {}
        for first in range(0, len(names), _TOGETHER):
            some = names[first : first + _TOGETHER]
            scores = _best_paths([self._costs[name] for name in some], codes) / len(codes)
            found.update({name: float(score) for name, score in zip(some, scores, strict=True) if score >= least})
        return found


def evidence(word: str, score: float, recognised: str) -> tuple[float, float, float]:
    """What tells whether an utterance has a word: its score, its letters, and how alike to it one or two of the
    recognised words are spelled (0 to 1).
    """
    letters, written = spelled(word), " ".join(map(spelled, recognised.split())).split()
    pairs = [one + other for one, other in zip(written, written[1:], strict=False)]
    alike = max((SequenceMatcher(None, letters, each).ratio() for each in [*written, *pairs]), default=0.0)
    return score, float(len(letters)), alike


def likelihood_ratio(word: str, score: float, recognised: str) -> float:
    """How many times likelier this evidence is in an utterance that has the word than in one that has not."""
    return math.exp(float(np.dot(WEIGHTS, evidence(word, score, recognised))) + BIAS)


def _best_paths(utterances: Sequence[NDArray[np.uint8]], codes: NDArray[np.intp]) -> NDArray[np.float32]:
    """(n,) of each utterance: the log-probability of the best path of these letters against that of all letters."""
    longest = max(map(len, utterances))
    costs = np.full((longest, len(codes) + 1, len(utterances)), 255, np.uint8)
    wanted = np.append(codes, BLANK)
    for i, rows in enumerate(utterances):
        costs[: len(rows), :, i] = rows[:, wanted]
    in_letter = np.full((len(codes), len(utterances)), _NEVER)
    after_letter = in_letter.copy()
    best: NDArray[np.float32] = in_letter[0].copy()
    # the same letter twice needs a silence between
    doubled = np.flatnonzero(codes[1:] == codes[:-1])
    for moment in costs:
        gain = moment.astype(np.float32) / np.float32(-_STEPS)
        # into a letter: from the one before it, or from the silence after that; into the first from anywhere
        before = np.maximum(after_letter[:-1], in_letter[:-1])
        before[doubled] = after_letter[doubled]
        after_letter = np.maximum(after_letter, in_letter) + gain[-1]
        in_letter[0] = np.maximum(in_letter[0], 0)
        np.maximum(in_letter[1:], before, out=in_letter[1:])
        in_letter += gain[:-1]
        np.maximum(best, in_letter[-1], out=best)
    return best
