"""The main job for programs: Session.Live through five real processes, on real speech."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import av
import grpc
import numpy as np
import pytest
import pytest_asyncio
from grpc_status import rpc_status
from numpy.typing import NDArray

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from protos.session.v1 import session_pb2_grpc
from services.runtime.channel import CLIENT_OPTIONS
from tests.conftest import DATA
from tests.house import House
from tools.client import LiveSession
from tools.media import Audio, Item, Picture

PIECE = 3_200
SERVICES = ("asr", "diarization", "vision", "decoder", "gateway")


@pytest.fixture(scope="module")
def two_speakers() -> NDArray[np.int16]:
    """Two voices in turn, then silence: (n,) int16, 16 kHz."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
    return np.concatenate([samples.astype(np.int16), np.zeros(16_000, np.int16)])


@dataclass
class Heard:
    """What one session said."""

    events: list[pb.Event] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def finals(self) -> dict[str, list[str]]:
        """Words of the newest version of each utterance, in order of time."""
        newest = {e.utterance.utterance_id: e.utterance for e in self.events if e.HasField("utterance")}
        return {key: [w.text for w in newest[key].words] for key in sorted(newest)}

    def speakers(self) -> dict[str, str]:
        """Speaker of the newest version of each utterance."""
        newest = {e.utterance.utterance_id: e.utterance for e in self.events if e.HasField("utterance")}
        return {key: newest[key].speaker for key in sorted(newest)}

    def texts(self) -> set[str]:
        """Every line that the screen showed."""
        return {r.text for e in self.events if e.HasField("screen") for r in e.screen.regions}


def live_config(**fields: object) -> pb.LiveConfig:
    return pb.LiveConfig(language="en", pace=pb.PACE_MAX, options={"asr.second_pass": "off"}, **fields)


async def media(samples: NDArray[np.int16], image: bytes) -> AsyncIterator[Item]:
    yield Picture(image, 0, "slide")
    for start in range(0, len(samples), PIECE):
        yield Audio(pcm=samples[start : start + PIECE].tobytes(), start_sample=start)


async def hear(
    house: House,
    samples: NDArray[np.int16],
    image: bytes,
    on_event: Callable[[pb.Event], None] = lambda event: None,
) -> Heard:
    heard = Heard()
    session = LiveSession(house.gateway, live_config(), on_event=on_event, on_trouble=heard.trouble.append)
    await session.run(media(samples, image))
    heard.events = session.events
    return heard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(house: House, two_speakers: NDArray[np.int16], slide_png: bytes) -> Heard:
    return await hear(house, two_speakers, slide_png)


async def test_words_speakers_and_screen_come_out_numbered(undisturbed: Heard) -> None:
    assert sum(len(words) for words in undisturbed.finals().values()) > 20
    assert len(set(undisturbed.speakers().values())) == 2 and "" not in undisturbed.speakers().values()
    assert len(undisturbed.texts()) > 3
    assert [e.seq for e in undisturbed.events] == list(range(1, len(undisturbed.events) + 1))
    assert undisturbed.events[-1].HasField("ended")


@pytest.mark.parametrize("victim", SERVICES)
async def test_a_killed_service_loses_no_final_word_and_doubles_none(
    house: House, undisturbed: Heard, two_speakers: NDArray[np.int16], slide_png: bytes, victim: str
) -> None:
    killed: list[int] = []

    def kill_at_the_first_final(event: pb.Event) -> None:
        if event.HasField("utterance") and not killed:
            killed.append(house.kill(victim))

    heard = await hear(house, two_speakers, slide_png, kill_at_the_first_final)
    house.wait_until_serving()
    assert killed and house.pid(victim) != killed[0]
    assert heard.finals() == undisturbed.finals()
    assert heard.speakers() == undisturbed.speakers()
    assert heard.texts() == undisturbed.texts()
    assert [e.seq for e in heard.events] == list(range(1, len(heard.events) + 1))


async def test_a_client_that_reconnects_gets_all_it_missed_once(
    house: House, undisturbed: Heard, two_speakers: NDArray[np.int16], slide_png: bytes
) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        first = stub.Live()
        await first.write(pb.LiveRequest(config=live_config()))
        session_id = (await first.read()).event.started.session_id
        half = len(two_speakers) // 2
        for start in range(0, half, PIECE):
            await first.write(audio(two_speakers[start : min(start + PIECE, half)].tobytes(), start))
        seen: list[pb.Event] = []
        while not seen:
            event = (await first.read()).event
            seen += [event] if event.seq else []
        first.cancel()
        while (await summary(stub, session_id)).is_live:
            pass

        second = stub.Live()
        config = live_config(session_id=session_id, last_seq=seen[-1].seq)
        await second.write(pb.LiveRequest(config=config))
        resume = (await second.read()).event.started.resume_sample
        assert 0 < resume <= half
        for start in range(resume, len(two_speakers), PIECE):
            await second.write(audio(two_speakers[start : start + PIECE].tobytes(), start))
        await second.done_writing()
        seen += [e for e in await rest(second) if e.seq]
        assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
        assert Heard(seen).finals() == undisturbed.finals()

        third = stub.Live(iter([pb.LiveRequest(config=live_config(session_id=session_id, last_seq=1))]))
        assert [r.event.seq async for r in third if r.event.seq] == [e.seq for e in seen[1:]]
        kept = [r.event.seq async for r in stub.GetSession(pb.GetSessionRequest(session_id=session_id))]
        assert kept[1:] == [e.seq for e in seen]


async def test_a_watcher_sees_what_the_writer_does(house: House, two_speakers: NDArray[np.int16]) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        call = stub.Live()
        await call.write(pb.LiveRequest(config=live_config()))
        session_id = (await call.read()).event.started.session_id
        watch = stub.Watch(pb.WatchRequest(session_id=session_id))
        for start in range(0, 80_000, PIECE):
            await call.write(audio(two_speakers[start : start + PIECE].tobytes(), start))
        await call.done_writing()
        written = [e.seq for e in await rest(call) if e.seq]
        assert [r.event.seq async for r in watch if r.event.seq] == written


async def test_a_question_is_answered_with_evidence_while_it_runs(
    house: House, two_speakers: NDArray[np.int16], slide_png: bytes
) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        call = stub.Live()
        await call.write(pb.LiveRequest(config=live_config()))
        for start in range(0, len(two_speakers), PIECE):
            await call.write(audio(two_speakers[start : start + PIECE].tobytes(), start))
        spoken = ""
        while not spoken:
            event = (await call.read()).event
            spoken = " ".join(w.text for w in event.utterance.words)
        question = pb.Question(question_id="q1", text=f"Who said {spoken!r}?")
        await call.write(pb.LiveRequest(question=question))
        await call.write(pb.LiveRequest(question=pb.Question(question_id="q2", text="What topics came up?")))
        await call.done_writing()
        answers = [e.answer for e in await rest(call) if e.HasField("answer")]
        topics = [p.part.answer for p in answers if p.question_id == "q2"][-1]
        assert topics.tier == "minutes" and topics.evidence[0].text in topics.text
        parts = [p for p in answers if p.question_id != "q2"]
        kinds = [p.part.WhichOneof("part") for p in parts]
        assert kinds[0] == "evidence" and kinds[-1] == "answer"
        answer = parts[-1].part.answer
        assert {p.question_id for p in parts} == {"q1"}
        assert answer.text and any(e.kind == "speech" and e.text for e in answer.evidence)
        assert answer.activation.parameters > 0


async def test_phrases_given_in_mid_stream_are_listened_for_from_then_on(
    house: House, two_speakers: NDArray[np.int16]
) -> None:
    name = np.concatenate([two_speakers[5 * 16_000 : 9 * 16_000], np.zeros(32_000, np.int16)])
    texts: dict[str, str] = {}

    def said(events: list[pb.Event]) -> dict[str, str]:
        newest = [e.utterance for e in events if e.HasField("utterance")]
        return {u.utterance_id: " ".join(word.text for word in u.words) for u in newest}

    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Live()
        config = pb.LiveConfig(language="en", pace=pb.PACE_MAX, experts=["asr"])
        await call.write(pb.LiveRequest(config=config))
        await call.write(audio(name.tobytes(), 0))
        while not texts:
            event = (await call.read()).event
            texts |= said([event])
        await call.write(pb.LiveRequest(phrases=pb.Phrases(phrases=[pb.Phrase(text="Zau"), pb.Phrase(text="Makan")])))
        await call.write(audio(name.tobytes(), len(name)))
        await call.done_writing()
        texts |= said(await rest(call))
    first, *_, last = (text for _, text in sorted(texts.items()))
    assert "Makan" not in first and "Makan" in last


def audio(pcm: bytes, start_sample: int) -> pb.LiveRequest:
    return pb.LiveRequest(audio=media_pb2.AudioChunk(pcm=pcm, start_sample=start_sample))


async def rest(call: "grpc.aio.StreamStreamCall[pb.LiveRequest, pb.LiveResponse]") -> list[pb.Event]:
    """Everything until the call ends well."""
    events = []
    while (response := await call.read()) is not grpc.aio.EOF:
        events.append(response.event)
    return events


async def summary(stub: session_pb2_grpc.SessionServiceStub, session_id: str) -> pb.SessionSummary:
    call = stub.GetSession(pb.GetSessionRequest(session_id=session_id))
    first = await call.read()
    call.cancel()
    found: pb.SessionSummary = first.summary
    return found


# -- bad input -------------------------------------------------------------------------------------


async def refusal(house: House, requests: Iterable[pb.LiveRequest]) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Live(iter(requests)):
                pass
        return caught.value


CONFIG = pb.LiveRequest(config=pb.LiveConfig(language="en"))
SECOND = bytes(32_000)


@pytest.mark.parametrize(
    ("requests", "code", "sentence"),
    [
        ([], "INVALID_ARGUMENT", "config first"),
        ([audio(SECOND, 0)], "INVALID_ARGUMENT", "config first"),
        ([CONFIG, CONFIG], "INVALID_ARGUMENT", "second config"),
        ([CONFIG, pb.LiveRequest()], "INVALID_ARGUMENT", "empty message"),
        ([CONFIG, audio(b"odd", 0)], "INVALID_ARGUMENT", "3 bytes"),
        ([CONFIG, audio(bytes(2 * 16_000 * 600), 0)], "INVALID_ARGUMENT", "600.0 s long"),
        ([CONFIG, audio(SECOND, 0), audio(SECOND, 100)], "INVALID_ARGUMENT", "back in time"),
        ([CONFIG, audio(SECOND, 0), audio(SECOND, 10**9)], "INVALID_ARGUMENT", "ahead"),
        (
            [pb.LiveRequest(config=pb.LiveConfig(experts=["smell"]))],
            "INVALID_ARGUMENT",
            "no expert 'smell'; experts are asr, diarization, vision",
        ),
        ([pb.LiveRequest(config=pb.LiveConfig(options={"smell.x": "1"}))], "INVALID_ARGUMENT", "names no expert"),
        ([pb.LiveRequest(config=pb.LiveConfig(session_id="never"))], "NOT_FOUND", "no session 'never'"),
        ([pb.LiveRequest(config=pb.LiveConfig(last_seq=3))], "INVALID_ARGUMENT", "without a session_id"),
        (
            [CONFIG, pb.LiveRequest(phrases=pb.Phrases(phrases=[pb.Phrase(text="x", weight=-1)]))],
            "INVALID_ARGUMENT",
            "weight '-1'; must be above 0",
        ),
        (
            [
                pb.LiveRequest(config=pb.LiveConfig(experts=["vision"])),
                pb.LiveRequest(phrases=pb.Phrases(phrases=[pb.Phrase(text="Kubernetes")])),
            ],
            "INVALID_ARGUMENT",
            "phrases are for the expert asr",
        ),
        (
            [CONFIG, pb.LiveRequest(question=pb.Question(text="x" * 2_001))],
            "INVALID_ARGUMENT",
            "2001 characters",
        ),
    ],
)
async def test_wrong_messages_get_a_status_and_a_sentence(
    house: House, requests: list[pb.LiveRequest], code: str, sentence: str
) -> None:
    error = await refusal(house, requests)
    assert error.code().name == code
    assert sentence in str(error.details())


async def test_a_frame_that_is_no_picture_is_reported_and_costs_that_picture_alone(
    house: House, two_speakers: NDArray[np.int16], slide_png: bytes
) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        call = stub.Live()
        await call.write(pb.LiveRequest(config=live_config()))
        await call.write(pb.LiveRequest(frame=media_pb2.VideoFrame(image=b"not a picture", start_sample=0)))
        await call.write(pb.LiveRequest(frame=media_pb2.VideoFrame(image=slide_png, start_sample=1)))
        for start in range(0, 80_000, PIECE):
            await call.write(audio(two_speakers[start : start + PIECE].tobytes(), start))
        await call.done_writing()
        events = await rest(call)
        assert any(e.expert_status.expert == "vision" and "image" in e.expert_status.message for e in events)
        assert any(e.HasField("utterance") for e in events) and events[-1].HasField("ended")
        assert len(Heard(events).texts()) > 3


async def test_a_second_writer_is_refused(house: House) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        call = stub.Live()
        await call.write(CONFIG)
        session_id = (await call.read()).event.started.session_id
        error = await refusal(house, [pb.LiveRequest(config=pb.LiveConfig(session_id=session_id))])
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert "has a writer" in str(error.details())
        await call.done_writing()
        assert (await rest(call))[-1].HasField("ended")


async def test_fifty_clients_more_than_the_limit_are_refused_with_retry_information(house: House) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        limit = (await stub.Describe(pb.DescribeRequest())).service.max_streams
        calls = []
        while len(calls) < limit:
            call = stub.Live()
            await call.write(CONFIG)
            calls.append(call)
            await call.read()
        for _ in range(50):
            error = await refusal(house, [CONFIG])
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            status = rpc_status.from_call(error)
            assert status is not None and status.details[0].TypeName() == "google.rpc.RetryInfo"
        for call in calls:
            await call.done_writing()
            assert (await rest(call))[-1].HasField("ended")


async def test_a_client_that_vanishes_leaves_its_place(house: House, two_speakers: NDArray[np.int16]) -> None:
    async with grpc.aio.insecure_channel(house.gateway, options=CLIENT_OPTIONS) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        call = stub.Live()
        await call.write(CONFIG)
        session_id = (await call.read()).event.started.session_id
        await call.write(audio(two_speakers[:16_000].tobytes(), 0))
        call.cancel()
        while (await summary(stub, session_id)).is_live:
            pass
        again = stub.Live()
        await again.write(pb.LiveRequest(config=live_config(session_id=session_id)))
        assert (await again.read()).event.started.session_id == session_id
        await again.done_writing()
        assert (await rest(again))[-1].HasField("ended")
