"""Words have their times and a confidence that means something."""

import itertools

import numpy as np
import pytest

from services.asr.alignment import STEP, Alignment, Hypothesis, best_runs, to_words
from services.asr.confidence import Calibration, compared
from services.asr.vad import WINDOW
from services.runtime.percept import SAMPLE_RATE, Transcript, Word
from tests.unit.asr.conftest import Samples, Transcribe

PLAIN = Calibration(bias=0.0, mean=1.0, least=1.0, utterance=1.0)
GROUPS = [("a", 1), ("b", 1), ("c", 1)]


def _hypothesis(alignment: Alignment | None) -> Hypothesis:
    return Hypothesis((5, 6, 7), np.zeros(3, np.float32), 0.0, alignment)


def test_runs_are_the_best_of_all_segmentations() -> None:
    gains = np.random.default_rng(3).random((5, 9), np.float32)
    may_be_empty = np.array([True, False, True, False, True])

    def worth(edges: tuple[int, ...]) -> float:
        runs = [(i, edges[i], edges[i + 1]) for i in range(5)]
        if any(start == end and not may_be_empty[i] for i, start, end in runs):
            return -np.inf
        return float(sum(gains[i, s:e].sum() - 0.5 * (e > s and may_be_empty[i]) for i, s, e in runs))

    every = [(0, *cut, 9) for cut in itertools.combinations_with_replacement(range(10), 4)]
    best = max(every, key=worth)
    got = best_runs(gains, may_be_empty)
    assert [tuple(run) for run in got] == list(itertools.pairwise(best))


def test_more_tokens_than_steps_still_give_ordered_words() -> None:
    crowded = Alignment(np.ones((4, 2), np.float32), np.zeros(2, np.float32))
    for alignment in (None, crowded):
        words = to_words(_hypothesis(alignment), GROUPS, 100, 100 + 3 * WINDOW, np.ones(3, np.bool_), PLAIN)
        assert [(w.start_sample, w.end_sample) for w in words] == [
            (100 + i * WINDOW, 100 + (i + 1) * WINDOW) for i in range(3)
        ]


def test_silence_between_words_belongs_to_none() -> None:
    shares = np.full((4, 60), 0.01, np.float32)
    levels_db = np.full(60, -80, np.float32)
    for token, (start, end) in enumerate([(5, 15), (15, 25), (40, 55)]):
        shares[token, start - 1 : end + 1] = 0.6
        levels_db[start:end] = -20
    heard = np.ones(-(-60 * STEP // WINDOW), np.bool_)
    words = to_words(_hypothesis(Alignment(shares, levels_db)), GROUPS, 0, 60 * STEP, heard, PLAIN)
    edges = np.array([(w.start_sample, w.end_sample) for w in words]) / STEP
    np.testing.assert_allclose(edges, [(5, 15), (15, 25), (40, 55)], atol=2)


@pytest.mark.parametrize("options", [{"second_pass": "off"}, {"second_pass": "whisper"}])
def test_words_beside_a_pause_end_and_begin_with_the_sound(
    transcribe: Transcribe, speech: Samples, options: dict[str, str]
) -> None:
    # where its first word begins and its last one ends
    once = speech[round(0.64 * SAMPLE_RATE) : round(4.8 * SAMPLE_RATE)]
    pause = np.zeros(int(0.4 * SAMPLE_RATE), np.float32)
    before = np.zeros(SAMPLE_RATE, np.float32)
    said = transcribe(np.concatenate([before, once, pause, once, before]), options=options | {"partials": "off"})
    finals = {p.utterance_id: p for p in said if isinstance(p, Transcript) and p.is_final}
    words = [word for final in finals.values() for word in final.words]
    truth = np.cumsum([len(part) for part in (before, once, pause, once)])
    after = next(i for i, word in enumerate(words) if word.end_sample > (truth[1] + truth[2]) / 2)
    got = (words[0].start_sample, words[after - 1].end_sample, words[after].start_sample, words[-1].end_sample)
    assert np.abs(np.array(got) - truth).max() / SAMPLE_RATE < 0.12


def test_a_word_of_likely_tokens_in_a_likely_utterance_is_surer() -> None:
    sure, unsure = np.log([0.9, 0.99], dtype=np.float32), np.log([0.9, 0.3], dtype=np.float32)
    assert 1 > PLAIN.confidence(sure, -0.1) > PLAIN.confidence(unsure, -0.1) > PLAIN.confidence(unsure, -0.9) > 0


def test_what_two_recognisers_heard_is_surer() -> None:
    words = [Word("The", 0, 1, 0.8), Word("cat,", 1, 2, 0.8), Word("sat", 2, 3, None)]
    others = [Word("the", 0, 1, 0.1), Word("hat", 1, 2, 0.9), Word("sat", 2, 3, 0.9)]
    the, cat, sat = compared(words, others)
    assert the.confidence is not None and cat.confidence is not None
    assert cat.confidence < 0.8 < the.confidence < 1
    assert sat.confidence is None
    assert [w.text for w in (the, cat, sat)] == ["The", "cat,", "sat"]
