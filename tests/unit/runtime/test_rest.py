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
from services.runtime.stage import Frame, ModelInfo, StageConfig


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

    def rest(self) -> Sequence[Percept]:
        self._loop.call_soon_threadsafe(self.begun.put_nowait, None)
        while True:
            self._engine.run({self._engine.inputs[0].name: np.zeros((1, 3, 48, 320), np.float32)})

    def flush(self) -> Sequence[Percept]:
        return []


async def test_a_picture_that_comes_breaks_off_what_betters_the_last_one() -> None:
    expert = Restless()
    settings = ServiceSettings(expert.name, "127.0.0.1:0", drain_s=0.5)
    skin = ExpertSkin(expert, settings)
    image = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()

    async def requests() -> AsyncIterator[pb.PerceiveRequest]:
        yield pb.PerceiveRequest(config=pb.PerceiveConfig())
        for number in range(3):
            yield pb.PerceiveRequest(
                frame=media_pb2.VideoFrame(image=image, start_sample=number, frame_id=f"f{number}")
            )
            await expert.begun.get()

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    async with (
        serving(settings, SERVICE_NAME, add, skin.streams) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
    ):
        stub = expert_pb2_grpc.ExpertServiceStub(channel)
        named = [response.percept.screen.frame_id async for response in stub.Perceive(requests())]
    skin.close()
    assert named == ["f0", "f1", "f2"]
