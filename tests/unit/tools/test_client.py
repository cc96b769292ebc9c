"""The live client against a gateway that keeps the grammar of Live and can be killed at will."""

import asyncio

import grpc
import pytest

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2, session_pb2_grpc
from services.runtime.channel import SERVER_OPTIONS
from tools.client import LiveSession, gateway, in_real_time, pages
from tools.errors import GatewayError, MediaFileError
from tools.media import Audio, Picture
from tools.supervisor import free_addresses

CHUNK = 1_600


class Gateway(session_pb2_grpc.SessionServiceServicer):
    """Keeps one session across restarts: its audio, its pictures, one utterance for every ten chunks."""

    def __init__(self):
        self.pcm = bytearray()
        self.pictures = []
        self.events = []
        self.configs = []
        self.forgets = False
        self.mute = False
        self.die_after = None  # chunks until the process dies
        self.died = asyncio.Event()
        self.lag_samples = 3 * CHUNK  # a restart needs this much again

    def _durable(self, **event):
        made = session_pb2.Event(seq=len(self.events) + 1, **event)
        self.events.append(made)
        return session_pb2.LiveResponse(event=made)

    async def Live(self, request_iterator, context):
        requests = aiter(request_iterator)
        config = (await anext(requests)).config
        self.configs.append(config)
        if config.session_id not in ("", "s1"):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no session {config.session_id!r}")
        if self.mute:
            await asyncio.Event().wait()
        # What was heard in the last moments is lost with the process.
        lost = self.lag_samples if config.session_id else 0
        del self.pcm[max(0, len(self.pcm) - 2 * lost) :]
        resume = len(self.pcm) // 2
        started = session_pb2.Started(session_id="s1", resume_sample=resume, last_seq=len(self.events))
        yield session_pb2.LiveResponse(event=session_pb2.Event(started=started))
        # One too many: a client must not take an event twice.
        for event in self.events[max(0, config.last_seq - 1) :]:
            yield session_pb2.LiveResponse(event=event)
        async for request in requests:
            match request.WhichOneof("request"):
                case "frame":
                    self.pictures.append((request.frame.frame_id, request.frame.start_sample))
                case "audio":
                    if request.audio.start_sample != len(self.pcm) // 2:
                        message = f"audio at {request.audio.start_sample}, expected {len(self.pcm) // 2}"
                        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
                    self.pcm += request.audio.pcm
                    heard = len(self.pcm) // 2
                    safe = max(0, heard - self.lag_samples)
                    progress = session_pb2.Progress(received_sample=heard, resume_sample=safe)
                    yield session_pb2.LiveResponse(event=session_pb2.Event(progress=progress))
                    if heard // CHUNK // 10 > sum(e.WhichOneof("event") == "utterance" for e in self.events):
                        name = f"u{len(self.events)}"
                        yield self._durable(utterance=media_pb2.Transcript(utterance_id=name, is_final=True))
                    if self.die_after is not None:
                        self.die_after -= 1
                        if self.die_after == 0:
                            self.die_after = None
                            self.died.set()
                            await asyncio.Event().wait()
        if not any(event.HasField("ended") for event in self.events):
            yield self._durable(ended=session_pb2.Ended(end_sample=len(self.pcm) // 2))

    async def ListSessions(self, request, context):
        page = int(request.page_token or 0)
        summaries = [session_pb2.SessionSummary(session_id=f"s{page}{i}") for i in range(2)]
        return session_pb2.ListSessionsResponse(sessions=summaries, next_page_token=str(page + 1) if page < 2 else "")


class Process:
    """The gateway's server, which can die and come back at the same address."""

    def __init__(self):
        (self.address,) = free_addresses(1)
        self.gateway = Gateway()
        self._server = None

    async def start(self):
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        session_pb2_grpc.add_SessionServiceServicer_to_server(self.gateway, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def kill(self):
        await self._server.stop(None)


@pytest.fixture
async def process():
    running = Process()
    await running.start()
    yield running
    await running.kill()


def _media(chunks=100, pictures=False):
    items = []
    for number in range(chunks):
        if pictures and number % 25 == 0:
            items.append(Picture(b"jpeg", number * CHUNK, f"v{number}"))
        items.append(Audio(number.to_bytes(2, "little") * CHUNK, number * CHUNK))
    return items


async def _stream(items):
    for item in items:
        yield item


def _pcm(items):
    return b"".join(item.pcm for item in items if isinstance(item, Audio))


async def test_everything_arrives_in_order_and_every_event_comes_back(process):
    session = LiveSession(process.address, session_pb2.LiveConfig(title="t"))
    items = _media(pictures=True)
    await session.run(_stream(items))
    assert bytes(process.gateway.pcm) == _pcm(items)
    assert [name for name, _ in process.gateway.pictures] == ["v0", "v25", "v50", "v75"]
    assert session.session_id == "s1"
    assert [event.seq for event in session.events] == list(range(1, 12))
    assert session.events[-1].ended.end_sample == 100 * CHUNK


async def test_a_gateway_that_dies_and_returns_gets_all_sound_once_and_gives_every_event_once(process):
    items = _media(300, pictures=True)
    process.gateway.die_after = 57
    troubles = []
    session = LiveSession(process.address, session_pb2.LiveConfig(), on_trouble=troubles.append)

    async def kill_twice():
        for again_after in (101, None):
            await process.gateway.died.wait()
            process.gateway.died.clear()
            await process.kill()
            process.gateway.die_after = again_after
            await process.start()

    killer = asyncio.create_task(kill_twice())
    await session.run(_stream(items))
    await killer
    assert bytes(process.gateway.pcm) == _pcm(items)
    assert [event.seq for event in session.events] == list(range(1, len(process.gateway.events) + 1))
    assert [config.session_id for config in process.gateway.configs] == ["", "s1", "s1"]
    assert {name for name, _ in process.gateway.pictures} == {f"v{n}" for n in range(0, 300, 25)}
    assert troubles


async def test_a_gateway_that_stays_away_is_given_up_with_a_sentence():
    (address,) = free_addresses(1)
    session = LiveSession(address, session_pb2.LiveConfig(), patience_s=0.2)
    with pytest.raises(GatewayError, match=f"the gateway at {address} cannot be reached"):
        await session.run(_stream(_media(1)))


async def test_a_gateway_that_says_nothing_is_given_up_with_a_sentence(process):
    process.gateway.mute = True
    session = LiveSession(process.address, session_pb2.LiveConfig(), silence_s=0.2)
    with pytest.raises(GatewayError, match="has said nothing"):
        await session.run(_stream(_media(1)))


async def test_an_error_of_the_service_is_told_in_its_words(process):
    session = LiveSession(process.address, session_pb2.LiveConfig(session_id="nope"))
    with pytest.raises(GatewayError, match="no session 'nope'") as caught:
        await session.run(_stream(_media(1)))
    assert not caught.value.is_input


async def test_media_that_the_service_refuses_are_the_callers_fault(process):
    session = LiveSession(process.address, session_pb2.LiveConfig())
    with pytest.raises(GatewayError, match="expected 0") as caught:
        await session.run(_stream([Audio(b"\0\0", 5)]))
    assert caught.value.is_input


async def test_a_file_that_breaks_on_the_way_is_told_at_once(process):
    async def broken():
        yield Audio(b"\0\0", 0)
        raise MediaFileError("the file broke")

    session = LiveSession(process.address, session_pb2.LiveConfig())
    with pytest.raises(MediaFileError, match="the file broke"):
        await session.run(broken())


async def test_cancelling_leaves_what_was_heard(process):
    async def endless():
        number = 0
        while True:
            yield Audio(bytes(2 * CHUNK), number * CHUNK)
            number += 1

    heard = asyncio.Event()
    session = LiveSession(
        process.address, session_pb2.LiveConfig(), on_event=lambda e: heard.set() if e.seq == 3 else None
    )
    run = asyncio.create_task(session.run(endless()))
    await heard.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(session.events) >= 3


async def test_pages_of_sessions_are_followed_to_the_last(process):
    async with gateway(process.address) as stub:
        assert [summary.session_id async for summary in pages(stub)] == ["s00", "s01", "s10", "s11", "s20", "s21"]


async def test_a_method_that_the_server_lacks_is_explained(process):
    with pytest.raises(GatewayError, match="no Sensorium gateway, or an older one"):
        async with gateway(process.address) as stub:
            await stub.See(session_pb2.SeeRequest())


async def test_real_time_lets_nothing_go_before_it_was_recorded():
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async for item in in_real_time(_stream(_media(3))):
        assert loop.time() - begun >= item.end_sample / 16_000 - 0.001
