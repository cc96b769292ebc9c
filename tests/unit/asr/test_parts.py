"""Rules of the parts that need no stream."""

from dataclasses import replace

import numpy as np
import pytest

from services.asr.agreement import StablePrefix
from services.asr.endpointing import CUT_STRETCH, MAX_LENGTH, Endpointer, Silence, Span
from services.asr.language import LanguageState
from services.asr.mel import log_mel
from services.asr.service import AsrExpert
from services.asr.trust import compression
from services.runtime.percept import Word
from tests.unit.asr.conftest import Samples


def _first_event(probabilities: list[float], levels: list[float] | None = None) -> Span | Silence | None:
    endpointer = Endpointer()
    levels = levels or [0.1] * len(probabilities)
    steps = (endpointer.step(p, level) for p, level in zip(probabilities, levels, strict=True))
    return next((event for event in steps if event is not None), None)


def test_a_short_pause_does_not_end_an_utterance() -> None:
    assert _first_event([0.9] * 30 + [0.1] * 10 + [0.9] * 30) is None


def test_a_pause_ends_an_utterance_and_keeps_some_of_its_edges() -> None:
    span = _first_event([0.0] * 50 + [0.9] * 30 + [0.0] * 20)
    assert isinstance(span, Span)
    assert span.start < 50 and 80 < span.end < 100
    assert int(span.active.sum()) == 30 and len(span.active) == span.end - span.start


def test_a_monologue_is_cut_where_it_is_quietest() -> None:
    quiet = MAX_LENGTH - CUT_STRETCH // 2
    levels = [0.1] * MAX_LENGTH
    levels[quiet - 2 : quiet + 3] = [0.01] * 5
    span = _first_event([0.9] * MAX_LENGTH, levels)
    assert isinstance(span, Span) and abs(span.end - quiet) <= 2


@pytest.mark.parametrize("state", [LanguageState(), LanguageState("de"), LanguageState("en", 12.5)])
def test_what_is_known_of_the_language_comes_back_from_a_checkpoint(state: LanguageState) -> None:
    assert LanguageState.from_bytes(state.to_bytes()) == state


@pytest.mark.parametrize(
    "data",
    [
        b"no json", b"[]", b'{"tongue": "en"}', b'{"language": 5}', b'{"language": "English!"}', b'{"language": null}',
        b'{"unchecked_s": "many"}', b'{"unchecked_s": -1}', b'{"unchecked_s": NaN}', b'{"unchecked_s": Infinity}',
        b'{"unchecked_s": true}', b'{"unchecked_s": [1]}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_no_checkpoint_says_of_the_language_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=" "):
        LanguageState.from_bytes(data)


def test_a_language_once_known_changes_only_on_strong_evidence() -> None:
    language, state = LanguageState().checked({"de": 0.9, "en": 0.01, "nl": 0.09}, -1.2, 3.0)
    assert (language, state.language) == ("de", "de")
    language, state = state.checked({"nl": 0.6, "de": 0.4, "en": 0.001}, -1.2, 3.0)
    assert (language, state.language) == ("de", "de")
    language, state = state.checked({"en": 0.97, "de": 0.03}, -0.2, 3.0)
    assert (language, state.language) == ("en", "en")


def test_a_word_does_not_set_the_language_of_a_stream() -> None:
    language, state = LanguageState().checked({"de": 0.99, "en": 0.01}, -1.2, 0.4)
    assert (language, state.language) == ("de", "")


def test_fluent_english_outweighs_an_unsure_guess() -> None:
    language, _ = LanguageState().checked({"nl": 0.84, "en": 0.1}, -0.14, 0.9)
    assert language == "en"


def test_an_unsure_reading_weighs_less_in_a_short_utterance() -> None:
    guess = {"en": 0.89, "nl": 0.07}
    assert LanguageState().checked(guess, -0.96, 1.6)[0] == "en"
    assert LanguageState().checked(guess, -0.96, 5.0)[0] == "nl"


def test_a_short_word_that_is_unsure_is_looked_at_and_stays_english() -> None:
    state = LanguageState("en")
    assert state.is_doubtful(-0.9, 0.6) and not state.is_doubtful(-0.7, 0.6)
    assert state.checked({"fr": 0.99, "en": 0.01}, -0.9, 0.6)[0] == "en"


def test_clear_english_is_not_checked_again_and_again() -> None:
    state = LanguageState("en")
    assert not state.is_doubtful(-0.2, 5.0) and not state.is_due(5.0)
    assert state.is_doubtful(-1.2, 5.0)
    assert LanguageState("en", unchecked_s=1000.0).is_due(5.0)


def test_a_new_stream_is_read_by_whisper_unless_it_is_fluent_english_of_some_length() -> None:
    state = LanguageState()
    assert state.is_due(5.0) and not state.is_doubtful(-0.2, 5.0)
    assert state.is_doubtful(-0.2, 0.6) and state.is_doubtful(-0.9, 5.0)
    assert LanguageState("fr").is_doubtful(-0.2, 5.0)


def test_log_mel_is_the_published_definition(speech: Samples) -> None:
    audio = np.pad(speech.astype(np.float64), (0, 480_000 - len(speech)))
    padded = np.pad(audio, 200, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    got = log_mel(speech)
    assert got.shape == (80, 3000)
    np.testing.assert_array_equal(log_mel(speech, 1000), got[:, :1000])
    centre = _mel_edges()
    column = []
    for frame in (0, 3, 111, 400, len(speech) // 160 + 1, 2999):
        spectrum = np.abs(np.fft.rfft(padded[frame * 160 : frame * 160 + 400] * hann)) ** 2
        bins = np.arange(201) * 40.0
        energies = [
            sum(
                max(0.0, min((b - lo) / (mid - lo), (hi - b) / (hi - mid))) * 2 / (hi - lo) * e
                for b, e in zip(bins, spectrum, strict=True)
            )
            for lo, mid, hi in zip(centre[:-2], centre[1:-1], centre[2:], strict=True)
        ]
        column.append((frame, np.log10(np.maximum(energies, 1e-10))))
    top = got.max() * 4 - 4
    for frame, want in column:
        np.testing.assert_allclose(got[:, frame], (np.maximum(want, top - 8) + 4) / 4, atol=2e-4)


def _mel_edges() -> list[float]:
    """Slaney: 15 mel up to 1 kHz in steps of 200/3 Hz, then 27 mel a factor of 6.4."""
    top = 15 + 27 * np.log(8) / np.log(6.4)
    mels = np.linspace(0, top, 82)
    return [m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in mels]


def test_a_loop_is_told_from_speech() -> None:
    assert compression("I really liked that account of himself better than anything else he said.") < 1.5
    assert compression("Thank you. " * 20) > 2.4


def test_a_draft_does_not_change_what_moonshine_writes(expert: AsrExpert, speech: Samples) -> None:
    free = expert.moonshine.transcribe(speech)
    drafted = expert.moonshine.transcribe(speech, draft=free.tokens[:9])
    assert drafted.tokens == free.tokens
    # activations of several tokens are quantised together
    np.testing.assert_allclose(drafted.log_probs, free.log_probs, atol=0.5)


def test_a_wrong_draft_is_left_where_it_goes_wrong(expert: AsrExpert, speech: Samples) -> None:
    free = expert.moonshine.transcribe(speech)
    wrong = (*free.tokens[:4], 1000, 1001, 1002)
    assert expert.moonshine.transcribe(speech, draft=wrong).tokens == free.tokens


def _words(text: str) -> list[Word]:
    return [Word(t, i * 8_000, (i + 1) * 8_000) for i, t in enumerate(text.split())]


def test_words_become_stable_after_three_looks_and_stay() -> None:
    prefix = StablePrefix()
    assert prefix.look(_words("I saw the"), 24_000)[1] == 0
    assert prefix.look(_words("I saw the bee"), 32_000)[1] == 0
    assert prefix.look(_words("I saw the bees in"), 40_000)[1] == 3
    shown, stable = prefix.look(_words("Eye saw a bees in here"), 48_000)
    assert [w.text for w in shown] == ["I", "saw", "the", "bees", "in", "here"]
    assert stable == 3


def test_words_near_the_end_of_the_audio_are_not_stable_yet() -> None:
    prefix = StablePrefix()
    for _ in range(4):
        shown, stable = prefix.look(_words("I saw the bee"), 24_000)
    assert (len(shown), stable) == (4, 1)


def test_words_after_stable_ones_never_begin_before_their_end() -> None:
    prefix = StablePrefix()
    for _ in range(3):
        prefix.look(_words("I saw the bee"), 40_000)
    earlier = [
        replace(w, start_sample=w.start_sample // 2, end_sample=w.end_sample // 2) for w in _words("I saw the bee")
    ]
    shown, _ = prefix.look(earlier, 48_000)
    edges = [edge for word in shown for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges)
