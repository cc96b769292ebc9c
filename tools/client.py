"""The gateway's client: calls with clear errors, and one live session that survives a broken connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2, session_pb2_grpc
from services.runtime.channel import CLIENT_OPTIONS, has_lost_its_status
from tools.errors import GatewayError
from tools.media import SAMPLE_RATE, Audio, Item
from tools.replay import Replay, ReplayGapError

# How long a gateway may be away before a live client gives up.
PATIENCE_S = 60.0
# How long a gateway may say nothing at all while it owes us something; longer than it waits for its services.
SILENCE_S = 180.0
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0
CALL_S = 30.0

EventSink = Callable[[session_pb2.Event], None]
Report = Callable[[str], None]


@asynccontextmanager
async def gateway(address: str) -> AsyncIterator[Any]:
    """A stub of SessionService for the block; a failed call in it raises GatewayError."""
    async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
        try:
            yield session_pb2_grpc.SessionServiceStub(channel)
        except grpc.aio.AioRpcError as error:
            is_connected = channel.get_state() is grpc.ChannelConnectivity.READY
            raise explained(error, address, is_connected=is_connected) from error


def explained(error: grpc.aio.AioRpcError, address: str, *, is_connected: bool = False) -> GatewayError:
    """The sentence of the service, or one that says what to do where gRPC has none.

    `is_connected`: the gateway is there, so what is away is a service behind it.
    """
    code = error.code()
    details = error.details() or code.name
    match code:
        case grpc.StatusCode.UNAVAILABLE if not is_connected:
            return GatewayError(f"the gateway at {address} cannot be reached ({details}); is `sensorium up` running?")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return GatewayError(f"the gateway at {address} took too long to answer")
        case grpc.StatusCode.UNIMPLEMENTED:
            return GatewayError(f"what answers at {address} is no Sensorium gateway, or an older one ({details})")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return GatewayError(details, is_input=True)
        case _:
            return GatewayError(details)


async def pages(stub: Any) -> AsyncIterator[session_pb2.SessionSummary]:
    """All kept sessions, newest first."""
    token = ""
    while True:
        page = await stub.ListSessions(session_pb2.ListSessionsRequest(page_token=token), timeout=CALL_S)
        for summary in page.sessions:
            yield summary
        token = page.next_page_token
        if not token:
            return


async def in_thread(items: Iterator[Item]) -> AsyncIterator[Item]:
    """Iterate where decoding does not hold up the event loop."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


async def in_real_time(items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Let every item go when its last sample would have been recorded."""
    loop = asyncio.get_running_loop()
    begun_s: float | None = None
    async for item in items:
        if begun_s is None:
            begun_s = loop.time()
        await asyncio.sleep(begun_s + item.end_sample / SAMPLE_RATE - loop.time())
        yield item


class LiveSession:
    """One session that streams media and collects events.

    `events` holds the durable ones in order, each once, also after `run` was cancelled. When the gateway
    goes away, the session goes on with it as soon as it is back.
    """

    def __init__(
        self,
        address: str,
        config: session_pb2.LiveConfig,
        *,
        on_event: EventSink = lambda event: None,
        on_trouble: Report = lambda sentence: None,
        patience_s: float = PATIENCE_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.events: list[session_pb2.Event] = []
        self.session_id = config.session_id
        self.sent_sample = 0
        self._address = address
        self._config = config
        self._on_event = on_event
        self._on_trouble = on_trouble
        self._patience_s = patience_s
        self._silence_s = silence_s
        self._last_seq = config.last_seq
        self._has_ended = False
        self._replay = Replay()
        # The next item of the media; outlives a connection, so that no item is lost with one.
        self._pull: asyncio.Future[Item | None] | None = None

    async def run(self, media: AsyncIterator[Item]) -> None:
        """Stream all of `media` and return when the gateway has said all. Raises GatewayError."""
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        lost_s: float | None = None
        try:
            while True:
                last_seq, session_id = self._last_seq, self.session_id
                try:
                    async with grpc.aio.insecure_channel(self._address, options=CLIENT_OPTIONS) as channel:
                        await self._connection(session_pb2_grpc.SessionServiceStub(channel), media)
                    return
                except grpc.aio.AioRpcError as error:
                    if self._last_seq > last_seq or self.session_id != session_id:
                        lost_s, backoff_s = None, FIRST_BACKOFF_S
                    away_s = 0.0 if lost_s is None else loop.time() - lost_s
                    if not self._may_retry(error) or away_s > self._patience_s:
                        raise explained(error, self._address) from error
                    if lost_s is None:
                        lost_s = loop.time()
                        self._on_trouble("the connection to the gateway broke; trying again")
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
        finally:
            if self._pull is not None:
                self._pull.cancel()

    def _may_retry(self, error: grpc.aio.AioRpcError) -> bool:
        """A gateway that went away comes back; one that has not noticed yet that we went still has our writer."""
        if error.code() is grpc.StatusCode.ALREADY_EXISTS:
            return self._last_seq > self._config.last_seq or self.session_id != self._config.session_id
        # A write that fails makes grpc.aio forget the status that the server gave; the next try brings it to light.
        was_writing = has_lost_its_status(error)
        return was_writing or error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

    async def _connection(self, stub: Any, media: AsyncIterator[Item]) -> None:
        config = session_pb2.LiveConfig()
        config.CopyFrom(self._config)
        config.session_id, config.last_seq = self.session_id, self._last_seq
        call = stub.Live()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        reader = asyncio.create_task(self._read(call, config, started))
        writer = asyncio.create_task(self._write(call, started, media))
        try:
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if writer in done:
                writer.result()
            await reader
        finally:
            reader.cancel()
            writer.cancel()
            call.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self, call: Any, config: session_pb2.LiveConfig, started: "asyncio.Future[int]") -> None:
        with suppress(asyncio.InvalidStateError):  # already over: the read below tells why
            await call.write(session_pb2.LiveRequest(config=config))
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    response = await call.read()
            except TimeoutError:
                raise GatewayError(
                    f"the gateway at {self._address} has said nothing for {self._silence_s:.0f} s; "
                    "`sensorium status` shows which service is in trouble"
                ) from None
            if response is grpc.aio.EOF:
                break
            self._take(response.event, started)
        if not self._has_ended:
            raise GatewayError(f"the gateway at {self._address} closed session {self.session_id} before its end")

    def _take(self, event: session_pb2.Event, started: "asyncio.Future[int]") -> None:
        if event.seq:
            if event.seq <= self._last_seq:
                return
            self._last_seq = event.seq
            self.events.append(event)
        match event.WhichOneof("event"):
            case "started":
                self.session_id = event.started.session_id
                if not started.done():
                    started.set_result(event.started.resume_sample)
            case "progress":
                self._replay.trim(event.progress.resume_sample)
            case "ended":
                self._has_ended = True
        self._on_event(event)

    async def _write(self, call: Any, started: "asyncio.Future[int]", media: AsyncIterator[Item]) -> None:
        resume_sample = await started
        try:
            for kept in self._replay.since(resume_sample):
                await call.write(_request(kept))
            while (item := await self._next(media)) is not None:
                await call.write(_request(item))
                self.sent_sample = max(self.sent_sample, item.end_sample)
            await call.done_writing()
        except ReplayGapError as error:
            raise GatewayError(str(error)) from error
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The call is over; the reader gets its status and decides.
            return

    async def _next(self, media: AsyncIterator[Item]) -> Item | None:
        if self._pull is None:
            self._pull = asyncio.ensure_future(_or_none(media))
        item = await asyncio.shield(self._pull)
        if item is not None:
            self._replay.add(item)
            self._pull = None
        return item


async def _or_none(media: AsyncIterator[Item]) -> Item | None:
    return await anext(media, None)


def _request(item: Item) -> session_pb2.LiveRequest:
    if isinstance(item, Audio):
        return session_pb2.LiveRequest(audio=media_pb2.AudioChunk(pcm=item.pcm, start_sample=item.start_sample))
    return session_pb2.LiveRequest(
        frame=media_pb2.VideoFrame(image=item.image, start_sample=item.start_sample, frame_id=item.frame_id)
    )
