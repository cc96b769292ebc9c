"""Many streams at a real asr service: each hears what it would hear alone, late ones lose partials and no final."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Event

import grpc
import numpy as np
import pytest
from grpc_status import rpc_status

from engines.lanes import Urgency
from protos.expert.v1 import expert_pb2 as pb
from protos.expert.v1 import expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.asr.service import AsrExpert
from services.runtime import wire
from services.runtime.channel import CLIENT_OPTIONS
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.load import STANDING_S, Shed
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Percept, Transcript
from services.runtime.server import serving
from services.runtime.settings import ServiceSettings
from services.runtime.stage import StageConfig
from tests.unit.asr.conftest import Samples

STREAMS = 5


@asynccontextmanager
async def served(expert: AsrExpert) -> AsyncIterator[tuple[ExpertSkin, expert_pb2_grpc.ExpertServiceStub]]:
    settings = ServiceSettings("asr", "127.0.0.1:0", max_streams=STREAMS + 1, drain_s=0.5)
    skin = ExpertSkin(expert, settings)

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    async with (
        serving(settings, SERVICE_NAME, add, skin.streams) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
    ):
        yield skin, expert_pb2_grpc.ExpertServiceStub(channel)
    skin.close()


def requests(samples: Samples, *, every_frame: bool = True) -> list[pb.PerceiveRequest]:
    config = pb.PerceiveConfig(language="en", every_frame=every_frame)
    pcm = (samples * 32_768).astype(np.int16)
    chunks = [
        pb.PerceiveRequest(audio=media_pb2.AudioChunk(pcm=pcm[i : i + 1600].tobytes(), start_sample=i))
        for i in range(0, len(pcm), 1600)
    ]
    return [pb.PerceiveRequest(config=config), *chunks]


async def heard(stub: expert_pb2_grpc.ExpertServiceStub, sent: list[pb.PerceiveRequest]) -> list[Percept]:
    return [wire.from_proto(response.percept) async for response in stub.Perceive(iter(sent))]


def finals(said: list[Percept]) -> list[tuple[str, int, int, str]]:
    transcripts = [p for p in said if isinstance(p, Transcript) and p.is_final]
    return [(p.utterance_id, p.start_sample, p.end_sample, p.text) for p in transcripts]


def talks(speech: Samples) -> list[Samples]:
    """Different cuts of one sentence, some said twice."""
    pause = np.zeros(SAMPLE_RATE, np.float32)
    pieces = [speech[: (2 + i % 3) * SAMPLE_RATE] for i in range(STREAMS)]
    return [np.concatenate([piece, pause, speech[i * 4000 :][: 2 * SAMPLE_RATE]]) for i, piece in enumerate(pieces)]


async def test_streams_beside_one_another_hear_what_each_hears_alone(expert: AsrExpert, speech: Samples) -> None:
    async with served(expert) as (_, stub):
        alone = [await heard(stub, requests(talk)) for talk in talks(speech)]
        assert all(finals(said) for said in alone)
        beside = await asyncio.gather(*(heard(stub, requests(talk)) for talk in talks(speech)))
        described = await stub.Describe(pb.DescribeRequest())
    assert [finals(said) for said in beside] == [finals(said) for said in alone]
    assert described.load["decoded_together"] >= 1
    assert described.load["late_streams"] == 0  # who wants everything done is not live


def test_a_late_stage_leaves_out_partials_and_second_passes_and_no_final(expert: AsrExpert, speech: Samples) -> None:
    talk = np.concatenate([speech, np.zeros(SAMPLE_RATE, np.float32), speech])

    def said(shed: Shed, second_pass: str) -> list[Percept]:
        stage = expert.open_stage(StageConfig("en", options={"second_pass": second_pass}))
        stage.shed(shed)
        return [*stage.push_audio(talk), *stage.flush()]

    def partials(percepts: list[Percept]) -> int:
        return sum(isinstance(p, Transcript) and not p.is_final for p in percepts)

    in_time = said(Shed(), "off")
    slow, none = (said(Shed(every, has_second_pass=False), "whisper") for every in (2, 0))
    assert finals(slow) == finals(none) == finals(in_time)
    assert partials(in_time) > partials(slow) > partials(none)
    checkpoints = [[p.resume_sample for p in percepts if isinstance(p, Checkpoint)] for percepts in (in_time, none)]
    assert checkpoints[0] == checkpoints[1] != []


async def test_while_the_open_streams_are_late_a_new_one_is_told_to_come_back(
    expert: AsrExpert, speech: Samples
) -> None:
    async with served(expert) as (skin, stub):
        with skin.streams.load.stream(0) as late:
            late.arrived(SAMPLE_RATE)
            late._in_time -= STANDING_S  # as if it had been late for so long
            late.lag_s = 1.5
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Perceive().read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1.5 s late" in str(refused.value.details())
        status = rpc_status.from_call(refused.value)
        assert status is not None and [d.TypeName() for d in status.details] == ["google.rpc.RetryInfo"]
        assert finals(await heard(stub, requests(speech, every_frame=False)))


async def test_a_live_stream_that_is_late_loses_no_final(expert: AsrExpert, speech: Samples) -> None:
    async with served(expert) as (skin, stub):
        want = finals(await heard(stub, requests(speech)))
        with skin.streams.load.stream(0) as late:
            late.lag_s = 5.0  # nobody gets second passes
            assert finals(await heard(stub, requests(speech, every_frame=False))) == want


async def test_a_live_stream_leaves_out_partials_while_other_runs_wait_and_no_final(
    expert: AsrExpert, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert.lanes, "width", 2)  # one for the stream; the second long run waits for the first
    release = Event()

    def hold() -> None:
        with expert.lanes.turn(Urgency.LONG):
            release.wait()

    def partials(percepts: list[Percept]) -> int:
        return sum(isinstance(p, Transcript) and not p.is_final for p in percepts)

    async with served(expert) as (_, stub):
        free = await heard(stub, requests(speech, every_frame=False))
        with ThreadPoolExecutor(2) as pool:
            for _ in range(2):
                pool.submit(hold)
            while not expert.lanes.is_crowded:
                pass
            try:
                crowded = await heard(stub, requests(speech, every_frame=False))
            finally:
                release.set()
    assert partials(free) > 0 == partials(crowded)
    assert finals(crowded) == finals(free) != []
