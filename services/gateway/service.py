"""SessionService: the gateway's gRPC face. Turns calls into sessions and exceptions into statuses."""

import asyncio
import re
from collections.abc import AsyncIterator

import grpc

from protos.session.v1 import session_pb2 as pb
from protos.session.v1 import session_pb2_grpc
from services.gateway import minutes
from services.gateway.answer_schema import parse_form
from services.gateway.session import DECODER_AWAY, Session, refused
from services.gateway.sessions import Sessions
from services.gateway.voices import KnownVoice
from services.runtime.describe import describe_process
from services.runtime.errors import DrainingError, fail
from services.runtime.stage import MediaError, OverloadedError
from services.runtime.streams import Streams

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["SessionService"].full_name
MAX_PAGE = 1_000
VANISHED_S = 0.1


class SessionSkin(session_pb2_grpc.SessionServiceServicer):
    """The wire in front of `Sessions`. `streams` counts Live calls for draining."""

    def __init__(self, sessions: Sessions, streams: Streams) -> None:
        self._sessions = sessions
        self.streams = streams

    async def Live(
        self,
        request_iterator: AsyncIterator[pb.LiveRequest],
        context: "grpc.aio.ServicerContext[pb.LiveRequest, pb.LiveResponse]",
    ) -> None:
        """One writer's stream."""
        try:
            with self.streams.admit():
                await self._live(request_iterator, context)
        except Exception as error:  # the top of a stream: every failure becomes a status
            await fail(context, error)

    async def _live(
        self,
        requests: AsyncIterator[pb.LiveRequest],
        context: "grpc.aio.ServicerContext[pb.LiveRequest, pb.LiveResponse]",
    ) -> None:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("request") != "config":
            raise MediaError("send config first, then media")
        config = first.config
        if config.last_seq and not config.session_id:
            raise MediaError(f"last_seq is {config.last_seq} without a session_id")
        if config.session_id and await self._sessions.has_ended(config.session_id):
            await self._send_missed(config, context)
            return
        session = await self._sessions.open(config)
        writer: asyncio.Task[None] | None = None
        try:
            started = pb.Started(
                session_id=session.id,
                resume_sample=session.resume_sample,
                last_seq=await self._sessions.store.last_seq(session.id),
            )
            await context.write(pb.LiveResponse(event=pb.Event(started=started)))
            writer = asyncio.create_task(_write(requests, session, self._sessions))
            events = asyncio.create_task(_send(session, config.last_seq, context))
            done, _ = await asyncio.wait((writer, events), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in (writer, events) if writer else ():
                task.cancel()
            await self._sessions.release(session)

    async def _send_missed(
        self, config: pb.LiveConfig, context: "grpc.aio.ServicerContext[pb.LiveRequest, pb.LiveResponse]"
    ) -> None:
        """The connection broke after the session's end: the client gets what it missed."""
        summary = await self._sessions.summary(config.session_id)
        started = pb.Started(session_id=config.session_id, resume_sample=summary.end_sample, last_seq=summary.last_seq)
        await context.write(pb.LiveResponse(event=pb.Event(started=started)))
        async for event in self._sessions.store.events(config.session_id, config.last_seq):
            await context.write(pb.LiveResponse(event=event))

    async def Watch(
        self,
        request: pb.WatchRequest,
        context: "grpc.aio.ServicerContext[pb.WatchRequest, pb.WatchResponse]",
    ) -> None:
        """Follow a session."""
        try:
            async for event in self._sessions.watch(request.session_id, request.last_seq):
                await context.write(pb.WatchResponse(event=event))
        except Exception as error:  # the top of a stream
            await fail(context, error)

    async def Ask(
        self, request: pb.AskRequest, context: "grpc.aio.ServicerContext[pb.AskRequest, pb.AskResponse]"
    ) -> None:
        """Answer a question about a session."""
        try:
            form = parse_form(request.schema, request.question)
            async for part in self._sessions.ask(request.session_id, request.question, request.escalation, form):
                await context.write(pb.AskResponse(part=part))
        except Exception as error:  # the top of a stream
            is_away = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAVAILABLE
            await fail(context, DrainingError(DECODER_AWAY) if is_away else error)

    async def See(
        self, request: pb.SeeRequest, context: "grpc.aio.ServicerContext[pb.SeeRequest, pb.SeeResponse]"
    ) -> pb.SeeResponse:
        """Read one picture."""
        try:
            return await self._sessions.see(request)
        except Exception as error:  # the top of a call
            await fail(context, error)
            raise

    async def ImportSession(
        self,
        request: pb.ImportSessionRequest,
        context: "grpc.aio.ServicerContext[pb.ImportSessionRequest, pb.ImportSessionResponse]",
    ) -> pb.ImportSessionResponse:
        """Keep what another tool wrote down."""
        try:
            summary = await self._sessions.import_file(request.file, request.title, request.language)
        except Exception as error:  # the top of a call
            await fail(context, error)
            raise
        return pb.ImportSessionResponse(summary=summary)

    async def ListSessions(
        self,
        request: pb.ListSessionsRequest,
        context: "grpc.aio.ServicerContext[pb.ListSessionsRequest, pb.ListSessionsResponse]",
    ) -> pb.ListSessionsResponse:
        """Kept sessions, newest first; the page token is the time and the id of the last one."""
        try:
            return await self._list(request)
        except Exception as error:  # the top of a call
            await fail(context, error)
            raise

    async def _list(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        token = re.fullmatch(r"([0-9]{1,18}):(.{1,200})", request.page_token)
        if request.page_token and not token:
            raise MediaError(f"page_token is {request.page_token[:40]!r}, must come from the last response")
        if request.page_size < 0:
            raise MediaError(f"page_size is {request.page_size}, must be 0 (the default) to {MAX_PAGE}")
        size = min(request.page_size or 100, MAX_PAGE)
        after = (int(token[1]), token[2]) if token else None
        summaries, following = await self._sessions.summaries(size, after)
        next_token = f"{following[0]}:{following[1]}" if following else ""
        return pb.ListSessionsResponse(sessions=summaries, next_page_token=next_token)

    async def GetSession(
        self,
        request: pb.GetSessionRequest,
        context: "grpc.aio.ServicerContext[pb.GetSessionRequest, pb.GetSessionResponse]",
    ) -> None:
        """Summary, then all durable events."""
        try:
            summary = await self._sessions.summary(request.session_id)
            await context.write(pb.GetSessionResponse(summary=summary))
            async for event in self._sessions.store.events(request.session_id):
                await context.write(pb.GetSessionResponse(event=event))
        except Exception as error:  # the top of a stream
            await fail(context, error)

    async def GetMinutes(
        self,
        request: pb.GetMinutesRequest,
        context: "grpc.aio.ServicerContext[pb.GetMinutesRequest, pb.GetMinutesResponse]",
    ) -> pb.GetMinutesResponse:
        """Minutes as text."""
        try:
            text = minutes.render(await self._sessions.minutes(request.session_id), request.format or "md")
        except Exception as error:  # the top of a call
            await fail(context, error)
            raise
        return pb.GetMinutesResponse(text=text)

    async def DeleteSession(
        self,
        request: pb.DeleteSessionRequest,
        context: "grpc.aio.ServicerContext[pb.DeleteSessionRequest, pb.DeleteSessionResponse]",
    ) -> pb.DeleteSessionResponse:
        """Forget a session."""
        try:
            await self._sessions.delete(request.session_id)
        except Exception as error:  # the top of a call
            await fail(context, error)
        return pb.DeleteSessionResponse()

    async def AddVoice(
        self, request: pb.AddVoiceRequest, context: "grpc.aio.ServicerContext[pb.AddVoiceRequest, pb.AddVoiceResponse]"
    ) -> pb.AddVoiceResponse:
        """Remember a voice."""
        try:
            return pb.AddVoiceResponse(voice=voice_to_proto(await self._sessions.add_voice(request)))
        except Exception as error:  # the top of a call
            await fail(context, error)
            raise

    async def ListVoices(
        self,
        request: pb.ListVoicesRequest,
        context: "grpc.aio.ServicerContext[pb.ListVoicesRequest, pb.ListVoicesResponse]",
    ) -> pb.ListVoicesResponse:
        """Remembered voices, by name."""
        return pb.ListVoicesResponse(voices=[voice_to_proto(voice) for voice in self._sessions.voices.known])

    async def DeleteVoice(
        self,
        request: pb.DeleteVoiceRequest,
        context: "grpc.aio.ServicerContext[pb.DeleteVoiceRequest, pb.DeleteVoiceResponse]",
    ) -> pb.DeleteVoiceResponse:
        """Forget a voice."""
        try:
            await self._sessions.delete_voice(request.name)
        except Exception as error:  # the top of a call
            await fail(context, error)
        return pb.DeleteVoiceResponse()

    async def Describe(
        self, request: pb.DescribeRequest, context: "grpc.aio.ServicerContext[pb.DescribeRequest, pb.DescribeResponse]"
    ) -> pb.DescribeResponse:
        """The gateway and every service behind it that answers."""
        own = describe_process("gateway", self.streams)
        own.active_streams, own.max_streams = self._sessions.live_count, self._sessions.max_sessions
        return pb.DescribeResponse(service=own, services=await self._sessions.describe_all())


def voice_to_proto(voice: KnownVoice) -> pb.Voice:
    """What is told of a remembered voice."""
    return pb.Voice(
        name=voice.name,
        speech_s=voice.speech_s,
        consent_by=voice.consent_by,
        consent_unix_ms=voice.consent_unix_ms,
        space_id=voice.space_id,
    )


async def _write(requests: AsyncIterator[pb.LiveRequest], session: Session, sessions: Sessions) -> None:
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                await session.push_audio(request.audio.pcm, request.audio.start_sample)
            case "frame":
                frame = request.frame
                await session.push_frame(frame.image, frame.start_sample, frame.frame_id)
            case "question":
                await _ask(request.question, session, sessions)
            case "rename":
                await sessions.rename(session.id, request.rename.speaker, request.rename.name)
            case "phrases":
                await session.set_phrases(request.phrases.phrases)
            case "queries":
                await session.set_queries(request.queries.queries)
            case "undo":
                await session.undo(request.undo.utterance_id, request.undo.word)
            case "config":
                raise MediaError("a second config; send config once, first")
            case _:
                raise MediaError("an empty message; send media, a question, a name, phrases, queries or an undo")
    # The stream of a client that vanished ends like one that was closed, a moment before this task is
    # cancelled; only the latter ends the session.
    await asyncio.sleep(VANISHED_S)
    await session.finish()


async def _ask(question: pb.Question, session: Session, sessions: Sessions) -> None:
    """Ask; one that is too many is told so in its answer, and the meeting goes on. Raises MediaError."""
    try:
        await sessions.question(session.id, question.question_id, question.text, question.escalation)
    except OverloadedError as error:
        session.feed.publish(refused(question.question_id, question.text, error))


async def _send(
    session: Session, last_seq: int, context: "grpc.aio.ServicerContext[pb.LiveRequest, pb.LiveResponse]"
) -> None:
    async for event in session.feed.watch(last_seq):
        await context.write(pb.LiveResponse(event=event))
    session.must_go_on()
