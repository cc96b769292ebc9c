"""Drives the sample meeting through five real processes, as a live client would, and notes when what came.

Media time and wall time run together: the sample at media time t is made at wall time t after the start and
sent when its chunk of 0.1 s is full. All times of a `Record` are seconds since that start.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import psutil

from protos.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.session.v1 import session_pb2, session_pb2_grpc
from services.gateway.transcript import Document, fold
from services.runtime.channel import CLIENT_OPTIONS
from tools.client import LiveSession, in_thread
from tools.media import SAMPLE_RATE, Audio, Item, read
from tools.output import say
from tools.services import wait_for
from tools.supervisor import SERVICES, Supervisor, free_addresses, service_specs

WARM_UP_MEDIA = Path(__file__).parent.parent / "samples" / "meeting.mkv"
WARM_UP_S = 12.0
ROUND_TRIPS = 50
# A question is put so long after the words that answer it, then again in these steps.
ASK_AFTER_S = 4.0
ASK_EVERY_S = 11.0
SAMPLE_MEMORY_S = 0.5


class MeasurementError(RuntimeError):
    """What was measured is worth nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: when it was put; seconds from there to evidence, first text, whole answer; the answer."""

    question: str
    asked_s: float
    evidence_s: float | None
    first_text_s: float | None
    whole_s: float
    answer: decoder_pb2.Answer


@dataclass(frozen=True, slots=True)
class Usage:
    """One process during the meeting: processor seconds, resident memory at the end and at most."""

    cpu_s: float
    resident_bytes: int
    peak_bytes: int


@dataclass(slots=True)
class Record:
    """What was measured; `events` hold the time of arrival, lists are in order of it.

    `started_s`: until all serve; `warmed_up_s`: the first session; `wall_s`: until the meeting was over.
    """

    events: list[tuple[float, session_pb2.Event]] = field(default_factory=list)
    gateway_to_client_s: list[float] = field(default_factory=list)
    audio_round_trip_s: list[float] = field(default_factory=list)
    hops_s: dict[str, list[float]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    started_s: float = 0.0
    warmed_up_s: float = 0.0
    wall_s: float = 0.0


async def run(media: Path, truth: Mapping[str, Any]) -> Record:
    """Start the five services on free ports, warm them up, stream `media` in real time, stop them.

    Raises ServicesError, GatewayError, MeasurementError.
    """
    record = Record()
    *chosen, http = free_addresses(len(SERVICES) + 1)
    addresses = dict(zip(SERVICES, chosen, strict=True))
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as scratch:
        specs = [
            replace(spec, environment={**spec.environment, "SENSORIUM_DATA": scratch})
            for spec in service_specs(SERVICES, addresses, http)
        ]
        begun_s = time.monotonic()
        async with Supervisor(specs, Path(scratch)) as supervisor:
            await wait_for(addresses, say, None, supervisor)
            record.started_s = time.monotonic() - begun_s
            await _warm_up(addresses["gateway"], truth)
            record.warmed_up_s = time.monotonic() - begun_s - record.started_s
            record.hops_s = await _round_trips(addresses)
            processes = {state.name: psutil.Process(state.pid) for state in supervisor.states if state.pid}
            processes["client"] = psutil.Process(os.getpid())
            await _Meeting(record, addresses["gateway"], truth["language"], processes).run(media, truth)
    return record


async def _warm_up(address: str, truth: Mapping[str, Any]) -> None:
    """The first stream of a process loads its models: have that behind us."""
    session = LiveSession(
        address, session_pb2.LiveConfig(title="warm-up", language=truth["language"], pace=session_pb2.PACE_MAX)
    )

    async def beginning() -> AsyncIterator[Item]:
        async for item in in_thread(read(WARM_UP_MEDIA)):
            if item.end_sample > WARM_UP_S * SAMPLE_RATE:
                return
            yield item

    await session.run(beginning())
    async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
        await _ask(channel, session.session_id, truth["questions"][0]["question"], 0.0)


async def _round_trips(addresses: Mapping[str, str]) -> dict[str, list[float]]:
    """Seconds of small unary calls on idle services, straight to each: one hop there and back."""
    times: dict[str, list[float]] = {}
    for name, address in addresses.items():
        async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
            call: Any
            request: Any
            match name:
                case "gateway":
                    stub = session_pb2_grpc.SessionServiceStub(channel)
                    call, request = stub.ListSessions, session_pb2.ListSessionsRequest(page_size=1)
                case "decoder":
                    call = decoder_pb2_grpc.DecoderServiceStub(channel).Describe
                    request = decoder_pb2.DescribeRequest()
                case _:
                    call, request = expert_pb2_grpc.ExpertServiceStub(channel).Describe, expert_pb2.DescribeRequest()
            await call(request)
            times[f"client-{name}-client"] = [await _timed(call, request) for _ in range(ROUND_TRIPS)]
            if name == "gateway":
                # asks all four services at the same time: the way there and back over two hops
                call, request = stub.Describe, session_pb2.DescribeRequest()
                await call(request)
                times["client-gateway-experts-gateway-client"] = [
                    await _timed(call, request) for _ in range(ROUND_TRIPS)
                ]
    return times


async def _timed(call: Any, request: Any) -> float:
    begun_s = time.perf_counter()
    await call(request)
    return time.perf_counter() - begun_s


async def _ask(channel: grpc.aio.Channel, session_id: str, question: str, asked_s: float) -> Asked:
    begun_s = time.perf_counter()
    evidence_s = first_text_s = None
    answer = decoder_pb2.Answer()
    request = session_pb2.AskRequest(session_id=session_id, question=question)
    async for response in session_pb2_grpc.SessionServiceStub(channel).Ask(request):
        now_s = time.perf_counter() - begun_s
        match response.part.WhichOneof("part"):
            case "evidence" if evidence_s is None:
                evidence_s = now_s
            case "delta" if first_text_s is None:
                first_text_s = now_s
            case "answer":
                answer = response.part.answer
    return Asked(question, asked_s, evidence_s, first_text_s, time.perf_counter() - begun_s, answer)


class _Meeting:
    """One run in real time."""

    def __init__(self, record: Record, address: str, language: str, processes: Mapping[str, psutil.Process]) -> None:
        self._record = record
        self._address = address
        self._processes = processes
        self._begun_s = 0.0
        self._has_begun = asyncio.Event()
        self._sent_s: dict[int, float] = {}
        config = session_pb2.LiveConfig(title="benchmark", language=language, pace=session_pb2.PACE_LIVE)
        self._session = LiveSession(address, config, on_event=self._take, on_trouble=say)

    async def run(self, media: Path, truth: Mapping[str, Any]) -> None:
        """Stream, ask in between, note memory and processor time."""
        before = {name: _cpu_s(process) for name, process in self._processes.items()}
        memory = asyncio.create_task(self._watch_memory())
        questions = asyncio.create_task(self._ask_in_between(truth))
        try:
            await self._session.run(self._in_real_time(media))
            self._record.wall_s = self._now_s()
            await questions
        finally:
            memory.cancel()
            questions.cancel()
            with suppress(asyncio.CancelledError):
                await memory
        for name, process in self._processes.items():
            if not process.is_running():
                raise MeasurementError(f"{name} died in the middle and was started again; measure once more")
            rss = process.memory_info().rss
            peak = max(rss, self._record.usage[name].peak_bytes)
            self._record.usage[name] = Usage(_cpu_s(process) - before[name], rss, peak)
        self._record.document = fold(self._session.events, session_id=self._session.session_id, title="benchmark")

    def _now_s(self) -> float:
        return time.monotonic() - self._begun_s

    def _take(self, event: session_pb2.Event) -> None:
        now_s = self._now_s()
        self._record.events.append((now_s, event))
        if event.HasField("expert_status"):
            say(event.expert_status.message)
        if event.unix_ms:
            self._record.gateway_to_client_s.append(max(0.0, time.time() - event.unix_ms / 1000))
        if event.HasField("progress") and (sent_s := self._sent_s.get(event.progress.received_sample)) is not None:
            self._record.audio_round_trip_s.append(now_s - sent_s)

    async def _in_real_time(self, media: Path) -> AsyncIterator[Item]:
        async for item in in_thread(read(media)):
            if not self._has_begun.is_set():
                self._begun_s = time.monotonic()
                self._has_begun.set()
            await asyncio.sleep(item.end_sample / SAMPLE_RATE - self._now_s())
            if isinstance(item, Audio):
                self._sent_s[item.end_sample] = self._now_s()
            yield item

    async def _ask_in_between(self, truth: Mapping[str, Any]) -> None:
        await self._has_begun.wait()
        async with grpc.aio.insecure_channel(self._address, options=CLIENT_OPTIONS) as channel:
            for at_s, question in plan_questions(truth):
                await asyncio.sleep(at_s - self._now_s())
                self._record.asked.append(await _ask(channel, self._session.session_id, question, at_s))

    async def _watch_memory(self) -> None:
        while True:
            for name, process in self._processes.items():
                with suppress(psutil.NoSuchProcess):  # told when the meeting is over
                    self._note_memory(name, process.memory_info().rss)
            await asyncio.sleep(SAMPLE_MEMORY_S)

    def _note_memory(self, name: str, rss: int) -> None:
        seen = self._record.usage.get(name)
        self._record.usage[name] = Usage(0.0, rss, max(rss, seen.peak_bytes if seen else 0))


def plan_questions(truth: Mapping[str, Any]) -> Sequence[tuple[float, str]]:
    """When which question is put: each from ASK_AFTER_S after its answer was said, until the meeting ends."""
    said_s = {utterance["id"]: utterance["end_s"] for utterance in truth["utterances"]}
    plan = []
    for question in truth["questions"]:
        at_s = said_s[question["utterance"]] + ASK_AFTER_S
        while at_s < truth["duration_s"] - 2:
            plan.append((at_s, question["question"]))
            at_s += ASK_EVERY_S
    return sorted(plan)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
