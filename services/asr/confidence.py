"""How likely a word is right: its tokens' probabilities on the scale of counted errors. Pure.

A recogniser's probabilities are not shares of right words. Platt scaling (logistic regression on a few numbers) brings
them there; docs/asr-words.md says on which words the constants were fitted and how well they hold on others.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import Word

# Log-odds that a word gains when another recogniser heard it too, and when it heard something else.
AGREES, DIFFERS = 0.54, -1.38
# Mean log-probabilities of an utterance below this say no more.
_WORST_UTTERANCE = -1.5


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log-odds of one recogniser's words: `bias` plus weights.

    `mean` weighs the geometric mean of the probabilities of a word's tokens, `least` the smallest of them,
    `utterance` the mean log-probability of all tokens of the utterance.
    """

    bias: float
    mean: float
    least: float
    utterance: float

    def confidence(self, log_probs: NDArray[np.float32], utterance_log_prob: float) -> float:
        """Probability that a word is right, from its tokens' log-probabilities (n >= 1,)."""
        log_odds = self.bias + self.mean * float(np.exp(log_probs.mean())) + self.least * float(np.exp(log_probs.min()))
        return _probability(log_odds + self.utterance * max(utterance_log_prob, _WORST_UTTERANCE))


def compared(words: Sequence[Word], others: Sequence[Word]) -> tuple[Word, ...]:
    """The words, surer where another recogniser's reading `others` of the same sound agrees, less sure elsewhere."""
    matcher = SequenceMatcher(None, [_bare(word.text) for word in words], [_bare(word.text) for word in others], False)
    agreed = {block.a + k for block in matcher.get_matching_blocks() for k in range(block.size)}
    return tuple(
        word if word.confidence is None else replace(word, confidence=_shifted(word.confidence, i in agreed))
        for i, word in enumerate(words)
    )


def _shifted(confidence: float, agrees: bool) -> float:
    confidence = min(max(confidence, 1e-6), 1 - 1e-6)
    return _probability(float(np.log(confidence / (1 - confidence))) + (AGREES if agrees else DIFFERS))


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _bare(text: str) -> str:
    return re.sub(r"[^\w']", "", text).lower()
