"""A session's way to an expert: what one piece of media costs, and what is played again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import cv2
import grpc
import numpy as np
from numpy.typing import NDArray

from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.gateway.links import ExpertLink
from services.runtime.channel import CLIENT_OPTIONS
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, ScreenState, UnreadableFrame
from services.runtime.server import serving
from services.runtime.settings import ServiceSettings
from services.runtime.stage import Frame, ModelInfo, StageConfig

PICTURE = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


class Namer:
    """Expert and stage in one: names each picture, with a checkpoint; breaks once at the picture named so."""

    name = "namer"
    takes_audio = False
    takes_frames = True

    def __init__(self, breaks_at: str = "") -> None:
        self._breaks_at = breaks_at

    def open_stage(self, config: StageConfig) -> "Namer":
        return self

    def models(self) -> Sequence[ModelInfo]:
        return []

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        return []

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        if frame.frame_id == self._breaks_at:
            self._breaks_at = ""
            raise RuntimeError("broken on purpose")
        return [ScreenState(frame.start_sample, 8, 8, frame.frame_id), Checkpoint(frame.start_sample)]

    def flush(self) -> Sequence[Percept]:
        return []


@asynccontextmanager
async def link_to(expert: Namer, told: list[Percept]) -> AsyncIterator[ExpertLink]:
    """A link that takes every frame, as a session makes it; percepts are noted in `told`."""

    async def note(_: str, percept: Percept) -> None:
        told.append(percept)

    async def ignore(*_: object) -> None:
        return None

    settings = ServiceSettings(expert.name, "127.0.0.1:0", drain_s=0.5)
    skin = ExpertSkin(expert, settings)

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    async with (
        serving(settings, SERVICE_NAME, add, skin.streams) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
    ):
        config = expert_pb2.PerceiveConfig(every_frame=True, skip_unreadable=True)
        yield ExpertLink(expert.name, channel, config, Checkpoint(0), on_percept=note, on_status=ignore)
    skin.close()


def picture(number: int, image: bytes = PICTURE) -> media_pb2.VideoFrame:
    return media_pb2.VideoFrame(image=image, start_sample=number, frame_id=f"f{number}")


def named(told: list[Percept]) -> list[str]:
    return [percept.frame_id for percept in told if isinstance(percept, ScreenState)]


async def test_a_picture_that_cannot_be_read_costs_itself_alone() -> None:
    told: list[Percept] = []
    async with link_to(Namer(), told) as link:
        await link.push_frame(picture(0))
        await link.push_frame(picture(1, PICTURE[:40]))
        await link.push_frame(picture(2))
        await link.finish()
        await link.run()
    assert named(told) == ["f0", "f2"]
    (left_out,) = (percept for percept in told if isinstance(percept, UnreadableFrame))
    assert (left_out.frame_id, left_out.start_sample) == ("f1", 1) and "cut off" in left_out.why
    assert link.failure is None


async def test_pictures_before_the_checkpoint_are_not_played_again() -> None:
    told: list[Percept] = []
    async with link_to(Namer(breaks_at="f2"), told) as link:
        for number in range(4):
            await link.push_frame(picture(number))
        await link.finish()
        await link.run()
    assert link.failure is None
    assert named(told) == ["f0", "f1", "f1", "f2", "f3"]


async def test_a_picture_from_before_the_checkpoint_is_ignored() -> None:
    told: list[Percept] = []
    async with link_to(Namer(), told) as link:
        link.checkpoint = Checkpoint(5)
        await link.push_frame(picture(4))
        await link.push_frame(picture(5))
        await link.finish()
        await link.run()
    assert named(told) == ["f5"] and link.failure is None


async def test_only_what_was_sent_and_not_told_is_missing() -> None:
    told: list[Percept] = []
    async with link_to(Namer(), told) as link:
        assert link.missing(9) == []
        await link.push_frame(picture(3))
        assert link.missing(9) == [(0, 9)]
        await link.finish()
        await link.run()
    assert link.missing(9) == []


async def test_sound_that_was_lost_while_an_expert_was_away_is_missing() -> None:
    told: list[Percept] = []
    async with link_to(Namer(), told) as link:
        link.is_available = False
        for second in range(99):
            if second == 10:
                link._sent_sample = link.next_sample  # so much it had before it went, without a checkpoint
            await link.push_audio(media_pb2.AudioChunk(pcm=bytes(2 * SAMPLE_RATE), start_sample=second * SAMPLE_RATE))
    assert link.missing(99 * SAMPLE_RATE) == [(0, 46 * SAMPLE_RATE), (46 * SAMPLE_RATE, 99 * SAMPLE_RATE)]


async def test_sound_is_not_kept_for_an_expert_that_refused_for_good() -> None:
    told: list[Percept] = []
    async with link_to(Namer(), told) as link:
        await link.push_audio(media_pb2.AudioChunk(pcm=bytes(3_200), start_sample=0))
        await link.run()  # it takes no sound
        assert link.failure is not None
        await link.push_audio(media_pb2.AudioChunk(pcm=bytes(3_200), start_sample=1_600))
        assert link.next_sample == 3_200 and not link._audio
        assert link.missing(3_200) == [(0, 3_200)]
