"""Sessions that live as long as one call of a foreign client: nothing of them is kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

from protos.session.v1 import session_pb2 as pb
from services.gateway import media
from services.gateway.session import Session
from services.gateway.sessions import Sessions
from services.runtime.errors import DrainingError
from services.runtime.percept import SAMPLE_RATE

T = TypeVar("T")

# What a call cannot do without.
NEEDED = "asr"
CHUNK_SAMPLES = SAMPLE_RATE // 2


async def heard(sessions: Sessions, config: pb.LiveConfig, sound: AsyncIterator[bytes]) -> AsyncGenerator[pb.Event]:
    """Events of a session that hears s16le mono 16 kHz; it is forgotten when the generator is closed.

    Raises what `sound` raises, OverloadedError, MediaError, DrainingError when speech recognition stays away,
    grpc.aio.AioRpcError when it refuses the config.
    """
    session, forget = await sessions.open_passing(config)
    failures: list[Exception] = []
    writer = asyncio.create_task(_write(session, sound, failures))
    is_away = has_ended = False
    try:
        async for event in session.feed.watch(0):
            if event.WhichOneof("event") == "expert_status" and event.expert_status.expert == NEEDED:
                is_away = not event.expert_status.is_available
                if (refusal := session.failure(NEEDED)) is not None:
                    raise refusal
            has_ended = has_ended or event.HasField("ended")
            yield event
        if failures:
            raise failures[0]
        if (refusal := session.failure(NEEDED)) is not None:
            raise refusal
        if is_away:
            raise DrainingError(f"{NEEDED} does not answer; try again later")
        if not has_ended:
            raise DrainingError("the gateway is stopping; try again")
    finally:
        writer.cancel()
        try:
            await asyncio.wait([writer])
        finally:
            await forget()


async def _write(session: Session, sound: AsyncIterator[bytes], failures: list[Exception]) -> None:
    sample = 0
    try:
        async for pcm in sound:
            await session.push_audio(pcm, sample)
            sample += len(pcm) // 2
        await session.finish()
    except Exception as error:  # the top of a task: the reader of the events raises it
        failures.append(error)
        session.feed.close()


async def pcm(
    container: Any, upload: media.Upload, on_damage: media.Report = lambda sentence: None
) -> AsyncIterator[bytes]:
    """The sound of an opened upload, decoded off the event loop. Raises MediaFileError where there is none."""
    if media.streams(container)[0] is None:
        raise media.MediaFileError(f"{upload} has no sound")
    sound = media.read_sound(container, upload, chunk_samples=CHUNK_SAMPLES, on_damage=on_damage)
    is_empty = True
    while (piece := await in_thread(partial(next, sound, None))) is not None:
        is_empty = False
        yield piece.pcm
    if is_empty:
        raise media.MediaFileError(f"nothing in {upload} could be decoded; is it damaged or empty?")


async def in_thread(job: Callable[[], T]) -> T:
    """Run a decoding step; cancelled or not, it has ended afterwards, so that its file can be closed."""
    step = asyncio.ensure_future(asyncio.to_thread(job))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.wait([step])
        raise
