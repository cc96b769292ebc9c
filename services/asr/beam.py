"""The likeliest text in place of the greedy one: beam search (Graves 2012) below what is already known. Pure.

Totals only fall as a text grows, so whatever falls below the total of the greedy text is given up: where that text
is sure, hardly anything is searched. Short texts have high totals; therefore a text may end only where its end is the
likeliest that follows (Hannun et al., arXiv 1904.02619, with a threshold of one).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.asr.decoding import DecoderRun, log_softmax

# Texts that are followed at a time.
WIDTH = 4


def likeliest(
    run: DecoderRun, scores: NDArray[np.float32], tokens: Sequence[int], *, end: int, room: int
) -> tuple[int, ...]:
    """A text of at most `room` tokens that is at least as likely as `tokens`, WIDTH followed at a time.

    `run` has read the beginning and `tokens`; `scores` (len(tokens) + 1, vocabulary) are the log-probabilities of what
    follows each. `run` reads on from where the texts part. `end` is the token after a text.
    """
    places = np.arange(len(tokens) + 1)
    known = scores[places, [*tokens, end]]
    before = np.append(0.0, np.cumsum(known[:-1]))
    best, best_total = tuple(tokens), float(known.sum())
    others = scores.copy()
    others[places, [*tokens, end]] = others[:, end] = -np.inf
    doubtful = np.flatnonzero(before + others.max(axis=1) > best_total)
    if not len(doubtful):
        return best
    first = int(doubtful[0])
    run.forget_after(first + 1)
    texts, totals, scores = [best[:first]], before[first : first + 1], scores[first : first + 1]
    for _ in range(first, room + 1):
        sums = totals[:, None] + scores
        for row in np.flatnonzero(scores.argmax(axis=1) == end):
            if sums[row, end] > best_total:
                best, best_total = texts[row], float(sums[row, end])
        sums[:, end] = -np.inf
        rows, following = np.nonzero(sums > best_total)
        if not len(rows):
            break
        kept = np.argsort(sums[rows, following])[-WIDTH:]
        rows, following = rows[kept], following[kept]
        totals = sums[rows, following]
        texts = [(*texts[row], int(token)) for row, token in zip(rows, following, strict=True)]
        scores = log_softmax(run.branch(rows, following))
    return best
