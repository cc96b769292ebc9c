"""DecoderService: Observe, Ask, Topics, Forget, Describe."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

import grpc
import numpy as np

from engines.kernels.device import DeviceError
from engines.models import runs_as
from engines.residency import give_back
from protos.decoder.v1 import decoder_pb2 as pb
from protos.decoder.v1 import decoder_pb2_grpc
from protos.media.v1 import media_pb2
from services.decoder import model, reader
from services.decoder.asking import TIERS, Asking
from services.decoder.audit import AuditLog, audit_file
from services.decoder.cache import Float
from services.decoder.context import MAX_ENTRY_TOKENS, LiveContext
from services.decoder.escalation import Endpoint, EscalationSettings
from services.decoder.lines import Line
from services.decoder.local_model import LocalModel, LocalSettings
from services.decoder.minutes import topics_response
from services.decoder.model import SmallDecoder
from services.decoder.naming import FoundName
from services.decoder.reader import Reader
from services.decoder.retrieval import Index
from services.decoder.router import Router
from services.decoder.session import Session
from services.decoder.terms import ContextTerm
from services.runtime import sentence, spelling, wire
from services.runtime.describe_models import describe
from services.runtime.errors import NotFoundError, abort, status_code
from services.runtime.percept import ScreenState, SpeakerTurn, Transcript
from services.runtime.sentence import SentenceEncoder
from services.runtime.settings import ServiceSettings
from services.runtime.stage import MediaError, ModelInfo, OverloadedError
from services.runtime.streams import Streams

log = logging.getLogger(__name__)

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["DecoderService"].full_name
MAX_ID_CHARS = 200
MAX_NAME_CHARS = 200
MAX_REGIONS = 2_000
MAX_REGION_CHARS = 4_000
MAX_WORDS = 10_000
# A span beyond it is a mistake of the sender.
MAX_SPAN_SAMPLES = 24 * 3600 * 16_000
MAX_ASKS = 64
# More than an utterance of 30 s can have.
MAX_SPELLED_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """What the decoder is told beyond the settings of every service.

    `tier` answers questions; `context_tokens` per live context, of which there are `max_contexts`
    at most (23 kB a token each); a session nobody observes or asks is forgotten after `idle_s`.
    """

    tier: str = "extract"
    context_tokens: int = 4096
    max_contexts: int = 4
    idle_s: float = 1800.0
    escalation: EscalationSettings = EscalationSettings()
    local: LocalSettings = LocalSettings()


class DecoderSkin(decoder_pb2_grpc.DecoderServiceServicer):
    """The decoder behind the wire. Models run in two owned threads, never on the event loop.

    Raises ValueError for a setting out of range.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        decoder_settings: DecoderSettings,
        decoder: SmallDecoder,
        encoder: SentenceEncoder,
    ) -> None:
        if decoder_settings.tier not in TIERS:
            raise ValueError(f"tier is {decoder_settings.tier!r}, must be one of {', '.join(TIERS)}")
        self.streams = Streams(settings.max_streams)
        self._asks = Streams(MAX_ASKS)
        self._settings = decoder_settings
        self._max_sessions = settings.max_streams
        self._decoder = decoder
        self._encoder = encoder
        self._reader = Reader(settings.threads)
        self._searching = ThreadPoolExecutor(1, thread_name_prefix="decoder-search")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="decoder-context")
        endpoint = Endpoint(decoder_settings.escalation, AuditLog(audit_file()))
        local = LocalModel(decoder_settings.local)
        self._asking = Asking(
            decoder_settings.tier, decoder, encoder, self._reader, Router(encoder), endpoint, local, self._writing
        )
        # least recently used first
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Forget all sessions and stop the threads; call after draining."""
        for session_id in list(self._sessions):
            self._forget(session_id)
        for executor in (self._searching, self._writing):
            executor.shutdown(wait=False, cancel_futures=True)

    async def Observe(
        self,
        request_iterator: AsyncIterator[pb.ObserveRequest],
        context: "grpc.aio.ServicerContext[pb.ObserveRequest, pb.ObserveResponse]",
    ) -> None:
        """One client's stream of percepts."""
        try:
            with self.streams.admit():
                await self._observe(request_iterator, context)
        except Exception as error:  # the top of a stream: every failure becomes a status
            if status_code(error) is grpc.StatusCode.INTERNAL:
                log.exception("observe failed")
            await abort(context, error)

    async def Ask(
        self,
        request: pb.AskRequest,
        context: "grpc.aio.ServicerContext[pb.AskRequest, pb.AskResponse]",
    ) -> None:
        """One question."""
        try:
            with self._asks.admit():
                session = self.session(request.session_id)
                with self._use(session):
                    parts = self._asking.answer(session, request)
                    async with aclosing(parts):
                        async for part in parts:
                            await context.write(part)
                # behind the answer, for nobody waits: what finding and writing it took
                self._searching.submit(give_back)
        except Exception as error:  # the top of a call: every failure becomes a status
            if status_code(error) is grpc.StatusCode.INTERNAL:
                log.exception("ask failed")
            await abort(context, error)

    async def Topics(
        self, request: pb.TopicsRequest, context: "grpc.aio.ServicerContext[pb.TopicsRequest, pb.TopicsResponse]"
    ) -> pb.TopicsResponse:
        """A transcript cut into topics."""
        try:
            with self._asks.admit():
                return await topics_response(request, self._encoder, self._searching)
        except Exception as error:  # the top of a call: every failure becomes a status
            if status_code(error) is grpc.StatusCode.INTERNAL:
                log.exception("topics failed")
            await abort(context, error)
            raise

    async def Forget(
        self, request: pb.ForgetRequest, context: "grpc.aio.ServicerContext[pb.ForgetRequest, pb.ForgetResponse]"
    ) -> pb.ForgetResponse:
        """A session was deleted: nothing of it stays in memory."""
        self._forget(request.session_id)
        return pb.ForgetResponse()

    async def Describe(
        self,
        request: pb.DescribeRequest,
        context: "grpc.aio.ServicerContext[pb.DescribeRequest, pb.DescribeResponse]",
    ) -> pb.DescribeResponse:
        """What runs here."""
        models = [
            ModelInfo(model.NAME, *runs_as(model.NAME), is_loaded=True),
            ModelInfo(sentence.NAME, *runs_as(sentence.NAME), is_loaded=True),
            ModelInfo(reader.NAME, *runs_as(reader.NAME), is_loaded=True),
        ]
        return pb.DescribeResponse(
            service=describe("decoder", models, self.streams),
            sessions=len(self._sessions),
            dimension=self._decoder.dimension,
            space_id=self._decoder.space_id,
        )

    # -- sessions -----------------------------------------------------------------------------

    def session(self, session_id: str) -> Session:
        """A session that was observed. Raises NotFoundError."""
        if session_id not in self._sessions:
            raise NotFoundError(f"no session {session_id!r} here; observe it first")
        return self._sessions[session_id]

    @contextmanager
    def _use(self, session: Session) -> Iterator[None]:
        """Keep a session from being forgotten for the block; its idle time begins afterwards."""
        session.observers += 1
        if (expiry := self._expiries.pop(session.id, None)) is not None:
            expiry.cancel()
        try:
            yield
        finally:
            session.observers -= 1
            if not session.observers and self._sessions.get(session.id) is session:
                self._sessions.move_to_end(session.id)
                loop = asyncio.get_running_loop()
                self._expiries[session.id] = loop.call_later(self._settings.idle_s, self._forget, session.id)

    def _open(self, config: pb.ObserveConfig) -> Session:
        name = config.session_id
        if not 1 <= len(name) <= MAX_ID_CHARS:
            raise MediaError(f"session_id has {len(name)} characters, must have 1 to {MAX_ID_CHARS}")
        if config.reset:
            self._forget(name)
        if name not in self._sessions:
            if len(self._sessions) >= self._max_sessions:
                idle = next((known for known, old in self._sessions.items() if not old.observers), None)
                if idle is None:
                    raise OverloadedError(
                        f"all {self._max_sessions} sessions are being observed; try again later",
                        retry_after_s=5.0,
                    )
                self._forget(idle)
            self._sessions[name] = Session(
                name,
                self._searching,
                self._writing,
                Index(self._encoder, self._reader),
                self._new_context,
                self._encoder.rank,
            )
        self._sessions.move_to_end(name)
        if config.escalation:
            self._sessions[name].escalation = config.escalation
        return self._sessions[name]

    def _new_context(self) -> LiveContext | None:
        live = sum(session.context is not None for session in list(self._sessions.values()))
        if live >= self._settings.max_contexts:
            return None
        try:
            return LiveContext(self._decoder, self._settings.context_tokens)
        except DeviceError as error:  # a card that others use too
            log.warning("no room for another live context: %s", error)
            return None

    def _forget(self, session_id: str) -> None:
        if (expiry := self._expiries.pop(session_id, None)) is not None:
            expiry.cancel()
        if (session := self._sessions.pop(session_id, None)) is not None:
            session.close()

    # -- observe ------------------------------------------------------------------------------

    async def _observe(
        self,
        requests: AsyncIterator[pb.ObserveRequest],
        context: "grpc.aio.ServicerContext[pb.ObserveRequest, pb.ObserveResponse]",
    ) -> None:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("request") != "config":
            raise MediaError("send config first, then percepts")
        session = self._open(first.config)
        with self._use(session):
            async for request in requests:
                for fused in self._take(session, request):
                    message = wire.transcript_to_proto(fused)
                    await context.write(pb.ObserveResponse(utterance=message))
                await _tell_names(session, context)
                if request.HasField("mark"):
                    await context.write(pb.ObserveResponse(mark=request.mark))
                if (terms := session.terms()) is not None:
                    await context.write(pb.ObserveResponse(context_terms=_terms_message(terms)))
            session.flush()
            await _tell_names(session, context)

    def _take(self, session: Session, request: pb.ObserveRequest) -> list[Transcript]:
        match request.WhichOneof("request"):
            case "percept":
                return _take_percept(session, request.percept)
            case "token_span":
                self._take_tokens(session, request.token_span)
                return []
            case "speaker_name":
                name = request.speaker_name
                _check_id("speaker", name.speaker)
                if len(name.name) > MAX_NAME_CHARS:
                    raise MediaError(f"a name has {len(name.name)} characters, must have {MAX_NAME_CHARS} or fewer")
                session.add_name(name.speaker, name.name)
                return []
            case "mark":
                return []
            case "config":
                raise MediaError("a second config; send config once, first")
            case _:
                raise MediaError("an empty message; send a percept, a token span or a speaker's name")

    def _take_tokens(self, session: Session, span: media_pb2.TokenSpan) -> None:
        """Embeddings of the small decoder's space join the live context, those of others are searched by a question.

        Plain text is what the percept beside it has brought.
        """
        payload = span.embeddings
        match span.WhichOneof("payload"), payload.space_id:
            case "embeddings", self._decoder.space_id:
                session.add_embeddings(_rows(payload, self._decoder.dimension, MAX_ENTRY_TOKENS))
            case "embeddings", spelling.SPACE_ID:
                _check_id("replaces", span.replaces)
                session.add_spelling(span.replaces, _rows(payload, len(spelling.LETTERS), MAX_SPELLED_ROWS))
            case "embeddings", space_id if space_id == sentence.space_id():
                _check_id("replaces", span.replaces)
                _check_span("picture", span.start_sample, span.end_sample)
                session.add_picture(_picture(span), _rows(payload, self._encoder.dimension, 1)[0])
            case "embeddings", space_id:
                known = ", ".join(map(repr, (self._decoder.space_id, spelling.SPACE_ID, sentence.space_id())))
                raise MediaError(f"space_id is {space_id!r}, this decoder reads {known}")
            case None, _:
                raise MediaError("a token span without text or embeddings")


def _rows(payload: media_pb2.TokenSpan.Embeddings, width: int, most: int) -> Float:
    """The rows of a span that must have this width and at most so many of them. Raises MediaError."""
    if payload.dimension != width:
        raise MediaError(f"embeddings have dimension {payload.dimension}, must have {width}")
    if not 1 <= payload.n <= most:
        raise MediaError(f"embeddings have {payload.n} rows, must have 1 to {most}")
    if payload.dtype not in ("float16", "float32"):
        raise MediaError(f"embeddings are {payload.dtype!r}, must be 'float16' or 'float32'")
    dtype = np.dtype(payload.dtype).newbyteorder("<")
    if len(payload.values) != payload.n * width * dtype.itemsize:
        raise MediaError(f"embeddings have {len(payload.values)} bytes, must have {payload.n * width * dtype.itemsize}")
    rows = np.frombuffer(payload.values, dtype).reshape(payload.n, width).astype(np.float32)
    if not np.isfinite(rows).all():
        raise MediaError("embeddings hold values that are not finite")
    return rows


def _picture(span: media_pb2.TokenSpan) -> Line:
    """Where a picture without words was seen."""
    return Line(
        line_id=f"picture:{span.replaces}",
        kind="screen",
        text="",
        speaker="",
        start_sample=span.start_sample,
        end_sample=span.end_sample,
        source_id=span.replaces,
        box=wire.box_from_proto(span.box) if span.HasField("box") else None,
        frame_id=span.frame_id,
    )


def _take_percept(session: Session, message: media_pb2.Percept) -> list[Transcript]:
    try:
        percept = wire.from_proto(message)
    except ValueError as error:
        raise MediaError(str(error)) from error
    match percept:
        case Transcript():
            if not percept.is_final:
                raise MediaError(f"utterance {percept.utterance_id!r} is not final; the decoder takes finals only")
            _check_id("utterance_id", percept.utterance_id)
            _check_span("utterance", percept.start_sample, percept.end_sample)
            if len(percept.words) > MAX_WORDS:
                raise MediaError(f"an utterance has {len(percept.words)} words, must have {MAX_WORDS} or fewer")
            for word in percept.words:
                _check_span("word", word.start_sample, word.end_sample)
            return session.add_transcript(percept)
        case SpeakerTurn():
            _check_id("turn_id", percept.turn_id)
            _check_id("speaker", percept.speaker)
            _check_span("turn", percept.start_sample, percept.end_sample)
            return session.add_turn(percept)
        case ScreenState():
            _check_span("screen", percept.start_sample, percept.start_sample)
            if len(percept.regions) > MAX_REGIONS:
                raise MediaError(f"a screen has {len(percept.regions)} regions, must have {MAX_REGIONS} or fewer")
            for region in percept.regions:
                if len(region.text) > MAX_REGION_CHARS:
                    raise MediaError(
                        f"a region has {len(region.text)} characters, must have {MAX_REGION_CHARS} or fewer"
                    )
            session.add_screen(percept)
            return []
        case _:
            raise MediaError("a checkpoint is not for the decoder; send transcripts, turns and screens")


async def _tell_names(
    session: Session, context: "grpc.aio.ServicerContext[pb.ObserveRequest, pb.ObserveResponse]"
) -> None:
    for name in session.found_names():
        await context.write(pb.ObserveResponse(speaker_name=_name_message(name)))


def _name_message(found: FoundName) -> pb.SpeakerName:
    return pb.SpeakerName(
        speaker=found.speaker,
        name=found.name,
        is_recognised=True,
        how=found.how,
        source_id=found.source_id,
        confidence=found.confidence if found.name else None,
        outlined=[
            pb.OutlinedName(
                source_id=framing.source_id,
                box=wire.box_to_proto(framing.box) if framing.box is not None else None,
                frame_id=framing.frame_id,
                start_sample=framing.start_sample,
            )
            for framing in found.seen
        ],
    )


def _terms_message(terms: Sequence[ContextTerm]) -> pb.ContextTerms:
    return pb.ContextTerms(
        terms=[
            pb.ContextTerm(
                text=term.text,
                weight=term.weight,
                source_id=term.source_id,
                box=wire.box_to_proto(term.box),
                frame_id=term.frame_id,
                is_everyday=term.is_everyday,
            )
            for term in terms
        ]
    )


def _check_id(what: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_ID_CHARS:
        raise MediaError(f"{what} has {len(value)} characters, must have 1 to {MAX_ID_CHARS}")


def _check_span(what: str, start: int, end: int) -> None:
    if not (0 <= start <= end and end - start <= MAX_SPAN_SAMPLES):
        raise MediaError(
            f"{what} spans samples [{start}, {end}), must begin at 0 or later, not end before it begins "
            f"and be {MAX_SPAN_SAMPLES} samples or shorter"
        )
