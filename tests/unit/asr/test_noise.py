"""What is no speech gives no words, with the settings that a stream has unless told otherwise."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import noise
from benchmarks.asr import read
from services.asr.alignment import Hypothesis
from services.asr.trust import BLIP_S, hears_no_speech, is_guess, is_invented
from services.runtime.percept import SpeechActivity, SpeechEvent, Transcript
from tests.unit.asr.conftest import Samples, Transcribe

VOICES = Path(__file__).parents[2] / "data" / "two_speakers.flac"


def _babble(seconds: float, seed: int) -> Samples:
    voices = np.split(read(VOICES)[: 18 * 16_000], 6)
    return noise.babble(seconds, seed, clips=voices)


@pytest.mark.parametrize(
    "make",
    [noise.silence, noise.white, noise.keyboard, noise.music, _babble],
    ids=["silence", "white noise", "keyboard", "music", "babble"],
)
def test_sounds_without_words_give_none(transcribe: Transcribe, make: Callable[[float, int], Samples]) -> None:
    said = transcribe(make(20.0, 4), language="", options={"partials": "off"})
    assert [p.text for p in said if isinstance(p, Transcript) and p.words] == []


def test_voices_that_nobody_understands_are_reported_as_suppressed(transcribe: Transcribe) -> None:
    said = transcribe(_babble(20.0, 4), language="", options={"partials": "off"})
    events = [percept.event for percept in said if isinstance(percept, SpeechActivity)]
    assert SpeechEvent.SUPPRESSED in events and SpeechEvent.END_OF_SPEECH not in events


def test_sounds_are_the_same_for_the_same_seed() -> None:
    for make in (noise.white, noise.keyboard, noise.music, _babble):
        np.testing.assert_array_equal(make(2.0, 1), make(2.0, 1))
        assert not np.array_equal(make(2.0, 1), make(2.0, 2))


def test_a_guess_at_a_click_is_dropped_and_a_likely_word_is_kept() -> None:
    guess, likely = (Hypothesis((7,), np.array([p], np.float32), p) for p in (-1.3, -0.3))
    invented = partial(is_invented, "You")
    assert invented(guess, speech_s=BLIP_S / 2) and not invented(guess, speech_s=2 * BLIP_S)
    assert not invented(likely, speech_s=BLIP_S / 2)


def test_text_that_is_sure_outweighs_that_nobody_may_speak() -> None:
    unsure, sure = (Hypothesis((7,), np.array([p], np.float32), p, no_speech=0.9) for p in (-1.2, -0.1))
    assert hears_no_speech(unsure) and is_invented("you", unsure, speech_s=5.0)
    assert not hears_no_speech(sure)


def test_readings_that_neither_recogniser_is_sure_of_and_that_share_no_words_are_guesses() -> None:
    unsure, sure = (Hypothesis((5,), np.array([p], np.float32), p) for p in (-0.9, -0.2))
    texts = ("And it's just something to find", "The issue was a class of its own")
    assert is_guess(unsure, unsure, *texts)
    assert not is_guess(unsure, sure, *texts) and not is_guess(sure, unsure, *texts)
    assert not is_guess(unsure, unsure, texts[0], "and that's just something to bind")
    assert not is_guess(unsure, unsure, "Anon.", "Alone.")


def test_a_sentence_said_nine_times_is_a_loop_and_three_times_is_not() -> None:
    sure = Hypothesis((5,), np.array([-0.1], np.float32), -0.1)
    sentence = "This is the most interesting thing that I've ever seen. "
    assert is_invented(9 * sentence, sure, speech_s=20.0)
    assert not is_invented(3 * sentence, sure, speech_s=10.0)
    assert not is_invented("No, no, no, no, no, no, no.", sure, speech_s=3.0)


def test_a_sentence_said_three_times_must_be_heard_by_both() -> None:
    sure, unsure = (Hypothesis((5,), np.array([p], np.float32), p) for p in (-0.1, -0.9))
    loop = 3 * "It's a difference between us and others. "
    assert is_guess(sure, unsure, loop, "and I believe that he would have been there by then")
    assert not is_guess(
        sure, unsure, loop, "it's the difference between us and others it's the difference between them"
    )
