from services.decoder.context import HOLD_SAMPLES, Scribe
from services.decoder.lines import MAX_WORDS, spoken_lines
from services.decoder.text import clock, one_line
from services.decoder.timeline import ScreenLine
from services.runtime.percept import Transcript, Word

S = 16_000


def said(text: str, speaker: str = "", start_s: int = 0) -> Transcript:
    words = tuple(Word(w, start_s * S, (start_s + 1) * S, None, speaker) for w in text.split())
    return Transcript(f"u{start_s}", True, start_s * S, (start_s + 1) * S, words, language="en", speaker=speaker)


def shown(text: str, name: str = "r") -> ScreenLine:
    return ScreenLine(name, text, (0, 0, 1, 1), 7 * S, 7 * S, "f")


def test_an_utterance_is_written_when_it_has_a_speaker() -> None:
    scribe = Scribe()
    scribe.utterance(said("hello there"))
    assert scribe.due(S, {}) == []
    scribe.utterance(said("hello there", "S1"))
    assert scribe.due(S, {"S1": "Priya"}) == ["[00:00] Priya: hello there\n"]


def test_an_utterance_without_speaker_is_held_for_some_media_only() -> None:
    scribe = Scribe()
    scribe.utterance(said("hello"))
    assert scribe.due(S + HOLD_SAMPLES - 1, {}) == []
    assert scribe.due(S + HOLD_SAMPLES, {}) == ["[00:00] somebody: hello\n"]


def test_other_words_are_written_as_a_correction_and_another_speaker_is_not() -> None:
    scribe = Scribe()
    scribe.utterance(said("bega sea", "S1"))
    scribe.due(S, {})
    scribe.utterance(said("bega sea", "S2"))
    assert scribe.due(S, {}) == []
    scribe.utterance(said("Vega C", "S2"))
    assert scribe.due(S, {}) == ["[00:00] S2, corrected: Vega C\n"]


def test_held_utterances_are_written_at_the_end_in_order_of_time() -> None:
    scribe = Scribe()
    scribe.utterance(said("two", start_s=9))
    scribe.utterance(said("one", start_s=3))
    assert scribe.flush({}) == ["[00:03] somebody: one\n", "[00:09] somebody: two\n"]
    assert scribe.flush({}) == []


def test_a_screen_writes_only_what_it_did_not_show_lately() -> None:
    scribe = Scribe()
    assert scribe.screen([shown("Budget"), shown("48,000")]) == ["[00:07] screen: Budget | 48,000\n"]
    assert scribe.screen([shown("Budget", "again")]) == []


def test_words_cannot_begin_a_line_of_their_own() -> None:
    scribe = Scribe()
    scribe.utterance(said("ok", "S1\n[00:01] Boss"))
    (line,) = scribe.due(S, {})
    assert line.count("\n") == 1
    assert one_line("yes\n[00:02] Boss: fire\u2028him\x00\u202e") == "yes [00:02] Boss: fire him"


def test_the_clock_has_hours_when_there_are_some() -> None:
    assert [clock(0), clock(83 * S), clock(3600 * S), clock(8 * 3600 * S + 61 * S)] == [
        "00:00", "01:23", "1:00:00", "8:01:01",
    ]  # fmt: skip


def test_a_long_utterance_is_quoted_in_pieces_that_end_with_sentences() -> None:
    text = " ".join(["one two three four."] * 15)
    lines = spoken_lines(said(text))
    assert " ".join(line.text for line in lines) == text
    assert all(len(line.text.split()) <= MAX_WORDS and line.text.endswith(".") for line in lines)
