"""One stream of a session to one expert, kept alive: it reconnects and replays since the last checkpoint."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import grpc

from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept

log = logging.getLogger(__name__)

# Audio kept for a replay. An expert that stays away longer loses the oldest, and everybody is told.
MAX_REPLAY_SAMPLES = 90 * SAMPLE_RATE
# Audio sent to an expert beyond its results: above it the session's sender is slowed down.
MAX_UNREAD_SAMPLES = 10 * SAMPLE_RATE
# Frames kept for a replay when none may be dropped.
MAX_REPLAY_FRAMES = 8
MAX_MESSAGE_SAMPLES = SAMPLE_RATE
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
# The caller's fault: trying again would fail in the same way.
_FATAL = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED)

Request = expert_pb2.PerceiveRequest


class ExpertLink:
    """Media in by `push_audio`/`push_frame`/`finish`, percepts out by `on_percept`, state by `on_status`.

    `run` ends when the expert has flushed after `finish`, or has failed for good.
    """

    def __init__(
        self,
        name: str,
        channel: grpc.aio.Channel,
        config: expert_pb2.PerceiveConfig,
        checkpoint: Checkpoint,
        *,
        on_percept: Callable[[str, Percept], Awaitable[None]],
        on_status: Callable[[str, bool, str], Awaitable[None]],
    ) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self.is_available = True
        # Why the expert will not do what it was asked for, however often it is tried.
        self.failure: grpc.aio.AioRpcError | None = None
        # Stretches of audio that it will never hear.
        self._lost: list[tuple[int, int]] = []
        self._has_flushed = False
        self._media_end = checkpoint.resume_sample
        self._stub = expert_pb2_grpc.ExpertServiceStub(channel)
        self._config = config
        self._on_percept = on_percept
        self._on_status = on_status
        self._audio: deque[media_pb2.AudioChunk] = deque()
        self._audio_end = checkpoint.resume_sample
        self._sent_sample = checkpoint.resume_sample
        self._frames: deque[tuple[int, media_pb2.VideoFrame]] = deque(maxlen=MAX_REPLAY_FRAMES)
        self._next_frame = 0  # number of the next one that comes in
        self._unsent_frame = 0  # number of the first one not sent on the present stream
        self._unsent_options: dict[str, str] = {}
        self._finished = False
        self._done = False
        self._changed = asyncio.Condition()

    @property
    def next_sample(self) -> int:
        """Position of the next audio it takes; earlier audio is ignored."""
        return self._audio_end

    def missing(self, end_sample: int) -> list[tuple[int, int]]:
        """Stretches of the media, which ends at `end_sample`, that nothing or not all is told of."""
        resume_sample = self.checkpoint.resume_sample
        is_whole = self._has_flushed or self._media_end <= resume_sample
        return self._lost if is_whole else [*self._lost, (resume_sample, end_sample)]

    async def push_audio(self, chunk: media_pb2.AudioChunk) -> None:
        """Take gapless audio; waits while the expert is behind."""
        start = chunk.start_sample
        skip = max(0, self._audio_end - start)
        pcm = chunk.pcm[2 * skip :]
        if not pcm:
            return
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._audio_end = start + skip + len(pcm) // 2
            self._media_end = max(self._media_end, self._audio_end)
            if self._done:
                return  # nobody will ever hear it
            self._audio.append(media_pb2.AudioChunk(pcm=pcm, start_sample=start + skip))
            self._changed.notify_all()
        await self._bound_replay()

    def _has_room(self) -> bool:
        if self._done:
            return True
        waiting = self._audio_end - self._sent_sample
        return waiting < (MAX_UNREAD_SAMPLES if self.is_available else MAX_REPLAY_SAMPLES)

    async def _bound_replay(self) -> None:
        kept = self._audio_end - self.checkpoint.resume_sample
        if kept > MAX_REPLAY_SAMPLES and not self.is_available:
            lost = Checkpoint(self._audio_end - MAX_REPLAY_SAMPLES // 2, self.checkpoint.state)
            await self._on_status(
                self.name, False, f"{self.name} was away too long: {kept / 2 / SAMPLE_RATE:.0f} s of it are lost"
            )
            start, end = self.checkpoint.resume_sample, lost.resume_sample
            if self._lost and self._lost[-1][1] == start:
                start = self._lost.pop()[0]
            self._lost.append((start, end))
            self._trim(lost)

    async def push_frame(self, frame: media_pb2.VideoFrame) -> None:
        """Take a picture: the newest replaces those that wait, unless every frame was asked for.

        One from before the checkpoint is ignored, as audio is: the expert has looked at it.
        """
        if frame.start_sample < self.checkpoint.resume_sample:
            return
        async with self._changed:
            if self._config.every_frame:
                await self._changed.wait_for(
                    lambda: self._done or self._next_frame - self._unsent_frame < MAX_REPLAY_FRAMES
                )
            else:
                self._frames.clear()
            self._frames.append((self._next_frame, frame))
            self._media_end = max(self._media_end, frame.start_sample + 1)
            self._next_frame += 1
            self._changed.notify_all()

    async def update(self, options: Mapping[str, str]) -> None:
        """Change options for the media that comes; a replay uses them from its beginning."""
        async with self._changed:
            self._config.options.update(options)
            self._unsent_options.update(options)
            self._changed.notify_all()

    async def finish(self) -> None:
        """No more media: the expert flushes."""
        async with self._changed:
            self._finished = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Keep the stream up until it has ended well or failed for good."""
        tries = 0
        try:
            while True:
                before = self.checkpoint.resume_sample
                try:
                    await self._stream()
                    self._has_flushed = True
                    return
                except grpc.aio.AioRpcError as error:
                    if error.code() in _FATAL:
                        self.failure = error
                        await self._on_status(self.name, False, error.details() or error.code().name)
                        return
                    log.warning("expert lost", extra={"fields": {"expert": self.name, "code": error.code().name}})
                    is_full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    why = f"has no room ({error.details()})" if is_full else "does not answer"
                if self.checkpoint.resume_sample > before:
                    tries = 0
                if self.is_available:
                    self.is_available = False
                    await self._on_status(self.name, False, f"{self.name} {why}; trying again")
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        finally:
            async with self._changed:
                self._done = True
                self._audio.clear()
                self._changed.notify_all()

    async def _stream(self) -> None:
        config = expert_pb2.PerceiveConfig()
        config.CopyFrom(self._config)
        self._unsent_options.clear()
        config.start_sample = self.checkpoint.resume_sample
        config.resume_state = self.checkpoint.state
        self._sent_sample = self.checkpoint.resume_sample
        self._unsent_frame = self._frames[0][0] if self._frames else self._next_frame
        call = self._stub.Perceive(self._requests(config))
        try:
            await call.wait_for_connection()
            if not self.is_available:
                self.is_available = True
                await self._on_status(self.name, True, f"{self.name} is back")
            async for response in call:
                percept = wire.from_response(response)
                if isinstance(percept, Checkpoint):
                    self._trim(percept)
                await self._on_percept(self.name, percept)
        finally:
            call.cancel()

    def _trim(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        while self._audio and _end(self._audio[0]) <= checkpoint.resume_sample:
            self._audio.popleft()
        # A stream that begins at the checkpoint takes no older picture.
        while self._frames and self._frames[0][1].start_sample < checkpoint.resume_sample:
            self._frames.popleft()

    async def _requests(self, config: expert_pb2.PerceiveConfig) -> AsyncIterator[Request]:
        yield Request(config=config)
        while (request := await self._next()) is not None:
            yield request

    async def _next(self) -> Request | None:
        """What the expert has not had yet: settings, pictures, then audio."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._sent_sample < self._audio_end
                    or self._unsent_frame < self._next_frame
                    or self._unsent_options
                    or self._finished
                )
            )
            if self._unsent_options:
                update = expert_pb2.PerceiveUpdate(options=self._unsent_options)
                self._unsent_options.clear()
                return Request(update=update)
            for number, frame in self._frames:
                if number >= self._unsent_frame:
                    self._unsent_frame = number + 1
                    self._changed.notify_all()
                    return Request(frame=frame)
            if self._sent_sample < self._audio_end:
                request = self._audio_from(self._sent_sample)
                self._sent_sample = _end(request.audio)
                self._changed.notify_all()
                return request
            return None

    def _audio_from(self, sample: int) -> Request:
        """One message of at most a second; a chunk that began before `sample` is cut."""
        pieces: list[bytes] = []
        start, count = sample, 0
        for chunk in self._audio:
            if _end(chunk) <= sample:
                continue
            offset = max(0, sample - chunk.start_sample)
            if not pieces:
                start = chunk.start_sample + offset
            take = chunk.pcm[2 * offset : 2 * (offset + MAX_MESSAGE_SAMPLES - count)]
            pieces.append(take)
            count += len(take) // 2
            sample = chunk.start_sample + offset + len(take) // 2
            if count >= MAX_MESSAGE_SAMPLES:
                break
        return Request(audio=media_pb2.AudioChunk(pcm=b"".join(pieces), start_sample=start))


def _end(chunk: media_pb2.AudioChunk) -> int:
    return chunk.start_sample + len(chunk.pcm) // 2
