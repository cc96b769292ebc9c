"""What several sources say of one thing at the same time is kept in the right order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from protos.session.v1 import session_pb2 as pb
from protos.session.v1 import session_pb2_grpc
from services.gateway.service import SessionSkin
from services.gateway.session import MAX_QUESTIONS
from services.gateway.sessions import Sessions
from services.gateway.store import Store
from services.runtime import wire
from services.runtime.errors import DrainingError, NotFoundError
from services.runtime.percept import ScreenState, TextRegion, Transcript, Word
from services.runtime.stage import MediaError
from services.runtime.streams import Streams
from tests.unit.gateway.conftest import Gateway


def _said(*texts: str) -> Transcript:
    words = tuple(Word(text, 1_000 * i, 1_000 * (i + 1)) for i, text in enumerate(texts))
    return Transcript("u1", True, 0, 1_000 * len(words), words, len(words), "en")


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[session_pb2_grpc.SessionServiceStub]:
    """The gateway's gRPC face."""
    server = grpc.aio.server()
    session_pb2_grpc.add_SessionServiceServicer_to_server(SessionSkin(gateway.sessions, Streams(1)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield session_pb2_grpc.SessionServiceStub(channel)
    await server.stop(None)


async def test_a_second_pass_is_not_undone_by_the_speakers_of_the_first(gateway: Gateway) -> None:
    session = await gateway.sessions.open(pb.LiveConfig())
    first = _said("Uh,", "we're", "just", "saying")
    await session._on_percept("asr", first)
    second = replace(_said("We're", "just", "saying"), revision=1)
    # The decoder found who said the first while the second is being kept.
    await asyncio.gather(
        session._on_percept("asr", second), session._on_fused(wire.transcript_to_proto(replace(first, speaker="S1")))
    )
    kept = [event.utterance async for event in session.feed.history()]
    assert [word.text for word in kept[-1].words] == ["We're", "just", "saying"]
    assert [utterance.revision for utterance in kept] == [0, 1]


async def test_a_screen_that_is_still_being_read_is_told_and_not_kept(gateway: Gateway) -> None:
    session = await gateway.sessions.open(pb.LiveConfig())
    whole = ScreenState(0, 640, 360, regions=(TextRegion("r1", "Agenda", (0, 0, 90, 20)),), slide_id="s1")
    # That no expert answers here is told in between.
    watching = (event async for event in session.feed.watch(0) if event.HasField("screen"))
    told = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    await session._on_percept("vision", replace(whole, slide_id="", is_partial=True))
    assert (await told).screen.is_partial
    await session._on_percept("vision", whole)
    kept = [event.screen async for event in session.feed.history()]
    assert kept == [wire.screen_to_proto(whole)] == [(await anext(watching)).screen]


async def test_all_who_ask_for_a_kept_session_at_once_share_one_feed(gateway: Gateway, kept: str) -> None:
    again = Sessions(gateway.sessions.store, gateway.sessions.voices, {}, max_sessions=1)
    feeds = await asyncio.gather(again.feed(kept), again.feed(kept))
    assert feeds[0] is feeds[1]
    await asyncio.gather(*(feed.append(pb.Event(ended=pb.Ended())) for feed in feeds))
    seqs = [event.seq async for event in feeds[0].history()]
    assert seqs == sorted(set(seqs))


async def test_a_passing_session_is_not_listed_and_does_not_outlive_a_killed_gateway(
    gateway: Gateway, kept: str, tmp_path: Path
) -> None:
    session, forget = await gateway.sessions.open_passing(pb.LiveConfig())
    listed = (await gateway.client.get("/api/sessions")).json()["sessions"]
    assert [summary["session_id"] for summary in listed] == [kept]
    again = await Store.open(tmp_path / "sessions.db")  # the first gateway did not get to forgetting
    try:
        with pytest.raises(NotFoundError):
            await again.get(session.id)
        assert (await again.get(kept)).id == kept
    finally:
        await again.close()
    with pytest.raises(NotFoundError):
        await forget()


async def test_a_writer_names_speakers_that_there_are_also_before_anybody_speaks_again(gateway: Gateway) -> None:
    store = gateway.sessions.store
    stored = await store.create("broken-off", pb.LiveConfig(experts=["asr"]))
    turns = [pb.Event(turn={"turn_id": f"t{i}", "speaker": f"S{i}"}) for i in range(1, 601)]
    for turn in turns:
        await store.append(stored.id, turn, turn.turn.turn_id)
    async with serving(gateway) as stub:
        call = stub.Live()
        await call.write(pb.LiveRequest(config=pb.LiveConfig(session_id=stored.id, last_seq=600)))
        await call.write(pb.LiveRequest(rename={"speaker": "S600", "name": "Priya"}))
        await call.write(pb.LiveRequest(rename={"speaker": "S601", "name": "Nobody"}))
        async with asyncio.timeout(20):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                while await call.read() is not grpc.aio.EOF:
                    pass
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "no speaker 'S601'" in (refused.value.details() or "")
    names = [event.speaker_name.name async for event in store.events(stored.id, 600)]
    assert names == ["Priya"]


async def test_a_writer_whose_session_breaks_off_is_told_to_connect_again(gateway: Gateway) -> None:
    async with serving(gateway) as stub:
        call = stub.Live()
        await call.write(pb.LiveRequest(config=pb.LiveConfig()))
        session_id = (await call.read()).event.started.session_id
        session = gateway.sessions.live(session_id)
        assert session is not None
        await gateway.sessions.close()
        async with asyncio.timeout(10):
            with pytest.raises(grpc.aio.AioRpcError) as broken:
                while await call.read() is not grpc.aio.EOF:
                    pass
        assert broken.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(DrainingError, match=session_id):
            await session.push_audio(bytes(3200), 0)
        assert not (await gateway.sessions.store.get(session_id)).has_ended


async def test_what_an_expert_that_stayed_away_has_not_told_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.session.FINISH_S", 0.2)
    session = await gateway.sessions.open(pb.LiveConfig())  # vision was sent nothing
    await session.push_audio(bytes(32_000), 0)
    async with asyncio.timeout(20):
        await session.finish()
    missing = [pb.Missing(expert=name, end_sample=16_000) for name in ("asr", "diarization")]
    assert list((await gateway.sessions.summary(session.id)).missing) == missing
    kept = [event async for event in gateway.sessions.store.events(session.id)]
    assert kept[-1].ended == pb.Ended(end_sample=16_000, missing=missing)
    exported = f"/api/sessions/{session.id}/export"
    assert (await gateway.client.get(exported, params={"format": "json"})).json()["missing"] == [
        {"expert": name, "start_s": 0, "end_s": 1} for name in ("asr", "diarization")
    ]
    for name in ("md", "txt"):
        assert "words from 00:00 to 00:01" in (await gateway.client.get(exported, params={"format": name})).text


async def test_pages_of_the_list_hold_every_session_once_also_those_of_one_millisecond(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.store.time.time", lambda: 1_000.0)
    for number in (3, 1, 4, 0, 2):
        await gateway.sessions.store.create(f"s{number}", pb.LiveConfig())
    skin, token, listed = SessionSkin(gateway.sessions, Streams(1)), "", []
    while len(listed) < 9:
        page = await skin._list(pb.ListSessionsRequest(page_size=2, page_token=token))
        listed += [summary.session_id for summary in page.sessions]
        if not (token := page.next_page_token):
            break
    assert listed == ["s0", "s1", "s2", "s3", "s4"]
    with pytest.raises(MediaError, match="must come from the last response"):
        await skin._list(pb.ListSessionsRequest(page_token="yesterday"))


async def test_a_question_too_many_is_refused_in_its_answer_and_the_meeting_goes_on(gateway: Gateway) -> None:
    async with serving(gateway) as stub, asyncio.timeout(20):
        call = stub.Live()
        await call.write(pb.LiveRequest(config=pb.LiveConfig(experts=["asr"])))
        # no decoder answers here: the first ones wait for it
        for number in range(MAX_QUESTIONS + 1):
            await call.write(pb.LiveRequest(question={"question_id": f"q{number}", "text": "Who owns it?"}))
        while not (event := (await call.read()).event).HasField("answer"):
            pass
        assert event.answer.question_id == f"q{MAX_QUESTIONS}" and event.answer.question == "Who owns it?"
        assert event.answer.part.answer.abstained and "already being answered" in event.answer.part.answer.text
        await call.write(pb.LiveRequest(audio={"pcm": bytes(32_000)}))
        while not (event := (await call.read()).event).HasField("progress"):
            pass
        assert event.progress.received_sample == 16_000
        call.cancel()
