"""All sessions of one gateway: opening, resuming, watching, asking, and single pictures."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, suppress
from functools import partial

import grpc

from protos.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway import importing, minutes, minutes_answers, transcript
from services.gateway.answer_schema import Form
from services.gateway.corrections import undone
from services.gateway.decoder_link import DecoderLink
from services.gateway.enrolment import long_enough, voice_of_file
from services.gateway.feed import Feed
from services.gateway.follow_ups import Turn, resolved
from services.gateway.session import (
    DECODER_AWAY,
    EXPERTS,
    MAX_QUESTIONS,
    TOO_MANY_QUESTIONS,
    Session,
    check_image,
    check_question,
    chosen_experts,
    named,
    new_session_id,
    publish_answer,
    speakers_of,
)
from services.gateway.store import Store, StoredSession
from services.gateway.voices import KnownVoice, Voices
from services.runtime.channel import CLIENT_OPTIONS, has_lost_its_status
from services.runtime.errors import ConflictError, DrainingError, NotFoundError
from services.runtime.percept import SpeakerVoice
from services.runtime.queries import checked_queries
from services.runtime.settings import service_address
from services.runtime.stage import MediaError, OverloadedError

log = logging.getLogger(__name__)

DESCRIBE_TIMEOUT_S = 2.0
SEE_TIMEOUT_S = 60.0
TOPICS_TIMEOUT_S = 120.0
FORGET_TIMEOUT_S = 5.0
# A decoder that is just starting opens its models first.
DECODER_START_S = 10.0
# A call that was refused in the middle of a write is made again to learn why.
LOST_STATUS_RETRIES = 5
MAX_KEPT_FEEDS = 64
# Ended sessions whose speakers can still be remembered; how they sound is in memory only.
MAX_HEARD = 16
SEE_TASKS = ("ocr", "gui", "objects")


class Sessions:
    """Live sessions of this process over one store; at most `max_sessions` at a time."""

    def __init__(
        self, store: Store, voices: Voices, channels: Mapping[str, grpc.aio.Channel], max_sessions: int
    ) -> None:
        self.store = store
        self.voices = voices
        self.max_sessions = max_sessions
        self._channels = channels
        self._live: dict[str, Session] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._opening = asyncio.Lock()
        # Feeds of kept sessions that somebody looks at, so that answers reach all lookers.
        self._kept_feeds: OrderedDict[str, Feed] = OrderedDict()
        self._heard: OrderedDict[str, dict[str, SpeakerVoice]] = OrderedDict()
        self._questions: set[asyncio.Task[None]] = set()
        # Kept sessions that the decoder was told all of.
        self._shown: set[str] = set()
        self._showing = asyncio.Lock()
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._preparing: set[asyncio.Task[None]] = set()
        self._forgetting: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(cls, store: Store, voices: Voices, max_sessions: int, stack: AsyncExitStack) -> "Sessions":
        """Sessions over channels to the experts and the decoder at their configured addresses."""
        channels = {}
        for name in (*EXPERTS, "decoder"):
            # A session's context lives in one decoder; experts are taken in turn.
            policy = (("grpc.lb_policy_name", "round_robin"),) if name != "decoder" else ()
            options = (*CLIENT_OPTIONS, *policy)
            channel = grpc.aio.insecure_channel(_target(service_address(name)), options=options)
            channels[name] = await stack.enter_async_context(channel)
        return cls(store, voices, channels, max_sessions)

    @property
    def live_count(self) -> int:
        """Sessions that take media, or wait for their writer to come back."""
        return sum(not session.is_finishing for session in self._live.values())

    def _make_room(self) -> None:
        """When all places are taken, the session that waits longest for its writer is finished."""
        if self.live_count >= self.max_sessions:
            waiting = [s for s in self._live.values() if not s.has_writer and not s.is_finishing]
            for session in sorted(waiting, key=lambda s: s.abandoned_at)[:1]:
                session.end_media()

    async def open(self, config: pb.LiveConfig, *, is_passing: bool = False) -> Session:
        """Begin a session (a passing one is not listed), or go on with `config.session_id`, as its only writer.

        Raises NotFoundError, ConflictError (ended, or has a writer), OverloadedError, MediaError.
        """
        chosen_experts(config)
        async with self._opening:
            session = self._live.get(config.session_id)
            if session is None:
                self._make_room()
                if self.live_count >= self.max_sessions:
                    raise OverloadedError(
                        f"all {self.max_sessions} live sessions are taken; try again later", retry_after_s=5.0
                    )
                session = await self._load(config, is_passing)
            session.adopt()
            return session

    async def _load(self, config: pb.LiveConfig, is_passing: bool) -> Session:
        if config.session_id:
            stored = await self.store.get(config.session_id)
            if stored.has_ended:
                raise ConflictError(f"session {stored.id} has ended; begin a new one")
        else:
            stored = await self.store.create(new_session_id(), config, is_passing=is_passing)
        session = Session(
            stored,
            self.store,
            self.voices,
            self._channels,
            await self.store.checkpoints(stored.id),
            Feed(stored.id, self.store),
        )
        # Whoever writes into it at once may name a speaker of before.
        await session.load()
        if (kept := self._kept_feeds.pop(session.id, None)) is not None:
            kept.close()
        self._live[session.id] = session
        self._shown.discard(session.id)
        self._runs[session.id] = asyncio.create_task(self._run(session))
        return session

    async def _run(self, session: Session) -> None:
        try:
            # Of two that tell the decoder of one session each would make it begin anew.
            if (telling := self._telling.get(session.id)) is not None:
                telling.cancel()
                await asyncio.wait([telling])
            await session.run()
        except Exception:  # the top of a session's task: the others live on
            log.exception("session failed", extra={"fields": {"session": session.id}})
        finally:
            session.close()
            if session.recogniser.heard:
                self._heard[session.id] = session.recogniser.heard
                while len(self._heard) > MAX_HEARD:
                    self._heard.popitem(last=False)
            self._live.pop(session.id, None)
            self._runs.pop(session.id, None)
            if session.is_told:
                self._shown.add(session.id)

    async def has_ended(self, session_id: str) -> bool:
        """True when nothing can be added to it any more. Raises NotFoundError."""
        return session_id not in self._live and (await self.store.get(session_id)).has_ended

    async def release(self, session: Session) -> None:
        """The writer is gone; the session stays resumable for a while, or until its place is needed."""
        session.release()

    def live(self, session_id: str) -> Session | None:
        """The session when it runs now."""
        return self._live.get(session_id)

    async def feed(self, session_id: str) -> Feed:
        """The events of a live or kept session. Raises NotFoundError."""
        # Whoever watches one of two feeds of a session would not hear of the other's events.
        async with self._opening:
            if (session := self._live.get(session_id)) is not None:
                return session.feed
            await self.store.get(session_id)
            if session_id not in self._kept_feeds:
                self._kept_feeds[session_id] = Feed(session_id, self.store)
                while len(self._kept_feeds) > MAX_KEPT_FEEDS:
                    self._kept_feeds.popitem(last=False)[1].close()
            self._kept_feeds.move_to_end(session_id)
            return self._kept_feeds[session_id]

    async def watch(self, session_id: str, last_seq: int, *, follow: bool = False) -> AsyncIterator[pb.Event]:
        """Events after a number; of a live session also those to come.

        `follow`: of a kept one too (answers to new questions), for as long as the caller looks.
        Raises NotFoundError.
        """
        feed = await self.feed(session_id)
        if session_id not in self._live and not follow:
            async for event in feed.history(last_seq):
                yield event
            return
        async for event in feed.watch(last_seq):
            yield event

    async def question(
        self,
        session_id: str,
        question_id: str,
        text: str,
        escalation: decoder_pb2.Escalation = decoder_pb2.ESCALATION_UNSPECIFIED,
        earlier: Sequence[Turn] = (),
    ) -> None:
        """Ask about a live or kept session, perhaps after `earlier` questions; the answer comes as events.

        Raises NotFoundError, MediaError, OverloadedError.
        """
        check_question(text)
        parts = self.ask(session_id, text, escalation, earlier=earlier)
        if (session := self._live.get(session_id)) is not None:
            session.answer(question_id, text, parts)
            return
        await self.feed(session_id)
        # Nothing is waited for in between: of many that come at once no more are taken.
        if len(self._questions) >= MAX_QUESTIONS:
            raise OverloadedError(TOO_MANY_QUESTIONS)
        # While the answer is made the session may go live, or end: each part goes where people look then.
        task = asyncio.create_task(publish_answer(lambda: self.feed(session_id), question_id, text, parts))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def rename(self, session_id: str, speaker: str, name: str) -> None:
        """Give a speaker of a live or kept session a name. Raises NotFoundError (session, speaker), MediaError."""
        if (session := self._live.get(session_id)) is not None:
            _must_be_one_of(session.speakers, speaker)
            await session.rename(speaker, name)
            return
        feed = await self.feed(session_id)
        _must_be_one_of({id_ async for event in feed.history() for id_ in speakers_of(event)}, speaker)
        await feed.append(named(speaker, name), speaker)
        self._shown.discard(session_id)

    async def undo(self, session_id: str, utterance_id: str, word: int) -> None:
        """Put back what was heard before a phrase took its place, live or kept. Raises NotFoundError, MediaError."""
        if (session := self._live.get(session_id)) is not None:
            await session.undo(utterance_id, word)
            return
        feed = await self.feed(session_id)
        known = None
        async for event in feed.history():
            if event.WhichOneof("event") == "utterance" and event.utterance.utterance_id == utterance_id:
                known = event.utterance
        if known is None:
            raise MediaError(f"there is no utterance {utterance_id!r} in session {session_id}")
        await feed.append(pb.Event(utterance=undone(known, word)), utterance_id)
        self._shown.discard(session_id)

    async def set_phrases(self, session_id: str, phrases: Sequence[pb.Phrase]) -> None:
        """Listen for other phrases in a live session. Raises NotFoundError, ConflictError, MediaError."""
        if (session := self._live.get(session_id)) is None:
            await self.store.get(session_id)
            raise ConflictError(f"session {session_id} is not live; phrases change in a live one only")
        await session.set_phrases(phrases)

    async def set_queries(self, session_id: str, queries: Sequence[str]) -> None:
        """Find other things on the screen of a live session. Raises NotFoundError, ConflictError, MediaError."""
        if (session := self._live.get(session_id)) is None:
            await self.store.get(session_id)
            raise ConflictError(f"session {session_id} is not live; queries change in a live one only")
        await session.set_queries(queries)

    async def add_voice(self, request: pb.AddVoiceRequest) -> KnownVoice:
        """Remember a voice; whoever has it in a live session is named at once.

        Raises MediaError, ConflictError (name taken), NotFoundError, OverloadedError, grpc.aio.AioRpcError.
        """
        self.voices.check(request.name, request.consent_by, replace=request.replace)
        match request.WhichOneof("source"):
            case "media":
                voice = await voice_of_file(request.media, self._channels["diarization"])
            case "speaker":
                voice = long_enough(await self._voice_of(request.speaker.session_id, request.speaker.speaker))
            case _:
                raise MediaError("a voice needs a source: a media file, or a speaker of a session")
        known = await self.voices.add(request.name, voice, request.consent_by, replace=request.replace)
        await self._review_names()
        return known

    async def delete_voice(self, name: str) -> None:
        """Forget a voice; live sessions take back what they recognised by it. Raises NotFoundError."""
        await self.voices.delete(name)
        await self._review_names()

    async def _review_names(self) -> None:
        for session in list(self._live.values()):
            await session.review_names()

    async def _voice_of(self, session_id: str, speaker: str) -> SpeakerVoice:
        session = self._live.get(session_id)
        heard = session.recogniser.heard if session else self._heard.get(session_id)
        if heard is None:
            await self.store.get(session_id)
            raise NotFoundError(
                "how the speakers of this meeting sound is not kept any more; remember a voice during a meeting or "
                "soon after it, or from a file with `sensorium voices add`"
            )
        if speaker not in heard:
            raise NotFoundError(f"too little of {speaker!r} was heard in this meeting so far to know the voice")
        return heard[speaker]

    async def frame(self, session_id: str, frame_id: str) -> bytes:
        """A recent encoded picture of a live session. Raises NotFoundError."""
        session = self._live.get(session_id)
        image = session.frame(frame_id) if session else None
        if image is None:
            raise NotFoundError("this picture is not kept any more; the text that was on it is")
        return image

    async def summary(self, session_id: str) -> pb.SessionSummary:
        """What a list shows of one session. Raises NotFoundError."""
        summary = await self.store.summary(session_id)
        session = self._live.get(session_id)
        summary.is_live = session is not None and session.has_writer
        return summary

    async def summaries(
        self, limit: int, after: tuple[int, str] | None = None
    ) -> tuple[list[pb.SessionSummary], tuple[int, str] | None]:
        """Sessions, newest first, that come after a (unix_ms, id), and where the next page begins, if there is one."""
        page = await self.store.list(limit, after)
        found = []
        for stored in page:
            with suppress(NotFoundError):  # forgotten in between
                found.append(await self.summary(stored.id))
        return found, (page[-1].started_unix_ms, page[-1].id) if len(page) == limit else None

    async def ask(
        self,
        session_id: str,
        question: str,
        escalation: decoder_pb2.Escalation = decoder_pb2.ESCALATION_UNSPECIFIED,
        form: Form | None = None,
        earlier: Sequence[Turn] = (),
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        """Ask about a live or kept session; a kept one is shown to the decoder first. With a form the text is JSON,
        and the question is whole; else it may go on from `earlier` ones.

        Raises NotFoundError, MediaError, DrainingError, grpc.aio.AioRpcError.
        """
        check_question(question)
        if form is not None:
            parts = self._parts(session_id, question, escalation, form.fields)
            async for part in _in_shape(form, question, parts, partial(self.minutes, session_id)):
                yield part
            return
        parts = self._parts(session_id, resolved(question, earlier), escalation)
        async for part in _from_minutes(question, parts, partial(self.minutes, session_id)):
            yield part

    async def _parts(
        self,
        session_id: str,
        question: str,
        escalation: decoder_pb2.Escalation,
        fields: Sequence[decoder_pb2.Field] = (),
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        stored = await self.store.get(session_id)
        if (session := self._live.get(session_id)) is not None:
            await self._reach_decoder()
            # Just gone live, or after its decoder began anew, it would be answered from less.
            await session.until_caught_up()
        was_shown = session_id in self._live or session_id in self._shown
        link = self._link(stored)
        try:
            if not was_shown:
                await self._show(stored)
            async for part in link.ask(question, escalation, fields):
                yield part
            return
        except grpc.aio.AioRpcError as error:
            if not was_shown or session_id in self._live or error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        # The decoder began anew, or had forgotten it: nothing of an answer has come.
        self._shown.discard(session_id)
        await self._show(stored)
        async for part in link.ask(question, escalation, fields):
            yield part

    def _link(self, stored: StoredSession) -> DecoderLink:
        return DecoderLink(
            stored.id,
            self._channels["decoder"],
            lambda: self.store.events(stored.id),
            lambda: self.store.spans(stored.id),
            on_fused=_ignore,
            on_terms=_ignore,
            on_name=_ignore,
            on_status=_ignore,
            escalation=stored.config.escalation,
        )

    async def _show(self, stored: StoredSession) -> None:
        """Tell the decoder all of a kept session, once at a time. Raises NotFoundError, DrainingError."""
        # Before it is one's turn: those who wait are not to wait one after another.
        await self._reach_decoder()
        async with self._showing:
            # One that went live meanwhile tells the decoder itself; shown again it would lose what comes.
            if stored.id in self._shown or stored.id in self._live:
                return
            telling = self._telling[stored.id] = asyncio.create_task(self._tell(stored))
            try:
                await asyncio.wait([telling])
            finally:
                telling.cancel()
                del self._telling[stored.id]
            if not telling.cancelled():
                telling.result()

    async def _tell(self, stored: StoredSession) -> None:
        """Tell the decoder of a kept session; cancelled when it goes live. Raises NotFoundError, DrainingError."""
        await self.store.get(stored.id)
        await _tell_all(self._link(stored))
        try:
            await self.store.get(stored.id)
        except NotFoundError:  # deleted meanwhile
            await self._forget(stored.id)
            raise
        if stored.id not in self._live:
            self._shown.add(stored.id)

    async def _reach_decoder(self) -> None:
        """Return once the decoder is connected. Raises DrainingError."""
        try:
            async with asyncio.timeout(DECODER_START_S):
                await self._channels["decoder"].channel_ready()
        except TimeoutError:
            raise DrainingError(DECODER_AWAY) from None

    async def _forget(self, session_id: str) -> None:
        """Take a session out of the decoder's memory; one that does not answer forgets it when it was idle."""
        stub = decoder_pb2_grpc.DecoderServiceStub(self._channels["decoder"])
        try:
            await stub.Forget(decoder_pb2.ForgetRequest(session_id=session_id), timeout=FORGET_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            log.warning("the decoder was not told to forget", extra={"fields": {"code": error.code().name}})

    async def ask_unkept(
        self,
        events: Sequence[pb.Event],
        question: str,
        form: Form | None = None,
        earlier: Sequence[Turn] = (),
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        """As `ask`, about what is in no session; it stays on this machine and is not kept.

        Raises MediaError, DrainingError, grpc.aio.AioRpcError.
        """

        async def history() -> AsyncIterator[pb.Event]:
            for event in events:
                yield event

        session_id = new_session_id()
        link = DecoderLink(
            session_id,
            self._channels["decoder"],
            history,
            on_fused=_ignore,
            on_terms=_ignore,
            on_name=_ignore,
            on_status=_ignore,
            escalation=decoder_pb2.ESCALATION_NEVER,
        )
        noted = partial(self._noted, events)
        await self._reach_decoder()
        try:
            await _tell_all(link)
            if form is not None:
                parts = link.ask(question, decoder_pb2.ESCALATION_NEVER, form.fields)
                shaped = _in_shape(form, question, parts, noted)
            else:
                parts = link.ask(resolved(question, earlier), decoder_pb2.ESCALATION_NEVER)
                shaped = _from_minutes(question, parts, noted)
            async for part in shaped:
                yield part
        finally:
            await self._forget(session_id)

    async def see(self, request: pb.SeeRequest) -> pb.SeeResponse:
        """Read one picture with the vision expert's named tasks, and those that queries need.

        Raises MediaError, grpc.aio.AioRpcError.
        """
        tasks = list(dict.fromkeys(request.tasks))
        if not (tasks or request.queries) or set(tasks) - set(SEE_TASKS):
            raise MediaError(f"tasks are {tasks}, must be one or more of {', '.join(SEE_TASKS)}")
        queries = checked_queries(request.queries)
        check_image(request.image)
        stub = expert_pb2_grpc.ExpertServiceStub(self._channels["vision"])
        before = await stub.Describe(expert_pb2.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
        started = time.monotonic()

        config = expert_pb2.PerceiveConfig(tasks=tasks, queries=queries, every_frame=True)
        screen = await _look(stub, config, request.image)
        spent_ms = (time.monotonic() - started) * 1000
        ran = list(dict.fromkeys((*tasks, *(task for answer in screen.answers for task in answer.tasks))))
        if queries:
            ran.append("queries")
        described = await stub.Describe(expert_pb2.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
        touched = sum(
            model.parameters
            for model in described.models
            if model.is_loaded and (not model.tasks or set(model.tasks) & set(ran))
        )
        activation = pb.ExpertActivation(
            expert="vision",
            tasks=ran,
            parameters=touched,
            milliseconds=spent_ms,
            bytes_read=int(described.load["weights_read_bytes"] - before.load["weights_read_bytes"]),
        )
        return pb.SeeResponse(screen=screen, activation=[activation])

    async def describe_all(self) -> list[expert_pb2.DescribeResponse]:
        """Every service that answers, as it describes itself."""

        async def one(name: str) -> expert_pb2.DescribeResponse | None:
            try:
                if name == "decoder":
                    decoder = decoder_pb2_grpc.DecoderServiceStub(self._channels[name])
                    answer = await decoder.Describe(decoder_pb2.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
                    return expert_pb2.DescribeResponse.FromString(answer.service.SerializeToString())
                expert = expert_pb2_grpc.ExpertServiceStub(self._channels[name])
                found: expert_pb2.DescribeResponse = await expert.Describe(
                    expert_pb2.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S
                )
                return found
            except grpc.aio.AioRpcError:
                return None

        answers = await asyncio.gather(*(one(name) for name in self._channels))
        return [answer for answer in answers if answer is not None]

    async def _noted(
        self, events: Sequence[pb.Event], session_id: str = "", title: str = "", *, with_topics: bool = True
    ) -> minutes.Minutes:
        """Minutes of what these events tell. Raises grpc.aio.AioRpcError."""

        def read() -> tuple[transcript.Document, list[minutes.Sentence]]:
            document = transcript.fold(events, session_id=session_id, title=title)
            return document, minutes.sentences(document)

        document, said = await asyncio.to_thread(read)
        topics = await self._topics(said) if with_topics else []
        return await asyncio.to_thread(minutes.minutes_of, document, said, topics)

    async def _topics(self, said: Sequence[minutes.Sentence]) -> list[minutes.Topic]:
        stub = decoder_pb2_grpc.DecoderServiceStub(self._channels["decoder"])
        request = decoder_pb2.TopicsRequest(lines=[sentence.text for sentence in said])
        found = (await stub.Topics(request, timeout=TOPICS_TIMEOUT_S)).topics
        return [
            minutes.Topic(t.title, said[t.first].start_sample, said[t.end - 1].end_sample, said[t.title_line])
            for t in found
        ]

    async def minutes(self, session_id: str, *, with_topics: bool = True) -> minutes.Minutes:
        """Minutes of a live or kept session as far as it is; the decoder is needed for topics alone.

        Raises NotFoundError, grpc.aio.AioRpcError.
        """
        title = (await self.store.get(session_id)).title
        kept = [event async for event in self.store.events(session_id)]
        return await self._noted(kept, session_id, title, with_topics=with_topics)

    async def import_file(self, file: bytes, title: str = "", language: str = "") -> pb.SessionSummary:
        """Keep what another tool wrote down as a session that has ended. Raises MediaError."""

        def read() -> tuple[str, importing.Events]:
            document = importing.read(file, title=title, language=language)
            return document.title, importing.events_of(document)

        title, events = await asyncio.to_thread(read)
        config = pb.LiveConfig(title=title, language=language)
        stored = await self.store.create_ended(new_session_id(), config, events)
        task = asyncio.create_task(self._prepare(stored))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return await self.summary(stored.id)

    async def _prepare(self, stored: StoredSession) -> None:
        """Let the decoder read a session before somebody asks; it is read then if it fails now."""
        with suppress(DrainingError, NotFoundError):
            await self._show(stored)

    async def delete(self, session_id: str) -> None:
        """Forget a kept session, in the decoder too. Raises NotFoundError, ConflictError while it is live."""
        if session_id in self._live:
            raise ConflictError(f"session {session_id} is live; end it first")
        self._heard.pop(session_id, None)
        self._shown.discard(session_id)
        await self.store.delete(session_id)
        if (feed := self._kept_feeds.pop(session_id, None)) is not None:
            feed.close()
        await self._forget(session_id)

    async def open_passing(self, config: pb.LiveConfig) -> tuple[Session, Callable[[], Awaitable[None]]]:
        """Begin a session that shall not be kept, and what forgets it, finished or not.

        Also a caller that is cancelled leaves nothing behind. Raises OverloadedError, MediaError.
        """
        # Nobody is to be recognised in what others send here.
        config.options["diarization.voices"] = "off"
        opening = asyncio.create_task(self.open(config, is_passing=True))

        async def forget() -> None:
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await self._discard(opening.result())

        async def forgotten() -> None:
            task = asyncio.create_task(forget())
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)
            await asyncio.shield(task)

        try:
            return await asyncio.shield(opening), forgotten
        except asyncio.CancelledError:
            await forgotten()
            raise

    async def _discard(self, session: Session) -> None:
        if (run := self._runs.get(session.id)) is not None:
            run.cancel()
            await asyncio.wait([run])
        self._shown.discard(session.id)
        await self.store.delete(session.id)
        await self._forget(session.id)

    async def close(self) -> None:
        """Stop all sessions without ending them: they can be resumed from the store."""
        runs = list(self._runs.values())
        for run in (*runs, *self._questions, *self._preparing):
            run.cancel()
        for feed in self._kept_feeds.values():
            feed.close()
        await asyncio.gather(*runs, *self._forgetting, return_exceptions=True)


async def _tell_all(link: DecoderLink) -> None:
    """Tell the decoder all that a link has. Raises DrainingError."""
    link.finish()
    try:
        async with asyncio.timeout(SEE_TIMEOUT_S):
            await link.run()
    except TimeoutError:
        raise DrainingError(DECODER_AWAY) from None


async def _look(
    stub: expert_pb2_grpc.ExpertServiceStub, config: expert_pb2.PerceiveConfig, image: bytes
) -> media_pb2.ScreenState:
    """What vision sees on one picture. Raises grpc.aio.AioRpcError."""

    async def requests() -> AsyncIterator[expert_pb2.PerceiveRequest]:
        yield expert_pb2.PerceiveRequest(config=config)
        yield expert_pb2.PerceiveRequest(frame=media_pb2.VideoFrame(image=image, frame_id="image"))

    screen = media_pb2.ScreenState()
    tries = 0
    while True:
        try:
            async for response in stub.Perceive(requests(), timeout=SEE_TIMEOUT_S):
                if response.percept.WhichOneof("percept") == "screen":
                    screen = response.percept.screen
            return screen
        except grpc.aio.AioRpcError as error:
            tries += 1
            if tries > LOST_STATUS_RETRIES or not has_lost_its_status(error):
                raise


async def _from_minutes(
    question: str, parts: AsyncIterator[decoder_pb2.AskResponse], noted: Callable[..., Awaitable[minutes.Minutes]]
) -> AsyncIterator[decoder_pb2.AskResponse]:
    """What the minutes tell where the question asks for it, else the decoder's parts."""
    started = time.perf_counter()
    if (wanted := minutes_answers.wanted(question)) is not None:
        found = await noted(with_topics=wanted.needs_topics)
        told = await asyncio.to_thread(minutes_answers.answer, wanted, found)
        if told is not None:
            spent_ms = (time.perf_counter() - started) * 1000
            activation = told.activation
            activation.first_evidence_ms = activation.first_token_ms = activation.total_ms = spent_ms
            yield decoder_pb2.AskResponse(evidence=decoder_pb2.EvidenceList(evidence=told.evidence))
            yield decoder_pb2.AskResponse(delta=told.text)
            yield decoder_pb2.AskResponse(answer=told)
            return
    async for part in parts:
        yield part


async def _in_shape(
    form: Form,
    question: str,
    parts: AsyncIterator[decoder_pb2.AskResponse],
    noted: Callable[[], Awaitable[minutes.Minutes]],
) -> AsyncIterator[decoder_pb2.AskResponse]:
    """The parts of an answer with JSON in the place of its words."""
    async for part in parts:
        match part.WhichOneof("part"):
            case "evidence":
                yield part
            case "answer":
                found = await noted() if form.needs_minutes else None
                filled = form.filled(question, part.answer, found)
                yield decoder_pb2.AskResponse(delta=filled.text)
                yield decoder_pb2.AskResponse(answer=filled)


def _must_be_one_of(speakers: Set[str], speaker: str) -> None:
    if speaker not in speakers:
        known = f"speakers are {', '.join(sorted(speakers))}" if speakers else "nobody has spoken in it yet"
        raise NotFoundError(f"there is no speaker {speaker!r} in this session; {known}")


async def _ignore(*_: object) -> None:
    return None


def _target(address: str) -> str:
    """A bare IP:PORT or name:PORT as a gRPC target; names of several addresses are all used in turn."""
    return address if "://" in address or address[0].isdigit() else f"dns:///{address}"
