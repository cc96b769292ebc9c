"""One question of one session: routed, searched, answered; evidence first, then text, then the whole."""

import logging
import time
from collections.abc import AsyncGenerator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from engines.residency import process
from protos.decoder.v1 import decoder_pb2 as pb
from services.decoder import answer as answering
from services.decoder import escalation, fields, model, reader
from services.decoder import router as routing
from services.decoder.escalation import Endpoint, EscalationError, Reply
from services.decoder.language import can_answer, foreign
from services.decoder.lines import shown_line
from services.decoder.local_model import LocalModel
from services.decoder.model import SmallDecoder
from services.decoder.moments import on_screen_when, window_asked
from services.decoder.reader import Reader
from services.decoder.retrieval import READ, Hit
from services.decoder.router import Route, Router
from services.decoder.session import Session
from services.decoder.windows import Told, told_of
from services.runtime import sentence, wire
from services.runtime.sentence import SentenceEncoder
from services.runtime.stage import MediaError

log = logging.getLogger(__name__)

TIERS = ("extract", "small")
MAX_QUESTION_CHARS = 2_000
# Evidence beside the best line must be at least this likely.
LEAST_EVIDENCE = 0.1
# Lines that the router puts in order, and of which an answer has the first.
SEARCHED, SHOWN = 20, 5
STILL_READING = "I have not found that yet: {} lines of this session are not read yet. Ask again in a moment."
# Lines of a picture that is asked for.
PICTURED = 100


class Asking:
    """Answers questions; `tier` is who writes them. The small decoder runs in the executor of the live contexts."""

    def __init__(
        self,
        tier: str,
        decoder: SmallDecoder,
        encoder: SentenceEncoder,
        line_reader: Reader,
        router: Router,
        endpoint: Endpoint,
        local: LocalModel,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._tier = tier
        self._decoder = decoder
        self._encoder = encoder
        self._reader = line_reader
        self._router = router
        self._endpoint = endpoint
        self._local = local
        self._executor = executor

    async def answer(self, session: Session, request: pb.AskRequest) -> AsyncGenerator[pb.AskResponse, None]:
        """The parts of an answer. Raises MediaError."""
        question = checked(request)
        started, read_before = time.perf_counter(), process().opened_bytes
        names = dict(session.timeline.names)
        if (window := window_asked(question, names, session.timeline.last_sample)) is not None:
            told = told_of(session.timeline, window, names)
            yield pb.AskResponse(evidence=pb.EvidenceList(evidence=evidence_of(session, told.hits)))
            yield pb.AskResponse(delta=told.text)
            yield pb.AskResponse(answer=await self._of_time(session, request, told, started))
            return
        unread = await session.read_waiting()
        route = await session.compute(partial(self._router.route, question, names, session.timeline.last_sample))
        hits = await self._hits(session, question, route)
        if unread and not answering.is_answerable(hits):
            # no line with words of the question: another may mean the same
            unread = await session.read_all()
            hits = await self._hits(session, question, route)
        abstained = not answering.is_answerable(hits)
        nothing = STILL_READING.format(unread) if unread else not_heard(question, session.languages)
        evidence = [] if abstained else evidence_of(session, hits)
        yield pb.AskResponse(evidence=pb.EvidenceList(evidence=evidence))
        activation = pb.Activation(
            experts=["bm25", sentence.NAME, reader.NAME, routing.NAME],
            parameters=self._encoder.parameters + self._reader.parameters + self._router.parameters,
            first_evidence_ms=_ms_since(started),
            route=_route_to_proto(route),
        )
        tier, reply = await self._larger(session, request, hits, route, activation)
        text = ""
        if reply is not None:
            abstained = False
            evidence = evidence_of(session, [hits[index] for index in reply.lines], least=0.0)
            activation.experts.append(tier)
            pieces = _said(reply)
        else:
            pieces = self._pieces(session, request, hits, activation, nothing)
        async with aclosing(pieces):
            async for piece in pieces:
                if not text:
                    activation.first_token_ms = _ms_since(started)
                text += piece
                yield pb.AskResponse(delta=piece)
        if model.NAME in activation.experts:
            tier = "small"
        values = [await self._value(session, field) for field in request.fields]
        activation.total_ms = _ms_since(started)
        activation.bytes_read = process().opened_bytes - read_before
        whole = pb.Answer(
            text=text,
            abstained=abstained,
            # how often a larger model is right is not known here, nor what is not read yet
            confidence=_confidence(hits, tier, abstained) if reply is None and not (abstained and unread) else None,
            evidence=evidence,
            tier=tier,
            activation=activation,
            fields=values,
        )
        yield pb.AskResponse(answer=whole)

    async def _hits(self, session: Session, question: str, route: Route) -> list[Hit]:
        """The lines to answer from."""
        found = [hit for hit in await session.search(question, SEARCHED) if can_answer(question, hit.line.text)]
        return pictured(session, found) if is_picture(question, found) else ordered(found, route)

    async def _of_time(self, session: Session, request: pb.AskRequest, told: Told, started: float) -> pb.Answer:
        """The answer to who asks for a time: its lines, that no model had to find."""
        spent_ms = _ms_since(started)
        return pb.Answer(
            text=told.text,
            abstained=not told.hits,
            confidence=1.0,
            evidence=evidence_of(session, told.hits),
            tier="extract",
            fields=[await self._value(session, field) for field in request.fields],
            activation=pb.Activation(
                experts=["timeline"],
                reason="the lines of the time that is named",
                first_evidence_ms=spent_ms,
                first_token_ms=spent_ms,
                total_ms=_ms_since(started),
                escalation=pb.EscalationReport(outcome="not_needed", reason="the lines of a time are known here"),
            ),
        )

    async def _larger(
        self, session: Session, request: pb.AskRequest, hits: Sequence[Hit], route: Route, activation: pb.Activation
    ) -> tuple[str, Reply | None]:
        """The reply of a larger model and its tier, where one is needed and answers; notes why in `activation`."""
        why = escalation.need(self._endpoint.settings, hits, route)
        if self._local.is_configured and why and not request.fields:
            try:
                reply = await self._local.ask(request.question, hits, session.timeline.names)
                activation.reason = f"{why}; the local model answered"
                activation.escalation.outcome = "not_needed"
                activation.escalation.reason = activation.reason
                return "local", reply
            except EscalationError as error:
                log.info("local model gave no answer", extra={"fields": {"why": str(error)}})
        escalated = await self._escalated(session, request, hits, route, activation.escalation)
        if escalated is None:
            return "extract", None
        activation.reason = activation.escalation.reason
        return "endpoint", escalated

    async def _escalated(
        self, session: Session, request: pb.AskRequest, hits: Sequence[Hit], route: Route, report: pb.EscalationReport
    ) -> Reply | None:
        """The endpoint's reply when one is needed, allowed and comes; fills the report either way."""
        settings = self._endpoint.settings
        report.url = settings.url
        policy = escalation.effective_policy(settings.policy, session.escalation, request.escalation)
        why = escalation.need(settings, hits, route)
        if not self._endpoint.is_configured:
            report.outcome, report.reason = "off", "no endpoint is configured"
        elif request.fields:
            report.outcome, report.reason = "not_needed", "a form is filled on this machine"
        elif not why:
            report.outcome, report.reason = "not_needed", "the local answer is sure enough, or nothing here fits"
        elif policy == "never":
            report.outcome, report.reason = "never", "the policy lets nothing leave"
        else:
            prepared = escalation.prepare(settings.model, request.question, hits, session.timeline.names)
            if policy == "ask":
                report.outcome, report.bytes_sent = "offered", len(prepared.body)
                report.reason = f"{why}; {settings.model} may know, for {len(prepared.body)} redacted bytes"
                return None
            try:
                reply = await self._endpoint.ask(session.id, policy, why, prepared, report)
            except EscalationError as error:
                report.outcome = report.outcome or "failed"
                report.reason = f"{why}; {error}; the local answer stands"
                return None
            report.outcome, report.is_evidenced = "sent", reply.is_evidenced
            report.reason = f"{why}; {settings.model} answered"
            return reply
        return None

    async def _value(self, session: Session, field: pb.Field) -> pb.FieldAnswer:
        """The lines that may hold a field's value; of a list those that may on their own."""
        hits = await session.search(" ".join(field.question.split()), READ if field.is_list else SHOWN)
        if field.is_list:
            hits = [replace(hit, probability=hit.alone) for hit in hits]
        found = pb.FieldAnswer(path=field.path, evidence=evidence_of(session, hits))
        if hits and field.choices:
            found.choices.extend(await session.compute(partial(fields.weigh, self._encoder, hits[0], field.choices)))
        return found

    async def _pieces(
        self, session: Session, request: pb.AskRequest, hits: Sequence[Hit], activation: pb.Activation, nothing: str
    ) -> AsyncGenerator[str, None]:
        """Text of the answer as it is made, `nothing` without one; notes in `activation` what was used and why."""
        if not answering.is_answerable(hits):
            activation.reason = "no line fits the question well enough"
            yield nothing
            return
        is_quoted = self._tier == "extract" or bool(request.fields)
        if is_quoted or session.context is None:
            activation.reason = "the best line is quoted" if is_quoted else "no live context: the line is quoted"
            yield answering.told(hits, request.question, dict(session.timeline.names))
            return
        activation.reason = "written by the small decoder from the best line and the live context"
        activation.experts.append(model.NAME)
        activation.parameters += self._decoder.parameters
        async with session.written():
            activation.context_tokens = session.context.tokens
            words = answering.generate(
                self._decoder,
                session.context,
                request.question,
                hits,
                request.max_tokens or answering.DEFAULT_MAX_TOKENS,
            )
            try:
                while (piece := await session.write(partial(next, words, None))) is not None:
                    yield piece
            finally:
                # in the same thread, after a step that may still run: sets the context back
                self._executor.submit(words.close)


def checked(request: pb.AskRequest) -> str:
    """The question of a request, on one line. Raises MediaError."""
    question = " ".join(request.question.split())
    if not 1 <= len(question) <= MAX_QUESTION_CHARS:
        raise MediaError(f"a question has {len(question)} characters, must have 1 to {MAX_QUESTION_CHARS}")
    if not 0 <= request.max_tokens <= answering.LIMIT_MAX_TOKENS:
        raise MediaError(f"max_tokens is {request.max_tokens}, must be 0 to {answering.LIMIT_MAX_TOKENS}")
    if len(request.fields) > fields.MAX_FIELDS:
        raise MediaError(f"{len(request.fields)} fields, must be {fields.MAX_FIELDS} or fewer")
    for field in request.fields:
        fields.check(field.question, field.choices)
    return question


def not_heard(question: str, languages: Set[str]) -> str:
    """What is said where no line answers; also why, to who asks an English meeting in a language that nobody spoke."""
    found = foreign(question)
    if found is None or found[1] in languages or "en" not in languages:
        return answering.NOT_HEARD
    what = f"looks {found[0]}" if found[0] else "is in another script"
    return f"{answering.NOT_HEARD} I search in English, and the question {what}: ask it in English."


def is_picture(question: str, found: Sequence[Hit]) -> bool:
    """Whether a question asks for what the screen showed, and lines of one picture were found."""
    moments = {(hit.line.kind, hit.line.start_sample) for hit in found}
    return on_screen_when(question) is not None and len(moments) == 1 and found[0].line.kind == "screen"


def pictured(session: Session, found: Sequence[Hit]) -> list[Hit]:
    """All that the screen showed when the lines that were found came, in reading order; PICTURED lines at most."""
    moment = found[0].line.start_sample
    lines = [replace(shown_line(line), start_sample=moment) for line in session.timeline.shown_at(moment)[:PICTURED]]
    return [replace(found[0], line=line, answer=line.text, span=(0, len(line.text))) for line in lines] or list(found)


def ordered(found: Sequence[Hit], route: Route) -> list[Hit]:
    """The lines to answer from, in the route's order unless that gives up an answer; the best found is among them."""
    hits = routing.preferred(found, route)[:SHOWN]
    if answering.is_answerable(found) and not answering.is_answerable(hits):
        return list(found[:SHOWN])
    if found and found[0] not in hits:
        hits[-1] = found[0]
    return hits


def evidence_of(session: Session, hits: Sequence[Hit], least: float = LEAST_EVIDENCE) -> list[pb.Evidence]:
    """Lines as evidence, those that are likely enough."""
    found = []
    for hit in hits:
        if hit.probability < least:
            continue
        line = hit.line
        shown = session.shown(line) if line.kind == "screen" else None
        found.append(
            pb.Evidence(
                kind=line.kind,
                text=line.text,
                speaker=line.speaker,
                start_sample=line.start_sample,
                end_sample=shown.last_sample if shown is not None else line.end_sample,
                box=wire.box_to_proto(line.box) if line.box is not None else None,
                frame_id=line.frame_id,
                source_id=line.source_id,
                score=hit.probability,
                speaker_name=session.timeline.names.get(line.speaker, ""),
                words=hit.answer,
            )
        )
    return found


def _route_to_proto(route: Route) -> pb.Route:
    message = pb.Route(
        experts=route.experts,
        scope=route.scope,
        period=route.period,
        speaker=route.speaker,
        tier=route.tier,
        confidence=route.scope_sure,
    )
    if route.span is not None:
        message.start_sample, message.end_sample = route.span
    return message


def _confidence(hits: Sequence[Hit], tier: str, abstained: bool) -> float:
    best = hits[0].probability if hits else 0.0
    if abstained:
        return 1 - best
    return best if tier == "extract" else best * answering.SMALL_TIER_SHARE


async def _said(reply: Reply) -> AsyncGenerator[str, None]:
    yield reply.text if reply.is_evidenced else f"{escalation.NOT_EVIDENCED}{reply.text}"


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
