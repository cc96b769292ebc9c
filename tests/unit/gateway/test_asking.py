"""Questions while a session begins, ends or is deleted, and what the one who asks is told when something fails."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from protos.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.expert.v1 import expert_pb2_grpc
from protos.session.v1 import session_pb2 as pb
from protos.session.v1 import session_pb2_grpc
from services.gateway.feed import Feed
from services.gateway.service import SessionSkin
from services.gateway.session import DECODER_AWAY, MAX_QUESTIONS, publish_answer
from services.runtime.errors import DrainingError, abort
from services.runtime.expert import ExpertSkin
from services.runtime.settings import ServiceSettings
from services.runtime.stage import OverloadedError
from services.runtime.streams import Streams
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.test_links import PICTURE, Namer
from tools.client import gateway as client
from tools.errors import GatewayError

BUSY = OverloadedError("some lines are not read yet; ask again soon", retry_after_s=5.0)


class Decoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Notes who is observed and forgotten; a test may hold up what it does."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.observed: list[str] = []
        self.observing = 0
        self.forgotten: list[str] = []
        self.was_observed, self.was_asked = asyncio.Event(), asyncio.Event()
        self.may_observe, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_observe.set()
        self.may_answer.set()
        self._refusal = refusal

    async def Observe(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[decoder_pb2.ObserveResponse]:
        self.observing += 1
        try:
            async for request in requests:
                if request.HasField("config"):
                    self.observed.append(request.config.session_id)
                    self.was_observed.set()
                elif request.HasField("mark"):
                    await self.may_observe.wait()
                    yield decoder_pb2.ObserveResponse(mark=request.mark)
            await self.may_observe.wait()
        finally:
            self.observing -= 1

    async def Ask(self, request: Any, context: Any) -> AsyncIterator[decoder_pb2.AskResponse]:
        self.was_asked.set()
        await self.may_answer.wait()
        if self._refusal is not None:
            await abort(context, self._refusal)
        yield decoder_pb2.AskResponse(answer=decoder_pb2.Answer(text="Priya does."))

    async def Forget(self, request: Any, context: Any) -> decoder_pb2.ForgetResponse:
        self.forgotten.append(request.session_id)
        return decoder_pb2.ForgetResponse()


@asynccontextmanager
async def serving(gateway: Gateway, decoder: Decoder) -> AsyncIterator[Decoder]:
    server = grpc.aio.server()
    decoder_pb2_grpc.add_DecoderServiceServicer_to_server(decoder, server)
    server.add_insecure_port(gateway.addresses["decoder"])
    await server.start()
    try:
        yield decoder
    finally:
        await server.stop(None)


async def answers(gateway: Gateway, session_id: str) -> AsyncIterator[pb.Event]:
    async for event in gateway.sessions.watch(session_id, 0, follow=True):
        if event.HasField("answer"):
            yield event


async def unended(gateway: Gateway) -> str:
    """A session whose gateway died before its end: it can be gone on with."""
    stored = await gateway.sessions.store.create("broken-off", pb.LiveConfig(experts=["asr"]))
    await (await gateway.sessions.feed(stored.id)).append(pb.Event(turn={"turn_id": "t1", "speaker": "S1"}), "t1")
    return stored.id


async def test_an_answer_of_a_session_that_goes_live_meanwhile_gets_a_number_of_its_own(gateway: Gateway) -> None:
    async with serving(gateway, Decoder()) as decoder:
        session_id = await unended(gateway)
        decoder.may_answer.clear()
        await gateway.sessions.question(session_id, "q", "Who owns it?")
        await decoder.was_asked.wait()
        session = await gateway.sessions.open(pb.LiveConfig(session_id=session_id))
        heard = answers(gateway, session_id)
        told = asyncio.ensure_future(anext(heard))
        await session.rename("S1", "Priya")
        decoder.may_answer.set()
        async with asyncio.timeout(20):
            assert (await told).answer.part.answer.text == "Priya does."
        await session.rename("S1", "Lena")
        kept = [event async for event in gateway.sessions.store.events(session_id)]
        assert [event.seq for event in kept] == [1, 2, 3, 4]
        assert [event.WhichOneof("event") for event in kept] == ["turn", "speaker_name", "answer", "speaker_name"]


async def test_a_session_that_went_live_is_not_shown_to_the_decoder_beside_itself(gateway: Gateway, kept: str) -> None:
    async with serving(gateway, Decoder()) as decoder:
        session_id = await unended(gateway)
        decoder.may_observe.clear()
        async with asyncio.timeout(20):
            await gateway.sessions.question(kept, "q1", "Who owns it?")
            await decoder.was_observed.wait()
            await gateway.sessions.question(session_id, "q2", "Who owns it?")  # waits until the other one is shown
            session = await gateway.sessions.open(pb.LiveConfig(session_id=session_id))
            heard = answers(gateway, session_id)
            told = asyncio.ensure_future(anext(heard))
            decoder.may_observe.set()
            await told
        assert decoder.observed.count(session_id) == 1
        await gateway.sessions.release(session)


async def test_a_session_that_goes_live_while_it_is_shown_tells_the_decoder_alone(gateway: Gateway) -> None:
    async with serving(gateway, Decoder()) as decoder, asyncio.timeout(20):
        session_id = await unended(gateway)
        decoder.may_observe.clear()
        await gateway.sessions.question(session_id, "q", "Who owns it?")
        await decoder.was_observed.wait()
        decoder.was_observed.clear()
        session = await gateway.sessions.open(pb.LiveConfig(session_id=session_id))
        await decoder.was_observed.wait()  # now by the session itself
        assert decoder.observing == 1
        decoder.may_observe.set()
        # Its end could come before the decoder has all of it: what was shown before counts no more.
        assert session_id not in gateway.sessions._shown
        await gateway.sessions.release(session)


async def test_a_session_that_just_went_live_is_asked_when_the_decoder_has_what_was_kept(gateway: Gateway) -> None:
    async with serving(gateway, Decoder()) as decoder, asyncio.timeout(20):
        session_id = await unended(gateway)
        decoder.may_observe.clear()
        session = await gateway.sessions.open(pb.LiveConfig(session_id=session_id))
        heard = answers(gateway, session_id)
        told = asyncio.ensure_future(anext(heard))
        await gateway.sessions.question(session_id, "q", "Who owns it?")
        await decoder.was_observed.wait()
        # Long enough for a question that does not wait.
        asked = asyncio.ensure_future(decoder.was_asked.wait())
        await asyncio.wait([asked], timeout=0.5)
        assert not asked.done()
        decoder.may_observe.set()
        await asked
        assert (await told).answer.part.answer.text == "Priya does."
        await gateway.sessions.release(session)


async def test_who_asks_a_session_that_breaks_off_before_the_decoder_has_it_is_answered_from_what_is_kept(
    gateway: Gateway,
) -> None:
    async with serving(gateway, Decoder()) as decoder, asyncio.timeout(20):
        session_id = await unended(gateway)
        decoder.may_observe.clear()
        await gateway.sessions.open(pb.LiveConfig(session_id=session_id))
        await decoder.was_observed.wait()
        asked = asyncio.ensure_future(gateway.client.post(f"/api/sessions/{session_id}/ask", json={"text": "Who?"}))
        await gateway.sessions._channels["decoder"].channel_ready()
        gateway.sessions._runs[session_id].cancel()
        decoder.may_observe.set()
        assert (await asked).json()["answer"] == "Priya does."
        assert decoder.observed == [session_id, session_id]


async def test_whoever_waits_for_an_answer_is_told_whatever_goes_wrong(gateway: Gateway, kept: str) -> None:
    async def broken() -> AsyncIterator[decoder_pb2.AskResponse]:
        yield decoder_pb2.AskResponse(delta="Pri")
        raise RuntimeError("nobody expected this")

    feed = await gateway.sessions.feed(kept)
    watching = feed.watch(await gateway.sessions.store.last_seq(kept))
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)

    async def present() -> Feed:
        return feed

    await publish_answer(present, "q", "Who owns it?", broken())
    async with asyncio.timeout(20):
        assert (await first).answer.part.delta == "Pri"
        sorry = (await anext(watching)).answer
    assert sorry.question_id == "q" and sorry.part.answer.abstained
    assert "could not be answered" in sorry.part.answer.text


async def test_the_decoders_own_sentence_is_read_by_who_asks(gateway: Gateway, kept: str) -> None:
    async with serving(gateway, Decoder(BUSY)):
        refused = await gateway.client.post(f"/api/sessions/{kept}/ask", json={"text": "Who owns it?"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["error"]["message"] == str(BUSY)
        told = asyncio.ensure_future(anext(answers(gateway, kept)))
        body = {"text": "Who owns it?", "question_id": "q"}
        assert (await gateway.client.post(f"/api/sessions/{kept}/ask", json=body)).status_code == 202
        async with asyncio.timeout(20):
            assert (await told).answer.part.answer.text == "Some lines are not read yet; ask again soon."


async def test_who_asks_over_grpc_is_told_that_it_is_the_decoder_that_died(gateway: Gateway, kept: str) -> None:
    server = grpc.aio.server()
    session_pb2_grpc.add_SessionServiceServicer_to_server(SessionSkin(gateway.sessions, Streams(1)), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()

    async def ask() -> list[Any]:
        async with client(address) as stub:
            return [part async for part in stub.Ask(pb.AskRequest(session_id=kept, question="Who owns it?"))]

    try:
        async with serving(gateway, Decoder()), asyncio.timeout(20):
            assert (await ask())[-1].part.answer.text == "Priya does."
        # it has been shown the session: nothing waits for it to come back
        with pytest.raises(GatewayError) as told:
            await ask()
        assert str(told.value) == DECODER_AWAY
    finally:
        await server.stop(None)
    with pytest.raises(GatewayError, match=f"the gateway at {address} cannot be reached"):
        await ask()


async def test_who_asks_while_the_decoder_is_away_is_told_soon(
    gateway: Gateway, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.sessions.DECODER_START_S", 0.2)
    body = {"text": "Who owns it?"}
    async with asyncio.timeout(10):
        # all at once: they do not wait for one another
        refused = await asyncio.gather(*(gateway.client.post(f"/api/sessions/{kept}/ask", json=body) for _ in range(3)))
        assert [answer.status_code for answer in refused] == [503] * 3
        assert all(answer.json()["error"]["message"] == DECODER_AWAY for answer in refused)
        told = asyncio.ensure_future(anext(answers(gateway, kept)))
        await gateway.client.post(f"/api/sessions/{kept}/ask", json=body | {"question_id": "q"})
        assert "decoder does not answer" in (await told).answer.part.answer.text
        with pytest.raises(DrainingError, match="decoder does not answer"):
            async for _ in gateway.sessions.ask_unkept([pb.Event(ended=pb.Ended())], "Who owns it?"):
                pass


async def test_a_decoder_that_is_just_starting_gets_its_chance_to_answer(gateway: Gateway, kept: str) -> None:
    asked = asyncio.ensure_future(gateway.client.post(f"/api/sessions/{kept}/ask", json={"text": "Who owns it?"}))
    decoder = gateway.sessions._channels["decoder"]
    await decoder.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
    async with serving(gateway, Decoder()):
        assert (await asked).json()["answer"] == "Priya does."


async def test_a_busy_vision_is_429_with_a_time(gateway: Gateway) -> None:
    settings = ServiceSettings("vision", gateway.addresses["vision"], max_streams=0)
    skin, server = ExpertSkin(Namer(), settings), grpc.aio.server()
    expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)
    server.add_insecure_port(settings.address)
    await server.start()
    refused = await gateway.client.post("/api/see", json={"image": _base64(PICTURE), "tasks": ["ocr"]})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert "streams are taken" in refused.json()["error"]["message"]
    await server.stop(None)
    skin.close()


async def test_a_deleted_session_is_forgotten_by_the_decoder(gateway: Gateway, kept: str) -> None:
    async with serving(gateway, Decoder()) as decoder:
        await gateway.sessions.delete(kept)
        assert decoder.forgotten == [kept]


async def test_a_session_that_is_deleted_while_it_is_shown_is_forgotten_afterwards(gateway: Gateway, kept: str) -> None:
    async with serving(gateway, Decoder()) as decoder, asyncio.timeout(20):
        decoder.may_observe.clear()
        showing = asyncio.ensure_future(gateway.client.post(f"/api/sessions/{kept}/ask", json={"text": "Who?"}))
        await decoder.was_observed.wait()
        await gateway.sessions.delete(kept)
        decoder.may_observe.set()
        assert (await showing).status_code == 404
        assert decoder.forgotten == [kept, kept]


async def test_what_is_asked_about_without_being_kept_is_forgotten_after_the_answer(gateway: Gateway) -> None:
    async with serving(gateway, Decoder()) as decoder:
        parts = [part async for part in gateway.sessions.ask_unkept([pb.Event(ended=pb.Ended())], "Who owns it?")]
        assert parts[-1].answer.text == "Priya does."
        assert decoder.forgotten == decoder.observed != []


async def test_of_many_questions_that_come_at_once_no_more_are_taken_than_are_answered(
    gateway: Gateway, kept: str
) -> None:
    async with serving(gateway, Decoder()) as decoder:
        decoder.may_answer.clear()
        taken = await asyncio.gather(
            *(gateway.sessions.question(kept, f"q{i}", "Who owns it?") for i in range(3 * MAX_QUESTIONS)),
            return_exceptions=True,
        )
        assert [type(one) for one in taken].count(OverloadedError) == 2 * MAX_QUESTIONS
        decoder.may_answer.set()


async def test_a_passing_session_that_was_told_whole_leaves_no_trace(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.session.FINISH_S", 2.0)  # nobody looks at its pictures here
    async with serving(gateway, Decoder()), asyncio.timeout(20):
        session, forget = await gateway.sessions.open_passing(pb.LiveConfig(experts=["vision"]))
        await session.finish()
        await forget()
        assert session.is_told and session.id not in gateway.sessions._shown


async def test_a_passing_session_is_forgotten_by_the_decoder_too(gateway: Gateway) -> None:
    async with serving(gateway, Decoder()) as decoder:
        session, forget = await gateway.sessions.open_passing(pb.LiveConfig(experts=["asr"]))
        await forget()
        assert decoder.forgotten == [session.id]


def _base64(image: bytes) -> str:
    return base64.b64encode(image).decode()
