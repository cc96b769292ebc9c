"""OpenAI's own client package, unchanged, against the real services."""

import io
import json
import time
from collections.abc import Callable, Iterator

import av
import httpx2
import jiwer
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from tests.conftest import DATA
from tests.house import House
from tests.media import encoded

SPEECH = DATA / "speech.wav"
TWO = DATA / "two_speakers.flac"
TRUTH = json.loads((DATA / "truth.json").read_text())


def words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c == " ").split())


SPOKEN = words(TRUTH["speech.wav"]["text"])


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    """OpenAI's client at the gateway; it does not try again, so that every answer is the first."""
    with openai.OpenAI(base_url=f"{house.page}/v1", api_key="none", max_retries=0, timeout=120) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_is_kept(house: House) -> Iterator[None]:
    """Whatever a call came to, no session of it stays."""
    before = _sessions(house)
    yield
    deadline = time.monotonic() + 10
    while _sessions(house) != before:
        assert time.monotonic() < deadline, _sessions(house) - before


def _sessions(house: House) -> set[str]:
    listed = httpx2.get(f"{house.page}/api/sessions?limit=200", timeout=20).json()["sessions"]
    return {session["session_id"] for session in listed}


def create(client: openai.OpenAI, **more: object) -> object:
    with SPEECH.open("rb") as file:
        return client.audio.transcriptions.create(file=file, model="whisper-1", language="en", **more)


def test_json_is_the_default(client: openai.OpenAI) -> None:
    answer = create(client)
    assert jiwer.wer(SPOKEN, words(answer.text)) < 0.2
    assert answer.usage.type == "duration" and answer.usage.seconds in (5, 6)


def test_text_srt_and_vtt_are_texts(client: openai.OpenAI) -> None:
    text, srt, vtt = (create(client, response_format=name) for name in ("text", "srt", "vtt"))
    assert jiwer.wer(SPOKEN, words(text)) < 0.2
    assert srt.startswith("1\n00:00:00,") and " --> 00:00:0" in srt
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    assert all(words(text).split()[0] in words(subtitles) for subtitles in (srt, vtt))


def test_verbose_json_has_segments_and_words_as_asked(client: openai.OpenAI) -> None:
    plain = create(client, response_format="verbose_json")
    assert plain.language == "en" and abs(plain.duration - 5.2) < 0.1
    assert plain.segments and plain.words is None
    assert [s.id for s in plain.segments] == list(range(len(plain.segments)))
    assert words(" ".join(s.text for s in plain.segments)) == words(plain.text)
    assert all(-5 < s.avg_logprob <= 0 < s.compression_ratio and 0 <= s.start < s.end for s in plain.segments)
    only_words = create(client, response_format="verbose_json", timestamp_granularities=["word"])
    assert only_words.segments is None
    assert " ".join(word.word for word in only_words.words) == only_words.text
    times = [(word.start, word.end) for word in only_words.words]
    assert times == sorted(times) and all(0 <= start < end < 5.3 for start, end in times)
    both = create(client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words and both.segments


def test_diarized_json_tells_who_speaks(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=TWO, model="gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto"
    )
    assert {segment.speaker for segment in answer.segments} == {"A", "B"} and answer.segments[0].speaker == "A"
    truth = TRUTH["two_speakers.flac"]["utterances"]
    letters = {speaker: chr(ord("A") + i) for i, speaker in enumerate(dict.fromkeys(u["speaker"] for u in truth))}
    for segment in answer.segments:
        middle = (segment.start + segment.end) / 2
        (who,) = [letters[u["speaker"]] for u in truth if u["start_s"] <= middle <= u["end_s"]]
        assert segment.speaker == who
    assert answer.text == " ".join(segment.text for segment in answer.segments)
    assert abs(answer.duration - TRUTH["two_speakers.flac"]["duration_s"]) < 0.1


def test_a_stream_tells_utterances_as_they_are_final(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(file=TWO, model="gpt-4o-transcribe", language="en", stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) >= 3 and events[-1].type == "transcript.text.done" and len(events) == len(deltas) + 1
    assert events[-1].text == "".join(deltas) and "  " not in events[-1].text
    spoken = " ".join(utterance["text"] for utterance in TRUTH["two_speakers.flac"]["utterances"])
    assert jiwer.wer(words(spoken), words(events[-1].text)) < 0.4


def test_a_diarized_stream_ends_with_its_speakers(client: openai.OpenAI) -> None:
    with TWO.open("rb") as file:
        events = list(
            client.audio.transcriptions.create(
                file=file, model="any", language="en", stream=True, response_format="diarized_json"
            )
        )
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert {segment.speaker for segment in segments} == {"A", "B"}
    assert events[-1].type == "transcript.text.done"
    assert words(" ".join(segment.text for segment in segments)) == words(events[-1].text)


@pytest.mark.parametrize(
    ("codec", "container", "name"),
    [
        ("libmp3lame", "mp3", "a.mp3"),
        ("aac", "mp4", "a.m4a"),
        ("libopus", "webm", "a.webm"),
        ("libopus", "ogg", "a.ogg"),
    ],
)
def test_the_containers_that_openai_names_are_heard(
    client: openai.OpenAI, speech_s16: NDArray[np.int16], codec: str, container: str, name: str
) -> None:
    data = encoded(speech_s16, codec, container, 48_000, "stereo")
    answer = client.audio.transcriptions.create(file=(name, data), model="whisper-1", language="en")
    assert jiwer.wer(SPOKEN, words(answer.text)) < 0.3


def test_a_file_that_was_cut_off_is_heard_and_said_to_end_early(client: openai.OpenAI) -> None:
    whole = SPEECH.read_bytes()
    cut = ("cut.wav", whole[: len(whole) // 2])
    early = "'cut.wav': the file ends early, 3 s of the 5 s that it says it has"
    request = {"file": cut, "model": "whisper-1", "language": "en"}
    answer = client.audio.transcriptions.create(**request)
    assert answer.text and answer.warnings == [early]
    *_, done = client.audio.transcriptions.create(**request, stream=True)
    assert done.type == "transcript.text.done" and done.warnings == [early]
    text = client.audio.transcriptions.with_raw_response.create(**request, response_format="srt")
    assert json.loads(text.headers["x-sensorium-warnings"]) == [early]
    assert "warnings" not in create(client).model_dump()


def test_hints_of_other_models_change_nothing(client: openai.OpenAI) -> None:
    plain = create(client)
    hinted = create(client, temperature=0.2, chunking_strategy={"type": "server_vad"})
    assert hinted.text == plain.text


def test_a_prompt_names_words_to_expect_and_does_not_put_them_where_they_were_not_said(client: openai.OpenAI) -> None:
    prompted = create(client, prompt="Account; himself. Kubernetes, Zanzibar", extra_body={"keywords[]": ["Moravia"]})
    assert jiwer.wer(SPOKEN, words(prompted.text)) < 0.3
    assert not {"kubernetes", "zanzibar", "moravia"} & set(words(prompted.text).split())


def test_silence_has_no_words(client: openai.OpenAI) -> None:
    quiet = encoded(np.zeros(32_000, np.int16), "pcm_s16le", "wav")
    assert client.audio.transcriptions.create(file=("quiet.wav", quiet), model="whisper-1").text == ""
    streamed = client.audio.transcriptions.create(file=("quiet.wav", quiet), model="whisper-1", stream=True)
    assert [(event.type, event.text) for event in streamed] == [("transcript.text.done", "")]


def _film_without_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    return file.getvalue()


PLAYLIST = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\nfile://{SPEECH}\n#EXT-X-ENDLIST\n".encode()


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("notes.txt", lambda: b"This is not sound at all. " * 100, "'notes.txt' is not sound"),
        ("empty.wav", lambda: b"", "file is empty"),
        ("mute.mkv", _film_without_sound, "'mute.mkv' has no sound"),
        ("cut.wav", lambda: SPEECH.read_bytes()[:44], "'cut.wav'"),
        ("list.m3u8", lambda: PLAYLIST, "'list.m3u8' is not sound"),
        ("concat.txt", lambda: f"ffconcat version 1.0\nfile '{SPEECH}'\n".encode(), "is not sound"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_sound_is_a_bad_request(
    client: openai.OpenAI, name: str, make: Callable[[], bytes], sentence: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match=sentence) as refused:
        client.audio.transcriptions.create(file=(name, make()), model="whisper-1", stream=stream)
    assert refused.value.type == "invalid_request_error"
    assert "/tmp" not in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["phone"]}, "timestamp_granularities"),
        ({"include": ["logprobs"]}, "include"),
        ({"known_speaker_names": ["ada"]}, "known_speaker_names"),
        ({"extra_body": {"diarise": "yes"}}, "diarise"),
        ({"model": ""}, "model"),
    ],
)
def test_what_is_not_served_is_named(client: openai.OpenAI, fields: dict[str, object], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(**{"file": SPEECH, "model": "whisper-1", "language": "en", **fields})
    assert refused.value.param == param and param in refused.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_language_that_nobody_knows_is_a_bad_request(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="tlh"):
        client.audio.transcriptions.create(file=SPEECH, model="whisper-1", language="tlh", stream=stream)


def test_too_large_a_file_is_refused(client: openai.OpenAI, house: House) -> None:
    limit = int(house.environment["SENSORIUM_MAX_UPLOAD_MIB"]) * 1024 * 1024
    with pytest.raises(openai.APIStatusError, match=str(limit)) as refused:
        client.audio.transcriptions.create(file=("large.wav", bytes(limit + 1)), model="whisper-1")
    assert refused.value.status_code == 413


def test_too_large_a_body_of_unknown_length_is_refused(house: House) -> None:
    limit = int(house.environment["SENSORIUM_MAX_UPLOAD_MIB"]) * 1024 * 1024

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(limit // 65_536 + 1):
            yield bytes(65_536)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx2.post(f"{house.page}/v1/audio/transcriptions", content=body(), headers=headers, timeout=60)
    assert answer.status_code == 413 and str(limit) in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"origin": "https://evil.example"}, b"", 403),
        ({"host": "evil.example"}, b"", 403),
        ({"content-type": "application/json"}, b"{}", 415),
        ({"content-type": "multipart/form-data"}, b"", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"nothing", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400),
    ],
)
def test_other_pages_and_other_bodies_are_refused(
    house: House, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = httpx2.post(f"{house.page}/v1/audio/transcriptions", content=content, headers=headers, timeout=20)
    assert answer.status_code == status and " " in answer.json()["error"]["message"]


def test_a_client_that_goes_away_leaves_its_place(client: openai.OpenAI) -> None:
    long = encoded(np.zeros(16_000 * 200, np.int16), "pcm_s16le", "wav")
    for _ in range(3):
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.3).audio.transcriptions.create(file=("long.wav", long), model="whisper-1")
    assert create(client).text
