"""What betters what was said gives way to what comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import cv2
import grpc
import numpy as np
from numpy.typing import NDArray

from engines.fetch import fetch
from engines.models import open_engine
from protos.expert.v1 import expert_pb2 as pb
from protos.expert.v1 import expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.runtime.channel import CLIENT_OPTIONS
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.percept import Percept, ScreenState
from services.runtime.server import serving
from services.runtime.settings import ServiceSettings
from services.runtime.stage import Expert, Frame, ModelInfo, StageConfig


def picture(start_sample: int, frame_id: str = "") -> pb.PerceiveRequest:
    image = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    return pb.PerceiveRequest(frame=media_pb2.VideoFrame(image=image, start_sample=start_sample, frame_id=frame_id))


async def said(expert: Expert, requests: AsyncIterator[pb.PerceiveRequest]) -> list[pb.PerceiveResponse]:
    """What a served expert answers."""
    settings = ServiceSettings(expert.name, "127.0.0.1:0", drain_s=0.5)
    skin = ExpertSkin(expert, settings)

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    async with (
        serving(settings, SERVICE_NAME, add, skin.streams) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
    ):
        stub = expert_pb2_grpc.ExpertServiceStub(channel)
        responses = [response async for response in stub.Perceive(requests)]
    skin.close()
    return responses


class Restless:
    """Expert and stage in one: names each picture, and then computes until it is broken off."""

    name = "restless"
    takes_audio = False
    takes_frames = True

    def __init__(self) -> None:
        fetch(["ppocrv6-tiny"])
        self._engine = open_engine("ppocrv6-tiny", "rec.onnx", threads=1)
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def open_stage(self, config: StageConfig) -> "Restless":
        return self

    def models(self) -> Sequence[ModelInfo]:
        return []

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        return []

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        return [ScreenState(frame.start_sample, 1, 1, frame.frame_id)]

    is_still = False

    def rest(self, *, is_long: bool) -> Sequence[Percept]:
        self._loop.call_soon_threadsafe(self.begun.put_nowait, None)
        while True:
            self._engine.run({self._engine.inputs[0].name: np.zeros((1, 3, 48, 320), np.float32)})

    def flush(self) -> Sequence[Percept]:
        return []


class Still:
    """Expert and stage in one: its pictures show what the first showed; tells of every rest whether it is long."""

    name = "still"
    takes_audio = False
    takes_frames = True
    is_still = False

    def __init__(self) -> None:
        self.rests: asyncio.Queue[bool] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._pictures = 0

    def open_stage(self, config: StageConfig) -> "Still":
        return self

    def models(self) -> Sequence[ModelInfo]:
        return []

    def push_audio(self, samples: NDArray[np.float32]) -> Sequence[Percept]:
        return []

    def push_frame(self, frame: Frame) -> Sequence[Percept]:
        self.is_still, self._pictures = self._pictures > 0, self._pictures + 1
        return []

    def rest(self, *, is_long: bool) -> Sequence[Percept] | None:
        self._loop.call_soon_threadsafe(self.rests.put_nowait, is_long)
        return None

    def flush(self) -> Sequence[Percept]:
        return []


async def test_pictures_that_bring_nothing_new_do_not_put_off_a_long_rest() -> None:
    expert = Still()

    async def requests() -> AsyncIterator[pb.PerceiveRequest]:
        yield pb.PerceiveRequest(config=pb.PerceiveConfig())
        yield picture(0)
        # As a cursor that blinks: the next one comes before a long rest could begin.
        while not await expert.rests.get():
            yield picture(1)

    assert await said(expert, requests()) == []


async def test_where_every_frame_counts_the_media_clock_says_what_is_long() -> None:
    expert = Still()

    async def requests() -> AsyncIterator[pb.PerceiveRequest]:
        yield pb.PerceiveRequest(config=pb.PerceiveConfig(every_frame=True))
        for second in range(5):
            yield picture(16_000 * second)

    assert await said(expert, requests()) == []
    assert [expert.rests.get_nowait() for _ in range(5)] == [False, False, False, True, True]


async def test_a_picture_that_comes_breaks_off_what_betters_the_last_one() -> None:
    expert = Restless()

    async def requests() -> AsyncIterator[pb.PerceiveRequest]:
        yield pb.PerceiveRequest(config=pb.PerceiveConfig())
        for number in range(3):
            yield picture(number, f"f{number}")
            await expert.begun.get()

    assert [response.percept.screen.frame_id for response in await said(expert, requests())] == ["f0", "f1", "f2"]
