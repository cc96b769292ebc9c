"""The expert skin: serves any `Expert` as ExpertService, keeping the stream grammar once for all."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import grpc
import numpy as np

from engines.interruption import InterruptedRunError, Interruption
from engines.lanes import Lanes
from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from services.runtime import wire
from services.runtime.audio import check_chunk, to_float
from services.runtime.describe_models import describe
from services.runtime.errors import abort, status_code
from services.runtime.image import decode_image
from services.runtime.load import Lateness, Sheds
from services.runtime.percept import SAMPLE_RATE, Percept, UnreadableFrame
from services.runtime.settings import ServiceSettings
from services.runtime.stage import (
    AdjustableStage,
    Expert,
    Frame,
    MediaError,
    PiecewiseStage,
    RestingStage,
    Stage,
    StageConfig,
)
from services.runtime.streams import Streams

log = logging.getLogger(__name__)

SERVICE_NAME = expert_pb2.DESCRIPTOR.services_by_name["ExpertService"].full_name
# One executor job takes at most this much sound, so that streams take turns.
SLICE_SAMPLES = SAMPLE_RATE
# Media waiting for the stage. Audio beyond it stays with the sender (flow control); frames see _Inbox.
MAX_PENDING_SAMPLES = 2 * SAMPLE_RATE
MAX_PENDING_FRAMES = 4
MAX_PENDING_UPDATES = 4
# So long after the last media that brought anything new a stream rests, and rests long: a picture comes once more,
# sharper, after half a second and after two.
REST_AFTER_S = 0.6
LONG_REST_AFTER_S = 2.4

Request = expert_pb2.PerceiveRequest
Job = Callable[[], Sequence[Percept] | None]
Result = TypeVar("Result")


class ExpertSkin(expert_pb2_grpc.ExpertServiceServicer):
    """One expert behind the wire. Model work runs in owned threads, never on the event loop.

    An expert whose runs queue in lanes gets a thread for each stream; any other does one job after the other.
    """

    def __init__(self, expert: Expert, settings: ServiceSettings) -> None:
        self.streams = Streams(settings.max_streams)
        self.expert = expert
        threads = settings.max_streams if isinstance(expert, InLanes) else 1
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"{expert.name}-compute")

    async def compute(self, job: Callable[[], Result]) -> Result:
        """Run model work where all of this process's model work runs."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self) -> None:
        """Stop the executor; call after draining."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def Perceive(
        self,
        request_iterator: AsyncIterator[Request],
        context: "grpc.aio.ServicerContext[Request, expert_pb2.PerceiveResponse]",
    ) -> None:
        """One client's stream."""
        try:
            with self.streams.admit():
                await self._perceive(request_iterator, context)
        except Exception as error:  # the top of a stream: every failure becomes a status
            if status_code(error) is grpc.StatusCode.INTERNAL:
                log.exception("stream failed")
            await abort(context, error)

    async def _perceive(
        self,
        requests: AsyncIterator[Request],
        context: "grpc.aio.ServicerContext[Request, expert_pb2.PerceiveResponse]",
    ) -> None:
        async def run(job: Job) -> Sequence[Percept] | None:
            percepts = await self.compute(job)
            for percept in percepts or ():
                await context.write(wire.to_response(percept))
            return percepts

        async def rest(stage: RestingStage, inbox: _Inbox, new_at_s: float) -> None:
            now_s = asyncio.get_running_loop().time
            for after_s in (REST_AFTER_S, LONG_REST_AFTER_S):
                if await inbox.has_come(max(0.0, new_at_s + after_s - now_s())):
                    return
                work = Interruption()
                come = asyncio.create_task(inbox.has_come())
                come.add_done_callback(lambda _: work.ask())  # noqa: B023
                job = partial(work.run, partial(stage.rest, is_long=after_s == LONG_REST_AFTER_S))
                try:
                    while not come.done() and await run(job) is not None:
                        pass
                except InterruptedRunError:
                    return  # what came goes first
                finally:
                    come.cancel()

        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("request") != "config":
            raise MediaError("send config first, then media")
        config = first.config
        if config.start_sample < 0:
            raise MediaError(f"config start_sample is {config.start_sample}, must be 0 or more")
        if config.queries and not self.expert.takes_frames:
            raise MediaError(f"queries are about pictures, and {self.expert.name} takes none: leave them out")
        stage = await self.compute(partial(self.expert.open_stage, _stage_config(config)))
        with ExitStack() as stack:
            lateness = None
            if isinstance(stage, Sheds) and not config.every_frame:
                lateness = stack.enter_context(self.streams.load.stream(config.start_sample))
            feed = _Feed(self.expert, stage, config, lateness)
            inbox = _Inbox(config.every_frame)
            reader = asyncio.create_task(_read(requests, inbox, feed))
            stack.callback(reader.cancel)
            # When something new last came: on the media clock where every frame counts.
            now_s = asyncio.get_running_loop().time
            new_at_s = config.start_sample / SAMPLE_RATE if config.every_frame else now_s()
            while (request := await inbox.get()) is not None:
                is_news = False
                for job in feed.jobs(request):
                    if lateness is not None and isinstance(stage, Sheds):
                        shed = self.streams.load.shed(lateness)
                        # A partial that waits for its turn holds up the final that comes behind it.
                        if isinstance(self.expert, InLanes) and self.expert.lanes.is_crowded:
                            shed = replace(shed, partial_every=0)
                        stage.shed(shed)
                    is_news = bool(await run(job)) or is_news
                if not isinstance(stage, RestingStage):
                    continue
                if not config.every_frame:
                    new_at_s = new_at_s if stage.is_still else now_s()
                    await rest(stage, inbox, new_at_s)
                    continue
                # Where every frame counts, what is said must not depend on when the next one comes.
                at_s = request.frame.start_sample / SAMPLE_RATE
                new_at_s = new_at_s if stage.is_still else max(new_at_s, at_s)
                is_long = at_s - new_at_s >= LONG_REST_AFTER_S
                while not is_news and await run(partial(stage.rest, is_long=is_long)) is not None:
                    pass
        await run(stage.flush)

    async def Describe(
        self,
        request: expert_pb2.DescribeRequest,
        context: "grpc.aio.ServicerContext[expert_pb2.DescribeRequest, expert_pb2.DescribeResponse]",
    ) -> expert_pb2.DescribeResponse:
        """What runs here."""
        described = describe(self.expert.name, self.expert.models(), self.streams)
        if isinstance(self.expert, InLanes):
            described.load.update(self.expert.gauges())
        return described


@runtime_checkable
class InLanes(Protocol):
    """An expert whose model runs wait in lanes, so that its streams may compute at the same time."""

    lanes: Lanes

    def gauges(self) -> Mapping[str, float]:
        """How it does, for Describe; units in the names."""


class _Inbox:
    """Media between the reader and the stage.

    Audio: bounded in media time; the reader waits, and the sender feels it through flow control.
    Frames: the newest replaces the one that waits, unless `every_frame`; then the reader waits.
    """

    def __init__(self, every_frame: bool) -> None:
        self._every_frame = every_frame
        self._requests: deque[Request] = deque()
        self._samples = 0
        self._frames = 0
        self._updates = 0
        self._closed = False
        self._error: Exception | None = None
        self._changed = asyncio.Condition()

    async def put(self, request: Request) -> None:
        """Add one message, waiting for room where nothing may be dropped."""
        async with self._changed:
            kind = request.WhichOneof("request")
            if kind == "audio":
                await self._changed.wait_for(lambda: self._samples < MAX_PENDING_SAMPLES)
                self._samples += len(request.audio.pcm) // 2
            elif kind == "update":
                await self._changed.wait_for(lambda: self._updates < MAX_PENDING_UPDATES)
                self._updates += 1
            else:
                if self._every_frame:
                    await self._changed.wait_for(lambda: self._frames < MAX_PENDING_FRAMES)
                elif self._frames:
                    self._requests.remove(next(r for r in self._requests if r.WhichOneof("request") == "frame"))
                    self._frames -= 1
                self._frames += 1
            self._requests.append(request)
            self._changed.notify_all()

    async def close(self, error: Exception | None = None) -> None:
        """No more will come; `error` is raised to the reader's other end at once."""
        async with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    async def has_come(self, at_most_s: float | None = None) -> bool:
        """Waits so long, or as long as it takes; true when `get` need not wait."""
        try:
            async with asyncio.timeout(at_most_s), self._changed:
                await self._changed.wait_for(lambda: self._requests or self._closed)
        except TimeoutError:
            return False
        return True

    async def get(self) -> Request | None:
        """The next message; None at the end. Raises the error that ended the stream."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._requests or self._closed)
            if self._error is not None:
                raise self._error
            if not self._requests:
                return None
            request = self._requests.popleft()
            match request.WhichOneof("request"):
                case "audio":
                    self._samples -= len(request.audio.pcm) // 2
                case "update":
                    self._updates -= 1
                case _:
                    self._frames -= 1
            self._changed.notify_all()
            return request


async def _read(requests: AsyncIterator[Request], inbox: _Inbox, feed: "_Feed") -> None:
    try:
        async for request in requests:
            feed.check(request)
            await inbox.put(request)
        await inbox.close()
    except Exception as error:  # the top of a task: the stream's own task raises it
        await inbox.close(error)


class _Feed:
    """Checks media on arrival, then cuts them into jobs for the stage."""

    def __init__(
        self, expert: Expert, stage: Stage, config: expert_pb2.PerceiveConfig, lateness: Lateness | None
    ) -> None:
        self._expert = expert
        self._stage = stage
        self._is_live = not config.every_frame
        self._skip_unreadable = config.skip_unreadable
        self._lateness = lateness
        self._arrived_sample = config.start_sample
        self._fed_sample = config.start_sample
        self._frame_sample = config.start_sample

    def check(self, request: Request) -> None:
        """Raises MediaError for what must not enter the stage."""
        match request.WhichOneof("request"):
            case "audio" if self._expert.takes_audio:
                check_chunk(request.audio.pcm, request.audio.start_sample, self._arrived_sample)
                self._arrived_sample = request.audio.start_sample + len(request.audio.pcm) // 2
                if self._lateness is not None:
                    self._lateness.arrived(self._arrived_sample)
            case "frame" if self._expert.takes_frames:
                if request.frame.start_sample < self._frame_sample:
                    raise MediaError(
                        f"frame start_sample is {request.frame.start_sample}, goes back in time: "
                        f"the last position was {self._frame_sample}"
                    )
                self._frame_sample = request.frame.start_sample
            case "update" if isinstance(self._stage, AdjustableStage):
                pass
            case "config":
                raise MediaError("a second config; send config once, first")
            case None:
                raise MediaError("an empty message; send audio or a frame")
            case other:
                raise MediaError(f"{self._expert.name} takes no {other}")

    def jobs(self, request: Request) -> Iterator[Job]:
        """Calls on the stage that take one message in; gaps of audio become silence."""
        if request.WhichOneof("request") == "frame":
            yield from _jobs_of(self._look(request))
            return
        if request.WhichOneof("request") == "update":
            yield partial(self._update, request)
            return
        gap = request.audio.start_sample - self._fed_sample
        samples = to_float(request.audio.pcm)
        if gap:
            samples = np.concatenate([np.zeros(gap, np.float32), samples])
        for start in range(0, len(samples), SLICE_SAMPLES):
            piece = samples[start : start + SLICE_SAMPLES]
            self._fed_sample += len(piece)
            if self._lateness is not None:
                self._lateness.taken(self._fed_sample)
            yield partial(self._stage.push_audio, piece)

    def _look(self, request: Request) -> Iterator[Sequence[Percept]]:
        sent = request.frame
        try:
            pixels = decode_image(sent.image)
        except MediaError as error:
            if not self._skip_unreadable:
                raise
            yield [UnreadableFrame(sent.frame_id, sent.start_sample, str(error))]
            return
        frame = Frame(pixels, sent.start_sample, sent.frame_id)
        # Nobody waits for the first lines of a recording.
        if self._is_live and isinstance(self._stage, PiecewiseStage):
            yield from self._stage.push_frame_in_pieces(frame)
        else:
            yield self._stage.push_frame(frame)

    def _update(self, request: Request) -> Sequence[Percept]:
        if isinstance(self._stage, AdjustableStage):
            self._stage.update(dict(request.update.options))
        return []


def _jobs_of(steps: Iterator[Sequence[Percept]]) -> Iterator[Job]:
    """Each step as a job of its own, so that streams take turns; one is run before the next is asked for."""
    is_over = False

    def step() -> Sequence[Percept] | None:
        nonlocal is_over
        percepts = next(steps, None)
        is_over = percepts is None
        return percepts

    while not is_over:
        yield step


def _stage_config(config: expert_pb2.PerceiveConfig) -> StageConfig:
    return StageConfig(
        language=config.language,
        tasks=tuple(config.tasks),
        start_sample=config.start_sample,
        resume_state=config.resume_state,
        options=dict(config.options),
        queries=tuple(config.queries),
    )
