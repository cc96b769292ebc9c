"""From tokens to words: grouping, times by cross-attention, confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.vad import WINDOW
from services.runtime.percept import Word


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recogniser wrote: tokens without the special ones and their log-probabilities.

    `end_log_prob` is that of the end token; `is_cut` tells that the limit ended the text instead.
    `attention` (tokens + 1, frames) says which frames each token (last: the end token) looked at;
    None when it was not asked for.
    """

    tokens: tuple[int, ...]
    log_probs: NDArray[np.float32]
    end_log_prob: float
    attention: NDArray[np.float32] | None = None
    is_cut: bool = False

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of a token, the end token included."""
        return float(np.append(self.log_probs, self.end_log_prob).mean())


def token_ends(attention: NDArray[np.float32]) -> NDArray[np.intp]:
    """Frame at which each token ends, (tokens,) ascending, from (tokens, frames) attention.

    Viterbi: every token takes a run of at least one frame, the runs follow one another and cover all
    frames, and the attention inside them is largest. Needs at least as many frames as tokens.
    """
    tokens, frames = attention.shape
    ends = np.full(tokens, frames, np.intp)
    cumulated = np.concatenate([np.zeros((tokens, 1)), np.cumsum(attention, axis=1)], axis=1)
    best = np.full(frames + 1, -np.inf)
    best[0] = 0.0
    starts = np.zeros((tokens, frames + 1), np.intp)
    for i in range(tokens):
        gain = best - cumulated[i]
        top = np.maximum.accumulate(gain)
        at = np.maximum.accumulate(np.where(gain == top, np.arange(frames + 1), 0))
        # token i over [k, j) with k < j
        best = np.concatenate([[-np.inf], top[:-1] + cumulated[i, 1:]])
        starts[i, 1:] = at[:-1]
    for i in range(tokens - 1, 0, -1):
        ends[i - 1] = starts[i, ends[i]]
    return ends


def to_words(
    hypothesis: Hypothesis,
    groups: Sequence[tuple[str, int]],
    start_sample: int,
    end_sample: int,
    active: NDArray[np.bool_],
    samples_per_frame: int,
) -> tuple[Word, ...]:
    """Words of an utterance at [start_sample, end_sample) on the media clock.

    `groups` are each word's text and number of tokens, in order; `active` says which windows of
    WINDOW samples from `start_sample` on hold speech. Words lie in these windows, in order, without
    overlap; a word's confidence is its tokens' geometric mean.
    """
    if not groups:
        return ()
    edges = _edges(hypothesis, groups, end_sample - start_sample, samples_per_frame)
    words = []
    position = 0
    for i, (text, count) in enumerate(groups):
        log_probs = hypothesis.log_probs[position : position + count]
        position += count
        start, end = _without_silence(edges[i], edges[i + 1], active)
        words.append(Word(text, start_sample + start, start_sample + end, float(np.exp(log_probs.mean()))))
    return tuple(words)


def _without_silence(start: int, end: int, active: NDArray[np.bool_]) -> tuple[int, int]:
    inside = np.flatnonzero(active[start // WINDOW : -(-end // WINDOW)])
    if len(inside) == 0:
        return start, end
    first = start // WINDOW
    return max(start, (first + int(inside[0])) * WINDOW), min(end, (first + int(inside[-1]) + 1) * WINDOW)


def _edges(hypothesis: Hypothesis, groups: Sequence[tuple[str, int]], length: int, samples_per_frame: int) -> list[int]:
    """Borders between words in samples from the utterance's start, ascending, len(groups) + 1 of them."""
    attention = hypothesis.attention
    if attention is None or attention.shape[1] < len(attention):
        return [round(length * i / len(groups)) for i in range(len(groups) + 1)]
    # Frames that all tokens look at say nothing: what counts is each token's share of a frame.
    ends = token_ends(attention / np.maximum(attention.sum(axis=0), 1e-9))
    last = np.cumsum([count for _, count in groups]) - 1
    return [0, *(min(length, int(ends[i]) * samples_per_frame) for i in last)]
