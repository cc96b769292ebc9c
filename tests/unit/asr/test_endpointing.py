"""Rules of where speech begins and ends, and of finals that come before it is sure."""

from dataclasses import replace

import numpy as np
import pytest

from services.asr.agreement import StablePrefix
from services.asr.alignment import Hypothesis
from services.asr.endpointing import Endpointer, Endpointing, Silence, Span
from services.asr.finals import Finals
from services.asr.settings import parse_options
from services.asr.turn import is_complete
from services.runtime.percept import Transcript, Word


def _ended(probabilities: list[float], settings: Endpointing | None = None) -> Span | Silence | None:
    endpointer = Endpointer(settings or Endpointing())
    steps = (endpointer.step(probability, 0.1) for probability in probabilities)
    return next((event for event in steps if event is not None), None)


def _words(text: str) -> list[Word]:
    return [Word(t, i * 8_000, (i + 1) * 8_000, 1.0) for i, t in enumerate(text.split())]


def test_speech_begins_when_enough_of_the_start_history_holds_it() -> None:
    patient = Endpointing(start_history_s=0.32, start_threshold=0.5)
    assert _ended([0.0] * 20 + [0.9] * 4 + [0.0] * 40, patient) is None
    span = _ended([0.0] * 20 + [0.9] * 5 + [0.0] * 40, patient)
    assert isinstance(span, Span) and span.start < 20


@pytest.mark.parametrize(("history_s", "windows"), [(0.32, 10), (0.6, 19), (1.6, 50)])
def test_the_stop_history_is_the_pause_that_ends_an_utterance(history_s: float, windows: int) -> None:
    settings = Endpointing(stop_history_s=history_s)
    assert _ended([0.9] * 30 + [0.0] * (windows - 1) + [0.9], settings) is None
    assert isinstance(_ended([0.9] * 30 + [0.0] * windows, settings), Span)


def test_a_stop_threshold_below_one_forgives_a_click_in_the_pause() -> None:
    clicks = [0.9] * 30 + ([0.0] * 9 + [0.9]) * 3 + [0.0] * 5
    assert _ended(clicks) is None
    assert isinstance(_ended(clicks, Endpointing(stop_threshold=0.85)), Span)


@pytest.mark.parametrize(("history_s", "threshold", "windows"), [(0.16, 1.0, 5), (0.32, 1.0, 10), (0.32, 0.5, 5)])
def test_the_shorter_history_tells_of_a_pause_before_it_ends_the_utterance(
    history_s: float, threshold: float, windows: int
) -> None:
    endpointer = Endpointer(Endpointing(stop_history_eou_s=history_s, stop_threshold_eou=threshold))
    seen = []
    for probability in [0.9] * 30 + [0.0] * 12:
        assert endpointer.step(probability, 0.1) is None
        seen.append(endpointer.is_pause)
    assert seen.index(True) == 30 + windows - 1 and all(seen[30 + windows - 1 :])


def test_words_from_the_first_doubtful_one_on_are_held_back_until_they_are_heard_again() -> None:
    prefix = StablePrefix()
    heard = _words("I saw the bees")
    heard[2] = replace(heard[2], confidence=0.79)
    assert [w.text for w in prefix.look(heard, 34_000)[0]] == ["I", "saw"]
    assert [w.text for w in prefix.look(heard, 38_000)[0]] == ["I", "saw", "the", "bees"]


def test_a_doubtful_word_never_becomes_stable() -> None:
    prefix = StablePrefix()
    heard = _words("I saw the bees")
    heard[1] = replace(heard[1], confidence=0.75)
    assert [prefix.look(heard, 48_000)[1] for _ in range(4)] == [0, 0, 1, 1]


def test_the_first_word_is_shown_however_doubtful_and_stays_until_one_is_sure() -> None:
    prefix = StablePrefix()
    assert prefix.look([], 18_000) == ((), 0)
    for text, confidence, shown in (("I", 0.1, "I"), ("Eye", 0.6, "I"), ("Why", 0.9, "Why"), ("I", 0.2, "Why")):
        heard = [replace(word, confidence=confidence) for word in _words(f"{text} saw")[:1]]
        assert [w.text for w in prefix.look(heard, 18_000)[0]] == [shown]


def test_a_correction_keeps_names_and_spans_and_grows_the_revision() -> None:
    finals = Finals()
    (first,) = finals.say(_transcript("I saw the"))
    corrected, second = finals.say(_transcript("I see the bees in"))
    assert (corrected.text, corrected.revision, corrected.utterance_id) == ("I see the", 1, first.utterance_id)
    assert (corrected.start_sample, corrected.end_sample) == (first.start_sample, first.end_sample)
    assert (second.text, second.revision, second.start_sample) == ("bees in", 0, first.end_sample)
    assert finals.say(_transcript("I see the bees in")) == []


def test_a_reading_that_leaves_a_final_without_words_corrects_none() -> None:
    finals = Finals()
    finals.say(_transcript("I"))
    late = replace(_transcript("saw the"), words=tuple(_words("I saw the")[1:]), end_sample=24_000)
    assert [(t.text, t.revision) for t in finals.say(late)] == [("saw the", 0)]


def test_times_alone_are_corrected_by_a_better_reading_only() -> None:
    finals = Finals()
    said = _transcript("I saw")
    finals.say(said)
    moved = replace(said, words=(said.words[0], replace(said.words[1], start_sample=8_100)))
    assert finals.say(moved) == []
    assert [t.revision for t in finals.say(moved, is_better=True)] == [1]


def _transcript(text: str) -> Transcript:
    words = tuple(_words(text))
    return Transcript("u000000000000", True, 0, words[-1].end_sample, words, len(words), "en", 0.9)


@pytest.mark.parametrize(
    ("text", "closing", "complete"), [("So it is.", -0.1, True), ("So it is.", -1.0, False), ("So it is,", -0.1, False)]
)
def test_a_turn_is_over_when_its_sentence_is_closed_for_sure(text: str, closing: float, complete: bool) -> None:
    hypothesis = Hypothesis((5, 6), np.array([-0.1, closing], np.float32), 0.0)
    assert is_complete(_transcript(text), hypothesis) is complete


def test_a_named_history_goes_before_the_sensitivity() -> None:
    short = parse_options({"endpointing_sensitivity": "short"}).endpointing
    both = parse_options({"endpointing_sensitivity": "short", "stop_history": "300"}).endpointing
    assert (short.stop_history_s, both.stop_history_s) == (0.4, 0.3)
    assert both.stop_history_eou_s == short.stop_history_eou_s == parse_options({}).endpointing.stop_history_eou_s
