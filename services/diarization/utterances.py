"""Utterances of one track: one stretch of speech each, checked by voice.

The segmentation sometimes takes two people for one, most often around a change of speaker. Their voices tell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.diarization.linkage import average_linkage

# Utterances of at least so much speech (s) may show that a track has several speakers,
MIN_SPLIT_S = 1.0
# which it has when their mean cosine is below this.
SPLIT_SIMILARITY = 0.45


@dataclass(frozen=True, slots=True)
class Utterance:
    """Where it is on the media clock, how much speech in it is nobody else's, and its embedding: (192,), length 1."""

    start_sample: int
    end_sample: int
    duration_s: float
    unit: NDArray[np.float32]


def by_voice(utterances: list[Utterance]) -> list[list[Utterance]]:
    """One track's utterances, grouped by person; short ones go to the nearest voice."""
    long = [u for u in utterances if u.duration_s >= MIN_SPLIT_S]
    if len(long) < 2:
        return [utterances] if utterances else []
    certain = np.zeros((len(long), len(long)))
    joined = average_linkage(np.stack([u.unit for u in long]), [1.0] * len(long), certain, SPLIT_SIMILARITY)
    voices = np.stack([mean_voice([long[i] for i in members]) for members in joined])
    groups: list[list[Utterance]] = [[] for _ in joined]
    of_long = {id(long[i]): index for index, members in enumerate(joined) for i in members}
    for utterance in utterances:
        nearest = int((voices @ utterance.unit).argmax())
        groups[of_long.get(id(utterance), nearest)].append(utterance)
    return groups


def mean_voice(utterances: list[Utterance]) -> NDArray[np.float32]:
    """The voice of one person's utterances, each counting by its length: (192,) float32 of length 1."""
    total = np.sum([u.duration_s * u.unit for u in utterances], axis=0)
    unit: NDArray[np.float32] = total / max(float(np.linalg.norm(total)), 1e-6)
    return unit
