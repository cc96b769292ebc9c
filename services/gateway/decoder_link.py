"""A session's way to the decoder: everything final goes in, fused utterances come out, questions are asked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc

from protos.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2

log = logging.getLogger(__name__)

# Percepts waiting for the decoder. Beyond it the link forgets them and replays the store when it can.
MAX_WAITING = 1_000
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
ASK_TIMEOUT_S = 60.0

Request = decoder_pb2.ObserveRequest
History = Callable[[], AsyncIterator[session_pb2.Event]]
Spans = Callable[[], AsyncIterator[media_pb2.TokenSpan]]


def observation(event: session_pb2.Event) -> Request | None:
    """What the decoder is told of one event; None for what does not concern it."""
    match event.WhichOneof("event"):
        case "utterance":
            return Request(percept=media_pb2.Percept(transcript=event.utterance))
        case "turn":
            return Request(percept=media_pb2.Percept(turn=event.turn))
        case "screen":
            return Request(percept=media_pb2.Percept(screen=event.screen))
        case "speaker_name":
            return Request(speaker_name=event.speaker_name)
        case _:
            return None


class DecoderLink:
    """One Observe stream, kept alive: after a failure it begins anew with the session's whole history."""

    def __init__(
        self,
        session_id: str,
        channel: grpc.aio.Channel,
        history: History,
        spans: Spans | None = None,
        *,
        on_fused: Callable[[media_pb2.Transcript], Awaitable[None]],
        on_terms: Callable[[Sequence[decoder_pb2.ContextTerm]], Awaitable[None]],
        on_name: Callable[[decoder_pb2.SpeakerName], Awaitable[None]],
        on_status: Callable[[str, bool, str], Awaitable[None]],
        escalation: decoder_pb2.Escalation = decoder_pb2.ESCALATION_UNSPECIFIED,
    ) -> None:
        self.is_available = True
        # Set while the decoder has all that was kept before its stream began.
        self.is_caught_up = asyncio.Event()
        self._escalation = escalation
        self._session_id = session_id
        self._stub = decoder_pb2_grpc.DecoderServiceStub(channel)
        self._history = history
        self._spans = spans
        self._on_fused = on_fused
        self._on_terms = on_terms
        self._on_name = on_name
        self._on_status = on_status
        self._overflowed = False
        self._waiting: asyncio.Queue[Request | None] = asyncio.Queue(MAX_WAITING)

    def observe(self, request: Request) -> None:
        """Pass one observation on; never waits."""
        self._offer(request)

    def finish(self) -> None:
        """No more observations."""
        self._offer(None)

    def _offer(self, request: Request | None) -> None:
        if self._waiting.full():
            # The store has it all: empty the queue and let the next stream replay.
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._overflowed = True
        self._waiting.put_nowait(request)

    async def run(self) -> None:
        """Keep the stream up until `finish` has been answered."""
        tries = 0
        while True:
            try:
                if await self._stream():
                    return
                continue
            except grpc.aio.AioRpcError as error:
                log.warning("decoder lost", extra={"fields": {"code": error.code().name}})
            if self.is_available:
                self.is_available = False
                await self._on_status("decoder", False, "decoder does not answer; trying again")
                tries = 0
            await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    async def _stream(self) -> bool:
        """One Observe from the beginning; True when it ended because of `finish`."""
        call = self._stub.Observe()
        sender = asyncio.create_task(self._send(call))
        try:
            async for response in call:
                match response.WhichOneof("event"):
                    case "utterance":
                        await self._on_fused(response.utterance)
                    case "context_terms":
                        await self._on_terms(response.context_terms.terms)
                    case "speaker_name":
                        await self._on_name(response.speaker_name)
                    case "mark":
                        self.is_caught_up.set()
            return await sender
        finally:
            self.is_caught_up.clear()
            sender.cancel()
            call.cancel()

    async def _send(self, call: "grpc.aio.StreamStreamCall[Request, decoder_pb2.ObserveResponse]") -> bool:
        self._overflowed = False
        try:
            await self._begin(call)
            while (request := await self._waiting.get()) is not None and not self._overflowed:
                await call.write(request)
            if request is None:
                self._waiting.put_nowait(None)  # a broken stream's successor must end too
            await call.done_writing()
            return request is None and not self._overflowed
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False  # the reading side sees the same failure and reports it

    async def _begin(self, call: "grpc.aio.StreamStreamCall[Request, decoder_pb2.ObserveResponse]") -> None:
        config = decoder_pb2.ObserveConfig(session_id=self._session_id, reset=True, escalation=self._escalation)
        await call.write(Request(config=config))
        if not self.is_available:
            self.is_available = True
            await self._on_status("decoder", True, "decoder is back")
        async for event in self._history():
            if (request := observation(event)) is not None:
                await call.write(request)
        if self._spans is not None:
            async for span in self._spans():
                await call.write(Request(token_span=span))
        await call.write(Request(mark=decoder_pb2.Mark()))

    async def ask(
        self,
        question: str,
        escalation: decoder_pb2.Escalation = decoder_pb2.ESCALATION_UNSPECIFIED,
        fields: Sequence[decoder_pb2.Field] = (),
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        """Stream the parts of one answer. Raises grpc.aio.AioRpcError."""
        request = decoder_pb2.AskRequest(
            session_id=self._session_id, question=question, escalation=escalation, fields=fields
        )
        async for part in self._stub.Ask(request, timeout=ASK_TIMEOUT_S):
            yield part
