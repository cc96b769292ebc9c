"""Utterances of one track: one stretch of speech each, checked by voice.

The segmentation sometimes takes two people for one, most often around a change of speaker. Their voices tell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.diarization.linkage import average_linkage

# So much speech (s) may show that a track has several speakers: a long utterance, or short ones
MIN_SPLIT_S = 0.6
# with no longer silence (samples) between them, each of which is too little to know a voice by.
MAX_PAUSE = 16_000
# It has several when the mean cosine of two such phrases is below this.
SPLIT_SIMILARITY = 0.45


@dataclass(frozen=True, slots=True)
class Utterance:
    """Where it is on the media clock, how much speech in it is nobody else's, and its embedding: (192,), length 1."""

    start_sample: int
    end_sample: int
    duration_s: float
    unit: NDArray[np.float32]


def by_voice(utterances: list[Utterance]) -> list[list[Utterance]]:
    """One track's utterances, in their order, grouped by person; those in no phrase go to the nearest voice."""
    phrases = [phrase for phrase in _phrases(utterances) if sum(u.duration_s for u in phrase) >= MIN_SPLIT_S]
    if len(phrases) < 2:
        return [utterances] if utterances else []
    units = np.stack([mean_voice(phrase) for phrase in phrases])
    certain = np.zeros((len(phrases), len(phrases)))
    joined = average_linkage(units, [1.0] * len(phrases), certain, SPLIT_SIMILARITY)
    people = [[u for i in members for u in phrases[i]] for members in joined]
    voices = np.stack([mean_voice(person) for person in people])
    groups: list[list[Utterance]] = [[] for _ in people]
    known = {id(u): index for index, person in enumerate(people) for u in person}
    for utterance in utterances:
        nearest = int((voices @ utterance.unit).argmax())
        groups[known.get(id(utterance), nearest)].append(utterance)
    return groups


def _phrases(utterances: list[Utterance]) -> list[list[Utterance]]:
    """Long utterances each alone, short ones together with those beside them."""
    phrases: list[list[Utterance]] = []
    before: Utterance | None = None
    for utterance in utterances:
        is_short = utterance.duration_s < MIN_SPLIT_S
        if is_short and before is not None and utterance.start_sample - before.end_sample <= MAX_PAUSE:
            phrases[-1].append(utterance)
        else:
            phrases.append([utterance])
        before = utterance if is_short else None
    return phrases


def mean_voice(utterances: list[Utterance]) -> NDArray[np.float32]:
    """The voice of one person's utterances, each counting by its length: (192,) float32 of length 1."""
    total = np.sum([u.duration_s * u.unit for u in utterances], axis=0)
    unit: NDArray[np.float32] = total / max(float(np.linalg.norm(total)), 1e-6)
    return unit
