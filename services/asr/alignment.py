"""When each word was spoken: cross-attention of chosen heads, and silence where the sound is low. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.confidence import Calibration
from services.asr.vad import WINDOW
from services.runtime.percept import Word

# Words begin and end at multiples of this many samples: 20 ms.
STEP = 320
# Where sound begins between an utterance's lowest and highest level, and how many dB around it are doubtful.
_SOUND_AT, _DOUBT_DB = 0.15, 4.0
# An utterance is taken to span at least and at most so many dB: in one without any silence nothing is silent.
_LEAST_SPAN_DB, _MOST_SPAN_DB = 12.0, 50.0
# How silent a step is at least when the voice detector hears no speech there.
_NO_SPEECH = 0.7
# What a step of silence between words gains against a step that the tokens look at, and what each pause costs.
_SILENCE_GAIN, _PAUSE_COST = 0.5, 0.5
# A word that follows a pause begins this much earlier than its level rises: 20 ms.
_ONSET = STEP


@dataclass(frozen=True, slots=True)
class Alignment:
    """What tokens looked at, and how loud it was, in steps of STEP samples.

    `shares` (tokens + 1, steps): how much of the attention that a step gets is the token's (last: the end token's).
    `levels_db` (steps,): power of each step.
    """

    shares: NDArray[np.float32]
    levels_db: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlignmentHeads:
    """Heads of a decoder that look where a token is spoken: (layer, head) each.

    `samples_per_frame` is the encoder's step; the heads look `late_samples` after the place (negative: before it).
    """

    heads: tuple[tuple[int, int], ...]
    samples_per_frame: int
    late_samples: int

    def align(self, attention: NDArray[np.float32], samples: NDArray[np.float32]) -> Alignment:
        """From (tokens + 1, layers, heads, frames) attention to (n,) samples at 16 kHz."""
        layers, heads = np.array(self.heads).T
        seen = attention[:, layers, heads].mean(axis=1)
        # Frames that all tokens look at say nothing: what counts is each token's share of a frame.
        shares = seen / np.maximum(seen.sum(axis=0), 1e-9)
        steps = -(-len(samples) // STEP)
        place = (np.arange(steps) * STEP + STEP / 2 + self.late_samples) / self.samples_per_frame - 0.5
        place = np.clip(place, 0, shares.shape[1] - 1)
        left = np.floor(place).astype(np.intp)
        right = np.minimum(left + 1, shares.shape[1] - 1)
        weight = (place - left).astype(np.float32)
        return Alignment(shares[:, left] * (1 - weight) + shares[:, right] * weight, _levels_db(samples))


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recogniser wrote: tokens without the special ones and their log-probabilities.

    `end_log_prob` is that of the end token; `is_cut` tells that the limit ended the text instead.
    `alignment` is None when it was not asked for. `no_speech` is the recogniser's probability that nobody speaks, 0 of
    one that does not tell. `encoded` is what its encoder made of the sound, by name, where it is kept: hidden states
    (1, frames, width) and the decoder's keys and values.
    """

    tokens: tuple[int, ...]
    log_probs: NDArray[np.float32]
    end_log_prob: float
    alignment: Alignment | None = None
    is_cut: bool = False
    no_speech: float = 0.0
    encoded: Mapping[str, NDArray[np.float32]] | None = None

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of a token, the end token included."""
        return float(np.append(self.log_probs, self.end_log_prob).mean())


def best_runs(gains: NDArray[np.floating], may_be_empty: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where each of (rows, steps) rows begins and ends, (rows, 2), so that what they gain is largest.

    Viterbi: the rows take runs of steps that follow one another and cover all steps; a run has at least
    one step unless it `may_be_empty` (rows,). Needs as many steps as rows that may not.
    """
    rows, steps = gains.shape
    gained = np.concatenate([np.zeros((rows, 1)), np.cumsum(gains, axis=1)], axis=1)
    here = np.arange(steps + 1)
    best = np.where(here == 0, 0.0, -np.inf)
    starts = np.zeros((rows, steps + 1), np.intp)
    for i in range(rows):
        entered = best - gained[i]
        top = np.maximum.accumulate(entered)
        at = np.maximum.accumulate(np.where(entered == top, here, 0))
        # row i over [k, j) with k < j
        taken = np.concatenate([[-np.inf], top[:-1] + gained[i, 1:]])
        starts[i, 1:] = at[:-1]
        if may_be_empty[i]:
            taken -= _PAUSE_COST
            starts[i] = np.where(best >= taken, here, starts[i])
            taken = np.maximum(best, taken)
        best = taken
    runs = np.zeros((rows, 2), np.intp)
    end = steps
    for i in range(rows - 1, -1, -1):
        runs[i] = starts[i, end], end
        end = starts[i, end]
    return runs


def to_words(
    hypothesis: Hypothesis,
    groups: Sequence[tuple[str, int]],
    start_sample: int,
    end_sample: int,
    active: NDArray[np.bool_],
    calibration: Calibration,
) -> tuple[Word, ...]:
    """Words of an utterance at [start_sample, end_sample) on the media clock.

    `groups` are each word's text and number of tokens, in order; `active` says which windows of
    WINDOW samples from `start_sample` on hold speech. Words follow one another without overlap.
    """
    if not groups:
        return ()
    edges = _edges(hypothesis, [count for _, count in groups], end_sample - start_sample, active)
    utterance_log_prob = hypothesis.mean_log_prob
    words = []
    position = 0
    for (text, count), (start, end) in zip(groups, edges, strict=True):
        log_probs = hypothesis.log_probs[position : position + count]
        position += count
        confidence = calibration.confidence(log_probs, utterance_log_prob)
        words.append(Word(text, start_sample + start, start_sample + end, confidence))
    return tuple(words)


def _edges(
    hypothesis: Hypothesis, counts: Sequence[int], length: int, active: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Start and end of words of so many tokens each, in samples from the utterance's start."""
    alignment = hypothesis.alignment
    if alignment is None or len(alignment.levels_db) < sum(counts):
        # nothing to go by, or more tokens than steps: each word gets as much
        borders = [round(length * i / len(counts)) for i in range(len(counts) + 1)]
        return list(zip(borders[:-1], borders[1:], strict=True))
    silence = _silence(alignment.levels_db, active)
    spoken = alignment.shares * (1 - silence)
    pause = (silence * _SILENCE_GAIN)[None]
    parts, first_rows, row, token = [pause], [], 1, 0
    for count in counts:
        parts += [spoken[token : token + count], pause]
        first_rows.append(row)
        row, token = row + count + 1, token + count
    gains = np.concatenate(parts)
    is_pause = np.zeros(len(gains), np.bool_)
    is_pause[[0, *(first + count for first, count in zip(first_rows, counts, strict=True))]] = True
    runs = best_runs(gains, is_pause) * STEP
    edges = []
    for first, count in zip(first_rows, counts, strict=True):
        start, end = int(runs[first, 0]), int(runs[first + count - 1, 1])
        onset = min(_ONSET, start - int(runs[first - 1, 0]))
        edges.append((start - onset, min(end, length)))
    return edges


def _silence(levels_db: NDArray[np.float32], active: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How silent each step is, 0 to 1, by its level and by the voice detector's windows."""
    middles = (np.arange(len(levels_db)) * STEP + STEP // 2) // WINDOW
    heard = active[np.minimum(middles, len(active) - 1)]
    highest = float(np.percentile(levels_db[heard] if heard.any() else levels_db, 95))
    lowest = max(float(np.percentile(levels_db, 5)), highest - _MOST_SPAN_DB)
    threshold = lowest + _SOUND_AT * max(highest - lowest, _LEAST_SPAN_DB)
    by_level = 1 / (1 + np.exp((levels_db - threshold) / _DOUBT_DB))
    result: NDArray[np.float32] = np.where(heard, by_level, np.maximum(by_level, _NO_SPEECH)).astype(np.float32)
    return result


def _levels_db(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = -(-len(samples) // STEP)
    power = np.pad(samples, (0, steps * STEP - len(samples))).reshape(steps, STEP) ** 2
    result: NDArray[np.float32] = (10 * np.log10(power.mean(axis=1) + 1e-9)).astype(np.float32)
    return result
