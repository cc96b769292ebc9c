import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from services.gateway.formats import CUE_LINE_CHARACTERS, FORMATS, render
from services.gateway.transcript import Answer, Document, Evidence, Screen, Segment
from services.runtime.percept import SpeakerTurn, TextRegion, Word

RATE = 16_000


def _segment(start_s, text, speaker="", seconds_a_word=0.5, language="en"):
    words = tuple(
        Word(w, int((start_s + i * seconds_a_word) * RATE), int((start_s + (i + 1) * seconds_a_word) * RATE), 0.9)
        for i, w in enumerate(text.split())
    )
    return Segment(f"u{start_s}", words[0].start_sample, words[-1].end_sample, speaker, words, language, 0.8)


MEETING = Document(
    session_id="20261122-1",
    title="Budget *review*",
    language="en",
    end_sample=70 * RATE,
    segments=(
        _segment(1, "Profit & loss < zero --> bad.", "Priya"),
        _segment(4, "# Not a heading, _really_.", "Jan Kowalski"),
        _segment(3700, "[link](http://x) 1. item", ""),
    ),
    screens=(
        Screen(2 * RATE, 70 * RATE, 640, 480, "v0", (TextRegion("r1", "1. Agenda <b>", (1, 2, 3.14159, 4), 0.75),)),
    ),
    turns=(
        SpeakerTurn("t1", "Priya", RATE, 4 * RATE, 0.9),
        SpeakerTurn("t2", "Jan Kowalski", int(3.5 * RATE), 6 * RATE),
        SpeakerTurn("t3", "Priya", int(3.9 * RATE), 5 * RATE),
    ),
    answers=(
        Answer(
            "q1",
            "Who?",
            "Priya.",
            False,
            0.7,
            (Evidence("speech", "Profit", "Priya", RATE, 2 * RATE, None, "", "u1", 1.0),),
            "extract",
        ),
    ),
)


def _srt_cues(text):
    cues = []
    for block in text.strip("\n").split("\n\n") if text else []:
        number, times, *lines = block.split("\n")
        match = re.fullmatch(r"(\d\d+):(\d\d):(\d\d),(\d{3}) --> (\d\d+):(\d\d):(\d\d),(\d{3})", times)
        assert match, times
        assert int(number) == len(cues) + 1
        at = [int(part) for part in match.groups()]
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (at[:4], at[4:]))
        cues.append((start, end, lines))
    return cues


def _vtt_cues(text):
    head, *blocks = text.strip("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        match = re.fullmatch(r"(\d\d+):(\d\d):(\d\d\.\d{3}) --> (\d\d+):(\d\d):(\d\d\.\d{3})", times)
        assert match, times
        assert "-->" not in "".join(lines)
        voice = re.fullmatch(r"<v ([^<>\n]+)>(.*)</v>", "\n".join(lines), re.DOTALL)
        speaker, body = voice.groups() if voice else ("", "\n".join(lines))
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", body)
        cues.append((_unescape(speaker), _unescape(body).replace("\n", " ")))
    return cues


def _unescape(text):
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_json_has_the_promised_shape():
    made = json.loads(render(MEETING, "json"))
    assert list(made) == [
        "session",
        "duration_s",
        "language",
        "segments",
        "screen",
        "slides",
        "screen_events",
        "missing",
    ]
    assert made["duration_s"] == 70
    assert set(made["segments"][0]) >= {"start_s", "end_s", "speaker", "text", "confidence", "words"}
    assert made["segments"][0]["words"][0] == {"word": "Profit", "start_s": 1, "end_s": 1.5, "confidence": 0.9}
    assert made["segments"][2]["speaker"] is None
    assert made["screen"] == [
        {
            "start_s": 2,
            "end_s": 70,
            "regions": [{"text": "1. Agenda <b>", "box": [1, 2, 3.14, 4], "confidence": 0.75, "kind": "text"}],
        }
    ]


def test_jsonl_is_one_object_a_line_in_order_of_time():
    lines = [json.loads(line) for line in render(MEETING, "jsonl").splitlines()]
    assert [line["type"] for line in lines] == [
        *("session", "turn", "segment", "screen", "turn", "turn", "segment", "segment", "answer")
    ]
    starts = [line["start_s"] for line in lines[1:-1]]
    assert starts == sorted(starts)


def test_srt_names_speakers_and_keeps_its_arrow_to_itself():
    cues = _srt_cues(render(MEETING, "srt"))
    assert cues[0][2] == ["Priya: Profit & loss < zero → bad."]
    assert cues[2][:2] == (3_700_000, 3_701_500)


def test_vtt_says_the_same_words_after_unescaping():
    assert _vtt_cues(render(MEETING, "vtt")) == [
        ("Priya", "Profit & loss < zero --> bad."),
        ("Jan Kowalski", "# Not a heading, _really_."),
        ("", "[link](http://x) 1. item"),
    ]


def test_long_speech_becomes_cues_of_two_short_lines_and_loses_no_word():
    text = "The quick brown fox jumps over the lazy dog again. " * 8
    cues = _srt_cues(render(Document(segments=(_segment(0, text),)), "srt"))
    assert " ".join(line for _, _, lines in cues for line in lines) == text.strip()
    assert all(len(lines) <= 2 and max(map(len, lines)) <= CUE_LINE_CHARACTERS for _, _, lines in cues)
    assert all(end - start <= 7_500 for start, end, _ in cues)


def test_rttm_keeps_overlap_of_speakers_and_joins_what_one_speaker_says_at_once():
    assert render(MEETING, "rttm", stem="my file").splitlines() == [
        "SPEAKER my_file 1 1.000 4.000 <NA> <NA> Priya <NA> <NA>",
        "SPEAKER my_file 1 3.500 2.500 <NA> <NA> Jan_Kowalski <NA> <NA>",
    ]


def test_ctm_has_a_line_for_each_word_with_its_confidence():
    lines = [line.split() for line in render(MEETING, "ctm").splitlines()]
    assert lines[0] == ["20261122-1", "1", "1.000", "0.500", "Profit", "0.9000"]
    assert len(lines) == sum(len(segment.words) for segment in MEETING.segments)


def test_txt_reads_in_order_with_the_screen():
    assert render(MEETING, "txt").splitlines() == [
        "[00:01] Priya: Profit & loss < zero --> bad.",
        "[00:02] (screen) 1. Agenda <b>",
        "[00:04] Jan Kowalski: # Not a heading, _really_.",
        "[1:01:40] [link](http://x) 1. item",
    ]


def _markdown_text(source):
    """Visible text of all inline tokens, and the kinds of block that were opened."""
    tokens = MarkdownIt("commonmark").parse(source)
    inline = [
        "".join(child.content for child in token.children if child.type in ("text", "text_special"))
        for token in tokens
        if token.type == "inline"
    ]
    return inline, {token.type for token in tokens}


def test_md_shows_every_word_as_it_was():
    inline, kinds = _markdown_text(render(MEETING, "md"))
    assert inline[0] == "Budget *review*"
    assert "Priya 00:01: Profit & loss < zero --> bad." in inline
    assert "1. Agenda <b>" in inline
    assert "Somebody 1:01:40: [link](http://x) 1. item" in inline
    assert "ordered_list_open" not in kinds and "html_block" not in kinds


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_an_empty_document(name):
    text = render(Document(), name)
    assert text == "" or text.endswith("\n")
    if name == "vtt":
        assert _vtt_cues(text) == []
    if name == "json":
        assert json.loads(text)["segments"] == []


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_its_last_line(name):
    assert render(MEETING, name).endswith("\n")


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'docx', must be one of txt, json"):
        render(MEETING, "docx")


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1), min_size=1, max_size=6))
def test_no_word_breaks_a_format(words):
    made = tuple(Word(word, i * RATE, (i + 1) * RATE) for i, word in enumerate(words))
    document = Document(segments=(Segment("u", 0, len(made) * RATE, words[0], made, "en", None),))
    for name in FORMATS:
        assert render(document, name).endswith("\n") or name == "rttm"
    assert " ".join(text for _, text in _vtt_cues(render(document, "vtt"))) == " ".join(words)
    assert _srt_cues(render(document, "srt"))
    assert len(render(document, "ctm").splitlines()) == len(words)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1))
def test_no_text_escapes_from_its_place_in_markdown(text):
    document = Document(
        screens=(Screen(0, RATE, 1, 1, "", (TextRegion("r", text, (0, 0, 1, 1)),)),),
        end_sample=RATE,
        title="t",
    )
    inline, kinds = _markdown_text(render(document, "md"))
    assert inline[-1] == text
    assert not kinds & {"html_block", "code_block", "fence", "hr"}
