"""A stretch of utterances is one to read, and what was read of it falls to each again."""

import itertools

import numpy as np
import pytest

from services.asr.finals import Finals
from services.asr.stretch import Closed, Stretch
from services.asr.utterance import Utterance
from services.asr.vad import WINDOW
from services.runtime.percept import Transcript, Word
from tests.unit.asr.conftest import Samples

START = 70_001


def noise(windows: int) -> Samples:
    return np.random.default_rng(windows).standard_normal(windows * WINDOW).astype(np.float32)


def closed(start: int, sound: Samples, *texts: str, is_checked: bool = False) -> Closed:
    """An utterance of speech at a window of the stretch, with words of one window each."""
    at = START + start * WINDOW
    end = at + len(sound)
    words = tuple(Word(text, at + i * WINDOW, at + (i + 1) * WINDOW, 0.5) for i, text in enumerate(texts))
    transcript = Transcript(f"u{at}", True, at, end, words, len(words), "en")
    utterance = Utterance(at, end, sound, np.ones(len(sound) // WINDOW, np.bool_))
    return Closed(utterance, transcript, np.array([-0.1, -0.3], np.float32), Finals(), is_checked)


@pytest.fixture
def stretch() -> Stretch:
    """Ten windows of speech, eight of noise, five of speech, two of noise."""
    made = Stretch()
    made.hear(noise(3))
    made.add(closed(0, noise(10), "I", "really"), np.concatenate([noise(4), noise(10)]))
    made.hear(noise(8))
    made.add(closed(18, noise(5), "liked"), noise(5))
    return made


def test_all_of_it_is_heard_from_the_first_utterance_to_the_last(stretch: Stretch) -> None:
    one = stretch.as_one()
    np.testing.assert_array_equal(one.audio, np.concatenate([noise(10), noise(8), noise(5)]))
    assert (one.start_sample, one.end_sample) == (START, START + stretch.length)
    assert np.flatnonzero(~one.active).tolist() == list(range(10, 18))
    assert [word.text for word in stretch.words] == ["I", "really", "liked"]
    assert stretch.mean_log_prob == pytest.approx(-0.2)


def test_words_fall_to_the_nearest_utterance_and_lie_inside_it(stretch: Stretch) -> None:
    assert stretch.parts(stretch.words) == [said.transcript.words for said in stretch.closed]
    at = [0, 9, 11, 12, 15, 19]
    words = [Word(str(i), START + i * WINDOW, START + (i + 1) * WINDOW) for i in at]
    parts = stretch.parts(words)
    assert [[word.text for word in part] for part in parts] == [["0", "9", "11", "12"], ["15", "19"]]
    for part, said in zip(parts, stretch.closed, strict=True):
        assert part[0].start_sample >= said.utterance.start_sample
        assert part[-1].end_sample <= said.utterance.end_sample
        assert all(word.start_sample < word.end_sample for word in part)
        assert all(one.end_sample <= next.start_sample for one, next in itertools.pairwise(part))


def test_what_whisper_has_read_one_by_one_is_read_again_only_beside_something_new(stretch: Stretch) -> None:
    alone = Stretch()
    assert alone.is_read
    alone.add(closed(0, noise(9), "I", is_checked=True), noise(9))
    assert alone.is_read and not stretch.is_read
    alone.add(closed(9, noise(9), "really"), noise(9))
    assert not alone.is_read
