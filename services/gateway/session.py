"""A meeting: media in, experts beside one another, events out, numbered and kept.

The session is the only orchestrator: experts know neither one another nor the decoder. One task
group per session; the failure of an expert stays in its link and becomes an event.
"""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import grpc

from protos.decoder.v1 import decoder_pb2
from protos.expert.v1 import expert_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.corrections import ScreenTerms, undone
from services.gateway.decoder_link import DecoderLink, observation
from services.gateway.feed import Feed
from services.gateway.links import ExpertLink
from services.gateway.recognition import Recogniser
from services.gateway.store import Store, StoredSession
from services.gateway.voices import Voices, clean_name
from services.runtime import wire
from services.runtime.audio import check_chunk
from services.runtime.errors import ConflictError, DrainingError, NotFoundError, failed_call, status_code
from services.runtime.percept import (
    SAMPLE_RATE,
    Checkpoint,
    Percept,
    ScreenState,
    SpeakerTurn,
    SpeakerVoice,
    SpeechActivity,
    TokenSpan,
    Transcript,
    UnreadableFrame,
)
from services.runtime.phrases import parse_phrases, phrase_lines
from services.runtime.queries import query_lines
from services.runtime.stage import MediaError, OverloadedError

log = logging.getLogger(__name__)

AUDIO_EXPERTS = ("asr", "diarization")
EXPERTS = (*AUDIO_EXPERTS, "vision")
# How a name was found: by its voice, or by words; decoder.proto has the ways of the latter.
VOICE, TOLD = "voice", "introduced"
# Whether recognition listens for rare words of the screen; the session's own, no expert is told.
SCREEN_TERMS = "asr.screen_terms"
# Pictures kept in memory for the page, newest first out of bytes.
MAX_FRAME_BYTES = 48 * 1024 * 1024
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_QUESTION_CHARS = 2_000
MAX_QUESTIONS = 4
TOO_MANY_QUESTIONS = f"{MAX_QUESTIONS} questions are already being answered; ask again when one is"
# What is told where the decoder itself cannot say why.
DECODER_AWAY = "the decoder does not answer now; ask again in a moment, or see `sensorium status` if it stays away"
# The sender is told this often what was received.
PROGRESS_SAMPLES = SAMPLE_RATE // 2
# A session without a writer is finished after this long.
ABANDONED_S = 120.0
# A question waits this long until the decoder has read what was kept before.
CATCH_UP_S = 60.0
# Finishing waits this long for experts that are away.
FINISH_S = 90.0


class Session:
    """One live meeting. Made by `Sessions`."""

    def __init__(
        self,
        stored: StoredSession,
        store: Store,
        voices: Voices,
        channels: Mapping[str, grpc.aio.Channel],
        checkpoints: Mapping[str, Checkpoint],
        feed: Feed,
    ) -> None:
        self.id = stored.id
        self.feed = feed
        self.config = stored.config
        self.has_writer = False
        self.recogniser = Recogniser()
        self._store = store
        self._voices = voices
        self._utterances: dict[str, media_pb2.Transcript] = {}
        self._turns: dict[str, bytes] = {}
        # Everybody who was told of, also those whose first turn is not over.
        self.speakers: set[str] = set()
        self._screen: media_pb2.ScreenState | None = None
        self._screen_terms = ScreenTerms()
        # Utterances that a person set right: what recognition says of them later does not count.
        self._set_right: set[str] = set()
        self._frames: OrderedDict[str, bytes] = OrderedDict()
        self._frame_sample = 0
        self._frame_count = 0
        self._questions: set[asyncio.Task[None]] = set()
        self.is_finishing = False
        self._has_ended = False
        # True once the decoder has taken all of it.
        self.is_told = False
        self.abandoned_at = time.monotonic()
        self._nudge = asyncio.Event()
        self._over = asyncio.Event()
        self._told_sample = 0
        self._links = {
            name: ExpertLink(
                name,
                channels[name],
                _perceive_config(name, stored.config),
                checkpoints.get(name, Checkpoint(0)),
                on_percept=self._on_percept,
                on_status=self._on_status,
            )
            for name in chosen_experts(stored.config)
        }
        self._audio_links = [self._links[name] for name in AUDIO_EXPERTS if name in self._links]
        self.received_sample = max((link.next_sample for link in self._audio_links), default=0)
        self.resume_sample = min((link.next_sample for link in self._audio_links), default=self.received_sample)
        self._decoder = DecoderLink(
            self.id,
            channels["decoder"],
            feed.history,
            lambda: store.spans(stored.id),
            on_fused=self._on_fused,
            on_terms=self._on_terms,
            on_name=self._on_name,
            on_status=self._on_status,
            escalation=stored.config.escalation,
        )

    def failure(self, expert: str) -> grpc.aio.AioRpcError | None:
        """Why a chosen expert will never answer, such as a setting that it does not take."""
        return self._links[expert].failure

    # -- media in ---------------------------------------------------------------------------------

    async def push_audio(self, pcm: bytes, start_sample: int) -> None:
        """Take s16le mono 16 kHz; a gap of up to 10 s becomes silence; waits while the experts are behind.

        Raises MediaError, DrainingError as `must_go_on`.
        """
        self._must_be_open()
        gap = check_chunk(pcm, start_sample, self.resume_sample)
        chunk = media_pb2.AudioChunk(pcm=bytes(2 * gap) + pcm, start_sample=start_sample - gap)
        for link in self._audio_links:
            await link.push_audio(chunk)
        self.resume_sample = start_sample + len(pcm) // 2
        self.received_sample = max(self.received_sample, self.resume_sample)
        if self.received_sample - self._told_sample >= PROGRESS_SAMPLES:
            self._told_sample = self.received_sample
            progress = pb.Progress(received_sample=self.received_sample, resume_sample=self._safe_sample())
            self.feed.publish(pb.Event(progress=progress))

    async def push_frame(self, image: bytes, start_sample: int, frame_id: str) -> None:
        """Take one encoded picture; when live the newest wins, else waits while vision is behind.

        Raises MediaError: too big, back in time; DrainingError as `must_go_on`.
        """
        self._must_be_open()
        check_image(image)
        if start_sample < self._frame_sample:
            raise MediaError(
                f"frame start_sample is {start_sample}, goes back in time: the last was {self._frame_sample}"
            )
        self._frame_sample = start_sample
        self._frame_count += 1
        frame_id = frame_id or f"f{start_sample}-{self._frame_count}"
        self._frames[frame_id] = image
        while sum(map(len, self._frames.values())) > MAX_FRAME_BYTES:
            self._frames.popitem(last=False)
        if not self._audio_links:
            self.received_sample = max(self.received_sample, start_sample)
        if (vision := self._links.get("vision")) is not None:
            await vision.push_frame(media_pb2.VideoFrame(image=image, start_sample=start_sample, frame_id=frame_id))

    def frame(self, frame_id: str) -> bytes | None:
        """A recent encoded picture; None when it is gone."""
        return self._frames.get(frame_id)

    def answer(self, question_id: str, text: str, parts: AsyncIterator[decoder_pb2.AskResponse]) -> None:
        """Tell the parts of an answer as events; the session ends after them. Raises OverloadedError."""
        if len(self._questions) >= MAX_QUESTIONS:
            raise OverloadedError(TOO_MANY_QUESTIONS)
        task = asyncio.create_task(publish_answer(self._own_feed, question_id, text, parts))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _own_feed(self) -> Feed:
        return self.feed

    async def rename(self, speaker: str, name: str) -> None:
        """Give a speaker a name, which then stays. Raises MediaError."""
        await self._append(named(speaker, name), speaker)

    async def review_names(self) -> None:
        """Other voices are remembered now: recognise everybody anew."""
        for speaker, name in self.recogniser.review(self._voices.known).items():
            await self._recognised(speaker, name)

    async def _recognised(self, speaker: str, name: str) -> None:
        found = decoder_pb2.SpeakerName(speaker=speaker, name=name, is_recognised=True, how=VOICE)
        await self._append(pb.Event(speaker_name=found), speaker)

    async def set_phrases(self, phrases: Sequence[pb.Phrase]) -> None:
        """Listen for these from now on. Raises MediaError: bad phrases, or nobody here recognises speech."""
        self._must_be_open()
        if (asr := self._links.get("asr")) is None:
            raise MediaError("phrases are for the expert asr, which this session does not use")
        lines = _phrase_lines(phrases)
        parse_phrases(lines)
        del self.config.phrases[:]
        self.config.phrases.extend(phrases)
        await self._store.save_config(self.id, self.config)
        await asr.update({"phrases": lines})

    async def set_queries(self, queries: Sequence[str]) -> None:
        """Find these on the screen from now on, and on the one shown. Raises MediaError: bad ones, or nobody looks."""
        self._must_be_open()
        if (vision := self._links.get("vision")) is None:
            raise MediaError("queries are for the expert vision, which this session does not use")
        lines = query_lines(queries)
        self.config.queries[:] = queries
        await self._store.save_config(self.id, self.config)
        await vision.update({"queries": lines})
        if self._frames:
            frame_id, image = next(reversed(self._frames.items()))
            frame = media_pb2.VideoFrame(image=image, start_sample=self._frame_sample, frame_id=frame_id)
            await vision.push_frame(frame)

    async def undo(self, utterance_id: str, word: int) -> None:
        """Put back what was heard before a phrase took its place; recognition changes that utterance no more.

        Raises MediaError: no such utterance, or the word is no correction.
        """
        if (known := self._utterances.get(utterance_id)) is None:
            raise MediaError(f"there is no utterance {utterance_id!r} in session {self.id}")
        event = pb.Event(utterance=undone(known, word))
        self._set_right.add(utterance_id)
        await self._append(event, utterance_id)

    async def finish(self) -> None:
        """End of media: returns when everything pending was flushed and kept. Raises DrainingError as `must_go_on`."""
        self.end_media()
        await self._over.wait()
        self.must_go_on()

    def end_media(self) -> None:
        """No more media: everything pending is flushed in the background, then the session has ended."""
        self.is_finishing = True
        self._nudge.set()

    def must_go_on(self) -> None:
        """Raises DrainingError when the session broke off before its end; opened again it goes on."""
        if self._over.is_set() and not self._has_ended:
            raise DrainingError(f"session {self.id} broke off; connect again to go on with it")

    def _must_be_open(self) -> None:
        self.must_go_on()
        if self.is_finishing:
            raise MediaError(f"session {self.id} takes no more media; it was finished")

    def _safe_sample(self) -> int:
        """Audio before it will never be needed again, not even if this process dies."""
        return min((link.checkpoint.resume_sample for link in self._audio_links), default=self.received_sample)

    # -- life -------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """A writer came. Raises ConflictError when there is one."""
        if self.has_writer:
            raise ConflictError(f"session {self.id} has a writer already; watch it instead")
        if self.is_finishing:
            raise ConflictError(f"session {self.id} is being finished; begin a new one")
        self.has_writer = True
        self._nudge.set()

    def release(self) -> None:
        """The writer went without finishing; it may come back for a while."""
        self.has_writer = False
        self.abandoned_at = time.monotonic()
        self._nudge.set()

    async def run(self) -> None:
        """Run the session, once it is loaded, until it has ended; cancel to stop at once without ending it."""
        async with asyncio.TaskGroup() as tasks:
            links = [tasks.create_task(link.run()) for link in self._links.values()]
            decoder = tasks.create_task(self._decoder.run())
            await self._until_finished()
            for link in self._links.values():
                await link.finish()
            _, late = await asyncio.wait(links, timeout=FINISH_S) if links else (set(), set())
            for task in late:
                task.cancel()
            if self._questions:
                await asyncio.wait(self._questions, timeout=FINISH_S)
            self._decoder.finish()
            _, undone = await asyncio.wait([decoder], timeout=FINISH_S / 4)
            decoder.cancel()
            self.is_told = not undone and decoder.exception() is None
        await self._append(pb.Event(ended=self._ended()), "ended")
        self._has_ended = True
        self.close()

    def _ended(self) -> pb.Ended:
        end_sample = max(self.received_sample, self._frame_sample)
        missing = [
            pb.Missing(expert=link.name, start_sample=start, end_sample=end)
            for link in self._links.values()
            for start, end in link.missing(end_sample)
        ]
        return pb.Ended(end_sample=end_sample, missing=missing)

    async def until_caught_up(self) -> None:
        """Return once the decoder has what was kept before, or the session is over. Raises DrainingError."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._decoder.is_caught_up, self._over)]
        try:
            done, _ = await asyncio.wait(waits, timeout=CATCH_UP_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            raise DrainingError(DECODER_AWAY)

    def close(self) -> None:
        """Let go of everybody who waits; without `run` having finished the session stays resumable."""
        self.feed.close()
        self._over.set()

    async def _until_finished(self) -> None:
        while not self.is_finishing:
            self._nudge.clear()
            left_s = None if self.has_writer else self.abandoned_at + ABANDONED_S - time.monotonic()
            if left_s is not None and left_s <= 0:
                self.is_finishing = True
                return
            try:
                async with asyncio.timeout(left_s):
                    await self._nudge.wait()
            except TimeoutError:
                continue

    async def load(self) -> None:
        """Know what was kept of it before: speakers, utterances, what the screen shows."""
        async for event in self.feed.history():
            self._remember(event)

    # -- events out -------------------------------------------------------------------------------

    async def _append(self, event: pb.Event, subject: str = "") -> None:
        # Before it is kept: what is compared with the newest meanwhile would come after it and count as newer.
        self._remember(event)
        await self.feed.append(event, subject)
        if (request := observation(event)) is not None:
            self._decoder.observe(request)

    def _remember(self, event: pb.Event) -> None:
        self.speakers.update(speakers_of(event))
        match event.WhichOneof("event"):
            case "utterance":
                self._utterances[event.utterance.utterance_id] = event.utterance
                if event.utterance.is_set_right:
                    self._set_right.add(event.utterance.utterance_id)
            case "turn":
                self._turns[event.turn.turn_id] = event.turn.SerializeToString(deterministic=True)
            case "screen":
                self._screen = event.screen
            case "speaker_name":
                given = event.speaker_name
                is_told = given.is_recognised and given.how not in ("", VOICE)
                self.recogniser.name(given.speaker, given.name, is_recognised=given.is_recognised, is_told=is_told)

    # -- percepts in ------------------------------------------------------------------------------

    async def _on_percept(self, expert: str, percept: Percept) -> None:
        match percept:
            case Transcript() if percept.is_final:
                if percept.utterance_id in self._set_right:
                    return
                message = wire.transcript_to_proto(percept)
                self._screen_terms.locate(message)
                known = self._utterances.get(percept.utterance_id)
                if known is None or _words(known) != _words(message):
                    await self._append(pb.Event(utterance=message), percept.utterance_id)
            case Transcript():
                self.feed.publish(pb.Event(partial=wire.transcript_to_proto(percept)))
            case SpeechActivity():
                self.feed.publish(pb.Event(speech=wire.speech_to_proto(percept)))
            case SpeakerTurn():
                turn = wire.turn_to_proto(percept)
                if not percept.is_final:
                    self.speakers.add(percept.speaker)
                    self.feed.publish(pb.Event(turn=turn))
                    self._decoder.observe(decoder_pb2.ObserveRequest(percept=media_pb2.Percept(turn=turn)))
                elif self._turns.get(percept.turn_id) != turn.SerializeToString(deterministic=True):
                    await self._append(pb.Event(turn=turn), percept.turn_id)
            case SpeakerVoice():
                name = self.recogniser.hear(percept, self._voices.known)
                if name is not None:
                    await self._recognised(percept.speaker, name)
            case ScreenState() if percept.is_partial:
                self.feed.publish(pb.Event(screen=wire.screen_to_proto(percept)))
            case ScreenState():
                screen = wire.screen_to_proto(percept)
                if self._screen is None or _shows_other(self._screen, screen):
                    await self._append(pb.Event(screen=screen))
            case TokenSpan():
                span = wire.span_to_proto(percept)
                await self._store.save_span(self.id, span)
                self._decoder.observe(decoder_pb2.ObserveRequest(token_span=span))
            case UnreadableFrame():
                where = f"the picture at {percept.start_sample / SAMPLE_RATE:.1f} s"
                await self._on_status(expert, True, f"{where} was left out: {percept.why}")
            case Checkpoint():
                await self._store.save_checkpoint(self.id, expert, percept, self.received_sample)

    async def _on_fused(self, utterance: media_pb2.Transcript) -> None:
        """The decoder joined an utterance to its speakers: the new version replaces the kept one."""
        known = self._utterances.get(utterance.utterance_id)
        if known is None or _words(known) != _words(utterance) or _speakers(known) == _speakers(utterance):
            return
        await self._append(pb.Event(utterance=utterance), utterance.utterance_id)

    async def _on_terms(self, terms: Sequence[decoder_pb2.ContextTerm]) -> None:
        """The screen shows other words: the recogniser listens for them from now on."""
        if (asr := self._links.get("asr")) is not None and self.config.options.get(SCREEN_TERMS, "on") == "on":
            self._screen_terms.take(terms)
            await asr.update(self._screen_terms.options())

    async def _on_name(self, found: decoder_pb2.SpeakerName) -> None:
        """Words gave a speaker a name, or one that they gave is taken back."""
        if self.recogniser.tell(found.speaker, found.name):
            found.how = found.how or TOLD
            await self._append(pb.Event(speaker_name=found), found.speaker)

    async def _on_status(self, expert: str, is_available: bool, message: str) -> None:
        status = pb.ExpertStatus(expert=expert, is_available=is_available, message=message)
        self.feed.publish(pb.Event(expert_status=status))


async def publish_answer(
    feed: Callable[[], Awaitable[Feed]], question_id: str, question: str, parts: AsyncIterator[decoder_pb2.AskResponse]
) -> None:
    """Turn the parts of an answer into events of the session's present feed; the whole answer is kept.

    Whatever goes wrong, those who wait for the answer are told, in an answer that is not kept.
    """

    def event(part: decoder_pb2.AskResponse) -> pb.Event:
        return pb.Event(answer=pb.AnswerPart(question_id=question_id, question=question, part=part))

    try:
        async for part in parts:
            if part.HasField("answer"):
                await (await feed()).append(event(part), question_id)
            else:
                (await feed()).publish(event(part))
    except Exception as error:  # the top of a task: whatever it is, somebody waits for the answer
        known = failed_call(error, DECODER_AWAY) if isinstance(error, grpc.aio.AioRpcError | TimeoutError) else error
        if status_code(known) is grpc.StatusCode.INTERNAL:
            log.exception("question failed")
            why = "The question could not be answered: something went wrong here. Ask again."
        else:
            log.warning("question failed", extra={"fields": {"error": type(known).__name__}})
            why = _sentence(known)
        # A session that was deleted meanwhile has nobody who waits.
        with suppress(NotFoundError):
            (await feed()).publish(event(_refusal(why)))


def refused(question_id: str, question: str, error: Exception) -> pb.Event:
    """The answer to a question that is not taken: why."""
    return pb.Event(answer=pb.AnswerPart(question_id=question_id, question=question, part=_refusal(_sentence(error))))


def _refusal(why: str) -> decoder_pb2.AskResponse:
    return decoder_pb2.AskResponse(answer=decoder_pb2.Answer(text=why, abstained=True, tier="none"))


def _sentence(error: Exception) -> str:
    return str(error)[:1].upper() + str(error)[1:].rstrip(".") + "."


def speakers_of(event: pb.Event) -> set[str]:
    """The speakers that an event tells of."""
    said = event.utterance
    told = (said.speaker, *(word.speaker for word in said.words), event.turn.speaker, event.speaker_name.speaker)
    return {speaker for speaker in told if speaker}


def new_session_id() -> str:
    """Sortable by time, not guessable: YYYYMMDD-HHMMSS-8 hex digits."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(4)


def named(speaker: str, name: str) -> pb.Event:
    """The event that gives a speaker a name. Raises MediaError."""
    return pb.Event(speaker_name=decoder_pb2.SpeakerName(speaker=speaker, name=clean_name(name)))


def check_image(image: bytes) -> None:
    """Raises MediaError for a picture without bytes, or with more than the services send one another."""
    if not 1 <= len(image) <= MAX_IMAGE_BYTES:
        raise MediaError(f"an image has {len(image)} bytes, must be 1 to {MAX_IMAGE_BYTES}: send it smaller")


def check_question(text: str) -> None:
    """Raises MediaError for an empty or too long question."""
    if not 1 <= len(text.strip()) <= MAX_QUESTION_CHARS:
        raise MediaError(f"a question has {len(text.strip())} characters, must have 1 to {MAX_QUESTION_CHARS}")


def chosen_experts(config: pb.LiveConfig) -> Sequence[str]:
    """Names of the experts a config asks for. Raises MediaError for an unknown one."""
    if unknown := set(config.experts) - set(EXPERTS):
        raise MediaError(f"no expert {sorted(unknown)[0]!r}; experts are {', '.join(EXPERTS)}")
    for key in config.options:
        if key.partition(".")[0] not in EXPERTS:
            raise MediaError(f"option {key!r} names no expert; write EXPERT.OPTION with one of {', '.join(EXPERTS)}")
    if (value := config.options.get(SCREEN_TERMS, "on")) not in ("on", "off"):
        raise MediaError(f"option {SCREEN_TERMS} is {value!r}; must be on or off")
    chosen = [name for name in EXPERTS if not config.experts or name in config.experts]
    if query_lines(config.queries) and "vision" not in chosen:
        raise MediaError("queries are for the expert vision: choose it, or leave them out")
    return chosen


def _perceive_config(name: str, config: pb.LiveConfig) -> expert_pb2.PerceiveConfig:
    options = {
        key.partition(".")[2]: value
        for key, value in config.options.items()
        if key.partition(".")[0] == name and key != SCREEN_TERMS
    }
    if name == "asr" and config.phrases:
        options["phrases"] = _phrase_lines(config.phrases)
    if name == "asr" and config.pace == pb.PACE_MAX:
        # Nobody waits for a sentence of a recording: it is read once, when the pause after it is over.
        options.setdefault("stop_history_eou", "0")
    if name == "vision" and config.queries:
        options["queries"] = query_lines(config.queries)
    if name == "diarization":
        # The recogniser needs them; they go no further.
        options.setdefault("voices", "on")
    return expert_pb2.PerceiveConfig(
        language=config.language if name == "asr" else "",
        # Whatever is asked for, the screen's text is the meeting's.
        tasks=["ocr"] if name == "vision" else [],
        every_frame=config.pace == pb.PACE_MAX,
        # What one client sends wrong once must not cost the session the rest of its pictures.
        skip_unreadable=True,
        options=options,
    )


def _phrase_lines(phrases: Iterable[pb.Phrase]) -> str:
    return phrase_lines((" ".join(phrase.text.split()), phrase.weight) for phrase in phrases)


def _words(utterance: media_pb2.Transcript) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_sample, word.end_sample) for word in utterance.words]


def _speakers(utterance: media_pb2.Transcript) -> list[str]:
    return [utterance.speaker, *(word.speaker for word in utterance.words)]


def _shows_other(old: media_pb2.ScreenState, new: media_pb2.ScreenState) -> bool:
    """False for a repeat: an older moment, or the same text, controls, objects and answers."""
    if new.start_sample < old.start_sample:
        return False

    def shown(state: media_pb2.ScreenState) -> tuple[object, ...]:
        return (
            [(r.text, r.script, r.box.SerializeToString()) for r in state.regions],
            [(e.class_name, e.text, e.box.SerializeToString()) for e in state.elements],
            [(o.class_id, o.box.SerializeToString()) for o in state.objects],
            [answer.SerializeToString() for answer in state.answers],
            [box.SerializeToString() for box in state.outlined],
        )

    return shown(old) != shown(new)
