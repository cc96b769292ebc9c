"""How likely a word was said where its letters were heard: the weights of services/decoder/listening.py, fitted on
made speech of held-out voices.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.adapters import listen
from services.asr.adapter import AudioAdapter
from services.asr.service import new_expert
from services.decoder.listening import LEAST_LETTERS, Listener, evidence
from services.runtime.spelling import spelled
from tools.train_adapter.hear import ENCODERS, said
from tools.train_adapter.hear import listener as states_of
from tools.train_adapter.material import vocabulary
from tools.train_decoder.calibrate import logistic

# Seeds of what the weights are fitted on and of what they are reported on, each so many utterances.
_FITTED_ON, _REPORTED_ON, _UTTERANCES = 100, 101, 240
# Words that nobody said.
_STRANGE = 300


@dataclass(frozen=True)
class Heard:
    """Where words that nobody wrote were heard: evidence (n, 3), whether they were said there, which word it is.

    Heard or not: `places` is in how many places they were said, `elsewhere` in how many they were not; `strange` are
    the words that were said nowhere.
    """

    evidence: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    words: list[str]
    places: int
    elsewhere: int
    strange: frozenset[str]


def calibrate(model: str) -> None:
    """Print the weights and, for words of other utterances, how many are heard right and false above a likelihood."""
    fitted_on, reported_on = (heard(model, seed) for seed in (_FITTED_ON, _REPORTED_ON))
    # places with the word count as much as those without it, heard or not
    weights = np.where(fitted_on.is_right, 1 / fitted_on.places, 1 / fitted_on.elsewhere)
    beta = logistic(fitted_on.evidence, fitted_on.is_right.astype(float), weights)
    print("WEIGHTS, BIAS =", np.round(beta[:-1], 2), round(beta[-1], 2))
    odds = np.exp(reported_on.evidence @ beta[:-1] + beta[-1]) / _UTTERANCES
    total = dict.fromkeys(reported_on.words, 1.0)
    for word, each in zip(reported_on.words, odds, strict=True):
        total[word] += each
    likely = odds / [total[word] for word in reported_on.words]
    is_strange = np.array([word in reported_on.strange for word in reported_on.words])
    for least in (0.1, 0.3, 0.5, 0.7):
        right = (reported_on.is_right & (likely >= least)).sum() / reported_on.places
        false = (is_strange & (likely >= least)).sum() / len(reported_on.strange)
        wrong = (~is_strange & ~reported_on.is_right & (likely >= least)).sum() / reported_on.places
        print(
            f"likely {least}: found {right:.3f}, in another place {wrong:.3f}, false finds a strange word {false:.3f}"
        )


def heard(model: str, seed: int) -> Heard:
    """Words in the sound of one seed's utterances that are not among what Moonshine recognised."""
    expert, adapter, listener = new_expert(), AudioAdapter(model), Listener()
    texts, _, sounds = zip(*islice(said("test", seed), _UTTERANCES), strict=True)
    recognised = [listen(expert, "", text, sound, "en").recognised for text, sound in zip(texts, sounds, strict=True)]
    for i, states in enumerate(states_of(ENCODERS[model])(sounds)):
        listener.hear(str(i), adapter.spell(states))
    return searched(listener, recognised, *unwritten(texts, recognised))


def searched(
    listener: Listener, recognised: Sequence[str], places: dict[str, set[int]], strange: Sequence[str]
) -> Heard:
    """What the listener hears of words that were said in some places and of those that were said nowhere.

    Its utterances are named "0", "1" and so on; `recognised` is what was written for each.
    """
    found = [(word, int(name), score) for word in [*places, *strange] for name, score in listener.find(word).items()]
    count = sum(map(len, places.values()))
    return Heard(
        np.array([evidence(word, score, recognised[i]) for word, i, score in found]),
        np.array([i in places.get(word, ()) for word, i, _ in found]),
        [word for word, *_ in found],
        count,
        (len(places) + len(strange)) * len(recognised) - count,
        frozenset(strange),
    )


def unwritten(texts: Sequence[str], recognised: Sequence[str]) -> tuple[dict[str, set[int]], list[str]]:
    """Words that were said and nowhere recognised, with the places of their texts; and _STRANGE that nobody said."""
    written = {word for text in recognised for word in spelled(text).split()}
    places: dict[str, set[int]] = {}
    for i, text in enumerate(texts):
        for word in text.split():
            if len(word) >= LEAST_LETTERS and word not in written:
                places.setdefault(word, set()).add(i)
    known = {word for text in texts for word in text.split()} | written
    strange = [word for word in vocabulary("test") if len(word) >= LEAST_LETTERS and word not in known]
    return places, random.Random(0).sample(strange, _STRANGE)
