"""Transcripts of other tools: read as their formats say, refused with the line, the same when exported again."""

import json
import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.session.v1 import session_pb2 as pb
from services.gateway.formats import render
from services.gateway.importing import MAX_FILE_BYTES, MAX_SEGMENTS, events_of, read
from services.gateway.transcript import Document, Screen, Segment, fold
from services.runtime.percept import Correction, SpeakerTurn, TextRegion, Word
from services.runtime.stage import MediaError
from tests.unit.gateway.conftest import Gateway

MS = 16
SAID = {"start_s": 1, "end_s": 2.5, "speaker": "Priya", "text": "We ship on Friday."}


def imported(text: str | bytes, **more: str) -> Document:
    """The session that a file becomes, as it is folded for every export."""
    document = read(text.encode() if isinstance(text, str) else text, **more)
    return fold([event for event, _ in events_of(document)], session_id="s", title=document.title)


def lines(document: Document) -> list[tuple[float, float, str, str]]:
    """(start in s, end in s, speaker, text) of every segment."""
    return [(s.start_sample / 16_000, s.end_sample / 16_000, s.speaker, s.text) for s in document.segments]


def refusal(text: str | bytes) -> str:
    with pytest.raises(MediaError) as caught:
        read(text.encode() if isinstance(text, str) else text)
    return str(caught.value)


def srt(text: str) -> str:
    return f"1\n00:00:01,000 --> 00:00:09,000\n{text}\n"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("So the release moves to Friday. Who can look at the checklist before that?", "en"),
        ("Also, der Termin wird auf Freitag verschoben. Wir brauchen noch jemanden für den Kunden.", "de"),
        ("Donc la sortie est repoussée à vendredi. Il nous faut encore quelqu'un pour le client.", "fr"),
        ("Så lanseringen flyttas till fredag. Kan du kontrollera listan innan dess? Ja, i kväll.", ""),
        ("Així doncs l'entrega es mou a divendres. Ens cal algú per a la trucada amb el client.", ""),
        ("Так что релиз переносится на пятницу. Кто может проверить список до этого?", ""),
        ("To the lab.", ""),
    ],
)
def test_where_nobody_says_the_language_the_words_tell_it_or_it_stays_unknown(text: str, language: str) -> None:
    document = imported(srt(text))
    assert document.language == language and {s.language for s in document.segments} == {language}
    assert imported(srt(text), language="pl").segments[0].language == "pl"


def test_the_language_of_a_whole_document_is_that_of_its_segments() -> None:
    document = imported(json.dumps({"language": "de", "segments": [SAID]}))
    assert [s.language for s in document.segments] == ["de"]


# -- WebVTT ---------------------------------------------------------------------------------------


def test_vtt_is_read_as_the_standard_says() -> None:
    text = (
        "\ufeffWEBVTT - made by hand\r\nKind: captions\r\nLanguage: en\r\n\r\n"
        "STYLE\r\n::cue { color: red }\r\n\r\nREGION\r\nid:fred\r\n\r\nNOTE a comment\r\nof two lines\r\n\r\n"
        "intro\r\n00:01.000 --> 00:02.500 align:start position:0%\r\n"
        "<v.loud Mary Ann>Q&amp;A is at <b>3</b> &lt;sharp&gt;.</v>\r\n\r\n"
        "00:00:03.000 --> 00:00:04.000\r\n<c.yellow>Nobody</c> <00:00:03.500>knows\r\nwho.\r\n\r\n"
        "01:00:00.000 --> 01:00:01.000\r\n<v Bob>Late.\r\n"
    )
    document = imported(text)
    assert lines(document) == [
        (1.0, 2.5, "Mary Ann", "Q&A is at 3 <sharp>."),
        (3.0, 4.0, "", "Nobody knows who."),
        (3600.0, 3601.0, "Bob", "Late."),
    ]
    assert document.language == "en" and document.end_sample == 3601 * 16_000


def test_voices_of_one_cue_share_its_time() -> None:
    document = imported("WEBVTT\n\n00:00.000 --> 00:04.000\n<v Ada>Ready?</v>\n<v Bo>Ready.</v>\n")
    assert [(s, t) for _, _, s, t in lines(document)] == [("Ada", "Ready?"), ("Bo", "Ready.")]
    first, second = document.segments
    assert 0 == first.start_sample < first.end_sample <= second.start_sample < second.end_sample == 4 * 16_000


def test_cues_may_overlap_come_unordered_and_lack_a_blank_line_before_them() -> None:
    text = "WEBVTT\n00:05.000 --> 00:07.000\nsecond\n00:01.000 --> 00:06.000\nfirst\n\n00:08.000 --> 00:08.000\n"
    assert lines(imported(text)) == [(1.0, 6.0, "", "first"), (5.0, 7.0, "", "second")]


def test_lines_of_scripts_without_spaces_are_joined_without_one() -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:02.000\n<v 王>我们星期五\n发布</v>\n"
    assert lines(imported(text)) == [(0.0, 2.0, "王", "我们星期五发布")]
    assert len(imported(text, language="zh").segments[0].words) == 7


def test_readings_of_ruby_characters_are_not_said() -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\n<ruby>漢<rt>kan</rt></ruby>字\n"
    assert lines(imported(text))[0][3] == "漢字"


# -- SubRip ---------------------------------------------------------------------------------------


def test_srt_takes_names_where_half_of_the_cues_have_one() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\nPriya Nair: <i>Hello</i> {\\an8}there.\n\n"
        "2\n00:00:02,000 --> 00:00:03,000 X1:1 X2:2\nJan: Two\n\nparagraphs.\n\n"
        "3\n0:04,5 --> 0:05,000\nnobody's words\n"
    )
    assert lines(imported(text)) == [
        (1.0, 2.0, "Priya Nair", "Hello there."),
        (2.0, 3.0, "Jan", "Two paragraphs."),
        (4.5, 5.0, "", "nobody's words"),
    ]


def test_srt_with_a_colon_now_and_then_has_no_speakers() -> None:
    cues = ["So: we begin.", "The price went up.", "Again.", "And the date was moved."]
    text = "".join(f"{i}\n00:00:0{i},000 --> 00:00:0{i},900\n{cue}\n\n" for i, cue in enumerate(cues, 1))
    assert [(speaker, said) for _, _, speaker, said in lines(imported(text))] == [("", cue) for cue in cues]


def test_srt_without_numbers_keeps_a_number_that_is_said() -> None:
    text = "00:00:01,000 --> 00:00:02,000\nHow many?\n42\n\n00:00:02,000 --> 00:00:03,000\n7\n"
    assert [said for *_, said in lines(imported(text))] == ["How many? 42", "7"]


# -- ours -----------------------------------------------------------------------------------------


def test_json_without_words_gets_them_spread_over_its_time() -> None:
    document = imported(json.dumps({"segments": [SAID]}), title="Standup", language="en")
    (segment,) = document.segments
    assert [word.text for word in segment.words] == ["We", "ship", "on", "Friday."]
    assert segment.words[0].start_sample == 16_000 and segment.words[-1].end_sample == 40_000
    assert document.title == "Standup"


def test_jsonl_of_segments_and_screens_is_enough() -> None:
    shown = {"type": "screen", "start_s": 0, "end_s": 2, "regions": [{"text": "Agenda", "box": [0, 0, 50, 20]}]}
    text = "\n\n".join(json.dumps(line) for line in ({"type": "segment", **SAID}, shown))
    document = imported(text)
    assert lines(document) == [(1.0, 2.5, "Priya", "We ship on Friday.")]
    assert [(s.start_sample, s.end_sample, s.lines) for s in document.screens] == [
        (0, 32_000, ("Agenda",)),
        (32_000, 40_000, ()),
    ]
    assert (document.screens[0].width_px, document.screens[0].height_px) == (50, 20)


def test_speakers_get_ids_of_the_session_and_keep_their_names() -> None:
    said = [{**SAID, "speaker": name} for name in ("Priya", "S1", None)]
    events = [event for event, _ in events_of(read(json.dumps({"segments": said}).encode()))]
    names = {e.speaker_name.speaker: e.speaker_name.name for e in events if e.HasField("speaker_name")}
    assert names == {"S2": "Priya"}
    assert [e.utterance.speaker for e in events if e.HasField("utterance")] == ["S2", "S1", ""]
    assert events[-1].ended.end_sample == 40_000


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the file is none of those that can be imported"),
        ("hello", "line 1: the file is none"),
        ("WEBVTTX\n", "line 1: a WebVTT file begins with the line WEBVTT"),
        ("WEBVTT\n\n", "nothing is said or shown"),
        ("WEBVTT\n\nx\n00:01.000 -> 00:02.000\n00:3.000 --> 00:04.000\nhi", "line 5: a cue's times are '00:3.000"),
        ("WEBVTT\n\n00:05.000 --> 00:04.000\nhi", "line 3: a cue ends at 4.0 s, before it begins at 5.0 s"),
        ("WEBVTT\n\n999:00:00.000 --> 999:00:01.000\nhi", "line 3: the time 999:00:00 is out of range"),
        ("WEBVTT\n\n" + "9" * 9999 + ":00:00.000 --> 00:01.000\nhi", "line 3: the time 999999999:00:00 is out"),
        ("1\n00:00:01,000 --> soon\nhi", "line 2: a cue's times are"),
        ("1\n00:00:01,000 --> 00:61:01,000\nhi", "line 2: the time 00:61:01"),
        ('{"segments": [\n{"start_s": 1,}]}', "line 2: this is not JSON"),
        ('{"segments": 3}', "segments: Input should be a valid list, it is 3"),
        ('{"segments": [{"start_s": NaN, "end_s": 1, "text": "x"}]}', "segments.0.start_s: Input should be"),
        ('{"segments": [{"start_s": 2, "end_s": 1, "text": "x"}]}', "segments.0: it ends at 1.0 s, before it begins"),
        ('{"segments": [{"start_s": 0, "end_s": 1e9, "text": "x"}]}', "segments.0.end_s: Input should be less than"),
        ('{"segments": [{"start_s": "0", "end_s": 1, "text": "x"}]}', "it is '0'"),
        ('{"type": "session"}\n{"type": "segment", "start_s": 1}', "line 2 end_s: Field required"),
        ('{"type": "session"}\n{"type": "dance"}', "line 2: type is 'dance', must be one of session, segment"),
        ('{"type": "session"}\n[]', "line 2: this is a JSON list"),
        ('{"type": "session"}\n' + "[" * 100_000, "line 2: "),
        ('{"type": "session"}\n{"a": ' + "9" * 5000 + "}", "line 2: a number is too long"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\xfe", "line 4: this is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str | bytes, says: str) -> None:
    assert refusal(text).startswith(says) or says in refusal(text)


def test_words_that_do_not_make_up_the_text_are_refused() -> None:
    word = {"word": "No", "start_s": 1, "end_s": 2}
    assert "segments.0: its words do not make up its text" in refusal(
        json.dumps({"segments": [{**SAID, "words": [word]}]})
    )


def test_there_are_limits() -> None:
    assert f"must be {MAX_FILE_BYTES} or fewer" in refusal(b" " * (MAX_FILE_BYTES + 1))
    many = "WEBVTT\n\n" + "00:01.000 --> 00:02.000\nhi\n\n" * (MAX_SEGMENTS + 1)
    assert f"there are {MAX_SEGMENTS + 1} pieces of speech" in refusal(many)
    named = f"WEBVTT\n\n00:01.000 --> 00:02.000\n<v {'x' * 81}>hi"
    assert "81 characters in the speaker's name at line 3" in refusal(named)
    assert "line 3: more than 16 tags are open" in refusal("WEBVTT\n\n00:01.000 --> 00:02.000\n" + "<v a>x" * 9_000)
    assert "line 3: this cue has 600000 char" in refusal("WEBVTT\n\n00:01.000 --> 00:02.000\n" + "<v a>x" * 100_000)
    assert "segments.0.start_s: Field required" in refusal('{"segments": [' + ",".join(["{}"] * 20_000) + "]}")
    assert "segments: List should have at most 20000 items" in refusal(
        json.dumps({"segments": [{"start_s": 0, "end_s": 1}] * (MAX_SEGMENTS + 1)})
    )
    assert "characters in a word at line 3" in refusal("WEBVTT\n\n00:01.000 --> 00:02.000\n" + "x" * 1001)


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_sentence(file: bytes) -> None:
    for begin in (
        b"",
        b"WEBVTT\n\n",
        b"WEBVTT\n\n00:01.000 --> 00:02.000\n",
        b'{"type": "session"}\n',
        b"1\n00:00:01,000 --> ",
    ):
        try:
            read(begin + file)
        except MediaError as error:
            assert " " in str(error)


# -- export -> import -> export -------------------------------------------------------------------

WORDS = ["Profit", "&", "<b>", "-->", "&amp;lt;", "Q&A.", "naïve?", "1.", "{\\an8}", "x" * 60, "Note:", "</v>", "🙂"]
PLAIN = ["we", "ship", "it", "on", "Friday,", "maybe.", "Really?", "documentation", "17"]
NAMES = ["Priya", "Jan Kowalski", "S1", "S3", "Zoë <admin> & co", ""]


def a_document(seed: int, words: list[str], names: list[str]) -> Document:
    """A session as `fold` makes it: times in ms, speech that may overlap, screens that meet."""
    chance = random.Random(seed)
    segments = []
    for number in range(chance.randint(1, 6)):
        at, said = chance.randint(0, 60_000), []
        for _ in range(chance.randint(1, 40)):
            end = at + chance.randint(20, 900)
            corrected = chance.choice([None, None, Correction("heard"), Correction("", box=(1, 2, 3.5, 4))])
            sure = chance.choice([None, 0.25, 0.9, 1.0])
            said.append(Word(chance.choice(words), at * MS, end * MS, sure, correction=corrected))
            at = end + chance.choice([0, 0, 1, 300, 4000])
        span = said[0].start_sample, said[-1].end_sample
        segments.append(Segment(f"u{number}", *span, chance.choice(names), tuple(said), "en", 0.8))
    starts, end_ms = sorted(chance.sample(range(0, 60_000, 400), chance.randint(0, 4))), 200_000
    screens = []
    for start, end in zip(starts, [*starts, end_ms][1:], strict=True):
        texts = chance.choices(words, k=chance.randint(0, 3))
        regions = tuple(TextRegion("r", text, (1.5, 2, 3.14, 4), 0.75) for text in texts)
        screens.append(Screen(start * MS, end * MS, 640, 480, "f", regions))
    turns = [SpeakerTurn(f"t{s.utterance_id}", s.speaker, s.start_sample, s.end_sample, 0.9) for s in segments]
    whole = Document(
        "s",
        "Budget & co",
        "en",
        end_ms * MS,
        tuple(segments),
        tuple(screens),
        tuple(turn for turn in turns if turn.speaker),
    )
    return fold([event for event, _ in events_of(whole)], session_id="s", title=whole.title)


@given(st.integers(0), st.sampled_from(["json", "jsonl"]))
def test_our_own_forms_come_back_as_they_were(seed: int, name: str) -> None:
    document = a_document(seed, WORDS, NAMES)
    again = imported(render(document, name), title=document.title)
    kept = ("json", "srt", "vtt", "txt", "ctm", "md") + (("jsonl", "rttm") if name == "jsonl" else ())
    for other in kept:
        assert render(again, other) == render(document, other)


def _cues(text: str) -> list[str]:
    """The cues of a file in order of time and text, without their numbers."""
    blocks = text.strip("\n").split("\n\n")
    return sorted(block[block.index("\n") + 1 :] if block.split("\n")[0].isdigit() else block for block in blocks)


@given(st.integers(0))
def test_vtt_comes_back_with_the_same_words_times_and_speakers(seed: int) -> None:
    text = render(a_document(seed, WORDS, NAMES), "vtt")
    assert _cues(render(imported(text, language="en"), "vtt")) == _cues(text)


@given(st.integers(0))
def test_srt_comes_back_where_everybody_is_named(seed: int) -> None:
    text = render(a_document(seed, PLAIN, ["Priya", "Jan Kowalski", "S1"]), "srt")
    assert _cues(render(imported(text, language="en"), "srt")) == _cues(text)


# -- the store and HTTP ---------------------------------------------------------------------------


async def test_a_session_is_kept_whole_or_not_at_all(gateway: Gateway) -> None:
    store, events = gateway.sessions.store, events_of(read(json.dumps({"segments": [SAID]}).encode()))
    await store.create_ended("a", pb.LiveConfig(), events)
    assert (await store.get("a")).has_ended and (await store.summary("a")).utterances == 1
    with pytest.raises(sqlite3.IntegrityError):
        await store.create_ended("b", pb.LiveConfig(), [*events, (pb.Event(), "")])
    assert [session.id for session in await store.list(10)] == ["a"]


async def test_a_file_becomes_a_session_over_http(gateway: Gateway) -> None:
    file = "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Priya>We ship on Friday.\n"
    path = "/api/sessions/import"
    made = await gateway.client.post(path, params={"title": "Plan & co"}, content=file.encode())
    assert made.status_code == 201
    session_id = made.json()["session_id"]
    (listed,) = (await gateway.client.get("/api/sessions")).json()["sessions"]
    assert listed["session_id"] == session_id and listed["title"] == "Plan & co" and listed["utterances"] == 1
    exported = await gateway.client.get(f"/api/sessions/{session_id}/export?format=vtt")
    assert exported.text == "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Priya>We ship on Friday.</v>\n"
    renamed = await gateway.client.post(f"/api/sessions/{session_id}/names", json={"speaker": "S1", "name": "Ada"})
    assert renamed.status_code == 200
    assert (await gateway.client.get(f"/api/sessions/{session_id}/export?format=txt")).text.startswith("[00:01] Ada: ")
    assert (await gateway.client.delete(f"/api/sessions/{session_id}")).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status", "says"),
    [
        (b"WEBVTT\n\n00:01 --> x\nhi", {}, 400, "line 3: a cue's times are"),
        (b"", {}, 400, "can be imported"),
        (b" " * (MAX_FILE_BYTES + 1), {}, 413, "the body is larger than"),
        (b"WEBVTT", {"origin": "https://evil.example"}, 403, "may not use this gateway"),
    ],
)
async def test_a_file_that_cannot_be_imported_is_refused_over_http(
    gateway: Gateway, content: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = await gateway.client.post("/api/sessions/import", content=content, headers=headers)
    assert answer.status_code == status and says in answer.json()["error"]["message"]
    assert (await gateway.client.get("/api/sessions")).json() == {"sessions": []}
