"""Who it is: a voice learnt once is named in other meetings, by the five real services."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import av
import grpc
import httpx2
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from protos.session.v1 import session_pb2_grpc
from services.gateway.transcript import Document, fold
from services.runtime.channel import CLIENT_OPTIONS
from tests.conftest import DATA
from tests.house import House
from tests.media import encoded
from tools.client import LiveSession
from tools.media import Audio

PIECE = 8_000
CONSENT = "the reader herself"


@pytest.fixture(scope="module")
def two_speakers() -> NDArray[np.int16]:
    """Two readers in turn: (n,) int16, 16 kHz."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
    return samples.astype(np.int16)


@pytest_asyncio.fixture
async def stub(house: House) -> AsyncIterator[session_pb2_grpc.SessionServiceStub]:
    """A client of the gateway; voices that a test leaves behind are deleted."""
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        client = session_pb2_grpc.SessionServiceStub(channel)
        yield client
        for voice in (await client.ListVoices(pb.ListVoicesRequest())).voices:
            await client.DeleteVoice(pb.DeleteVoiceRequest(name=voice.name))


def live_config() -> pb.LiveConfig:
    return pb.LiveConfig(
        language="en", pace=pb.PACE_MAX, experts=["asr", "diarization"], options={"asr.second_pass": "off"}
    )


async def meeting(house: House, samples: NDArray[np.int16]) -> tuple[str, list[pb.Event], Document]:
    """Hold a meeting: its id, its durable events and what became of it."""

    async def media() -> AsyncIterator[Audio]:
        for start in range(0, len(samples), PIECE):
            yield Audio(pcm=samples[start : start + PIECE].tobytes(), start_sample=start)

    session = LiveSession(house.gateway, live_config())
    await session.run(media())
    return session.session_id, session.events, fold(session.events)


async def named_by_hand(
    stub: session_pb2_grpc.SessionServiceStub, samples: NDArray[np.int16], name: str
) -> list[pb.Event]:
    """Hold a meeting in which S1 is given a name as soon as they are heard: its events."""
    call = stub.Live()
    await call.write(pb.LiveRequest(config=live_config()))
    for start in range(0, len(samples), PIECE):
        chunk = media_pb2.AudioChunk(pcm=samples[start : start + PIECE].tobytes(), start_sample=start)
        await call.write(pb.LiveRequest(audio=chunk))
    events = []
    async for response in call:
        events.append(response.event)
        if response.event.turn.speaker == "S1":
            break
    await call.write(pb.LiveRequest(rename={"speaker": "S1", "name": name}))
    await call.done_writing()
    return events + [response.event async for response in call]


def said_by(document: Document) -> dict[str, str]:
    """All words of every speaker."""
    words: dict[str, str] = {}
    for segment in document.segments:
        words[segment.speaker] = f"{words.get(segment.speaker, '')} {segment.text}".strip().lower()
    return words


async def refusal(call: grpc.aio.UnaryUnaryCall) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def test_a_voice_learnt_from_a_file_is_named_in_another_meeting_until_it_is_deleted(
    house: House, stub: session_pb2_grpc.SessionServiceStub, two_speakers: NDArray[np.int16]
) -> None:
    added = house.cli("voices", "add", "Margaret", str(DATA / "speech.wav"), "--consent-by", "Margaret, in person")
    assert added.returncode == 0, added.stderr
    assert "Margaret, in person said yes" in added.stderr
    listed = house.cli("voices", "list").stdout
    assert "Margaret" in listed and "campplus" in listed

    session_id, events, document = await meeting(house, two_speakers)
    names = [event.speaker_name for event in events if event.HasField("speaker_name")]
    assert [(name.name, name.is_recognised) for name in names] == [("Margaret", True)]
    # Named while the meeting ran, not at its end.
    assert events.index(next(e for e in events if e.HasField("speaker_name"))) < len(events) - 2
    words = said_by(document)
    assert len(words) == 2 and "Margaret" in words
    (stranger,) = set(words) - {"Margaret"}
    assert stranger in ("S1", "S2")
    assert "workhouse" in words["Margaret"] and "workhouse" not in words[stranger]

    assert house.cli("voices", "delete", "margaret").returncode == 0
    assert house.cli("voices", "list").stdout == ""
    _, events, document = await meeting(house, two_speakers)
    assert not any(event.HasField("speaker_name") for event in events)
    assert set(said_by(document)) == {"S1", "S2"}
    # What was written stays as it was written.
    assert "Margaret:" in house.cli("show", session_id).stdout


async def test_a_speaker_remembered_from_a_meeting_is_named_in_the_next_and_a_given_name_wins(
    house: House, stub: session_pb2_grpc.SessionServiceStub, two_speakers: NDArray[np.int16]
) -> None:
    session_id, _, _ = await meeting(house, two_speakers)
    request = pb.AddVoiceRequest(
        name="Margaret", consent_by=CONSENT, speaker=pb.SessionSpeaker(session_id=session_id, speaker="S1")
    )
    voice = (await stub.AddVoice(request)).voice
    assert (voice.name, voice.consent_by) == ("Margaret", CONSENT) and voice.speech_s > 5 and voice.consent_unix_ms

    # The two swap their places, so that the known voice is S2 here.
    half = len(two_speakers) // 4
    swapped = np.concatenate([two_speakers[half:], two_speakers[:half]])
    events = await named_by_hand(stub, swapped, "The other one")
    assert set(said_by(fold(events))) == {"Margaret", "The other one"}

    # Whoever was named by hand keeps that name, though the voice is known.
    events = await named_by_hand(stub, two_speakers, "Aunt May")
    assert set(said_by(fold(events))) == {"Aunt May", "S2"}


async def test_nobody_is_recognised_in_a_call_of_a_foreign_client(
    house: House, stub: session_pb2_grpc.SessionServiceStub, speech_s16: NDArray[np.int16]
) -> None:
    flac = encoded(speech_s16, "flac", "flac")
    await stub.AddVoice(pb.AddVoiceRequest(name="Margaret", media=flac, consent_by=CONSENT))
    async with httpx2.AsyncClient(timeout=120) as client:
        answer = await client.post(
            f"{house.page}/v1/audio/transcriptions",
            files={"file": ("speech.flac", flac)},
            data={"model": "any", "response_format": "diarized_json", "language": "en"},
        )
    assert answer.status_code == 200, answer.text
    assert "account" in answer.text and "Margaret" not in answer.text


async def test_what_is_no_voice_to_remember_is_refused_with_the_reason(
    house: House,
    stub: session_pb2_grpc.SessionServiceStub,
    two_speakers: NDArray[np.int16],
    speech_s16: NDArray[np.int16],
    slide_png: bytes,
) -> None:
    async def refused(data: bytes, name: str = "Ada", consent_by: str = CONSENT) -> tuple[grpc.StatusCode, str]:
        return await refusal(stub.AddVoice(pb.AddVoiceRequest(name=name, media=data, consent_by=consent_by)))

    flac = encoded(speech_s16, "flac", "flac")
    silence = encoded(np.zeros(5 * 16_000, np.int16), "flac", "flac")
    short = encoded(speech_s16[: 2 * 16_000], "flac", "flac")
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    for data, reason in (
        (b"", "the file has 0 bytes, must have 1 to"),
        (b"no sound at all" * 100, "not sound or video"),
        (slide_png, "not sound or video"),
        (silence, "no speech was heard"),
        (short, "a voice needs 3 s or more"),
        (encoded(two_speakers, "flac", "flac"), "2 people speak in the file"),
        (encoded(np.tile(speech_s16, 24), "flac", "flac"), "longer than 120 s"),
    ):
        code, sentence = await refused(data)
        assert code is invalid and reason in sentence, sentence
    assert await refused(flac, name="  ") == (invalid, "a speaker's name has 0 characters, must have 1 to 80")
    code, sentence = await refused(flac, consent_by=" ")
    assert code is invalid and "say who agreed" in sentence
    code, sentence = await refusal(stub.AddVoice(pb.AddVoiceRequest(name="Ada", consent_by=CONSENT)))
    assert code is invalid and "needs a source" in sentence
    nobody = pb.SessionSpeaker(session_id="20260101-000000-00000000", speaker="S1")
    code, sentence = await refusal(stub.AddVoice(pb.AddVoiceRequest(name="Ada", consent_by=CONSENT, speaker=nobody)))
    assert code is grpc.StatusCode.NOT_FOUND and "no session" in sentence
    code, sentence = await refusal(stub.DeleteVoice(pb.DeleteVoiceRequest(name="Ada")))
    assert code is grpc.StatusCode.NOT_FOUND and "no voice is remembered as 'Ada'" in sentence

    await stub.AddVoice(pb.AddVoiceRequest(name="Ada", media=flac, consent_by=CONSENT))
    code, sentence = await refused(flac, name="ada")
    assert code is grpc.StatusCode.ALREADY_EXISTS and "replace it" in sentence
    await stub.AddVoice(pb.AddVoiceRequest(name="ada", media=flac, consent_by=CONSENT, replace=True))
    assert [voice.name for voice in (await stub.ListVoices(pb.ListVoicesRequest())).voices] == ["ada"]
    kept = Path(house.environment["SENSORIUM_DATA"]) / "voices.db"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_command_line_says_what_is_wrong_with_a_file(house: House, tmp_path: Path) -> None:
    missing = house.cli("voices", "add", "Ada", str(tmp_path / "none.wav"))
    assert missing.returncode == 2 and "there is no file" in missing.stderr
    (tmp_path / "notes.txt").write_text("these are words, not sound\n" * 40)
    text = house.cli("voices", "add", "Ada", str(tmp_path / "notes.txt"))
    assert text.returncode == 2 and "not sound or video" in text.stderr
    unknown = house.cli("voices", "delete", "Nobody")
    assert unknown.returncode == 1 and "no voice is remembered as 'Nobody'" in unknown.stderr
