"""The diarization service with imported models, in a process of its own, over the wire."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.expert.v1 import expert_pb2 as pb
from protos.media.v1 import media_pb2

Percepts = list[Any]


async def hear(stub: Any, samples: NDArray[np.int16], size: int, start: int = 0, state: bytes = b"") -> Percepts:
    config = pb.PerceiveConfig(start_sample=start, resume_state=state, options={"voices": "on"})
    chunks = [
        pb.PerceiveRequest(audio=media_pb2.AudioChunk(pcm=samples[i : i + size].tobytes(), start_sample=i))
        for i in range(start, len(samples), size)
    ]
    call = stub.Perceive(iter([pb.PerceiveRequest(config=config), *chunks]), wait_for_ready=True)
    return [response.percept async for response in call]


async def test_a_process_of_its_own_hears_speakers_with_the_models_that_its_environment_names(
    brought: dict[str, str], conversation: NDArray[np.int16], served: Any
) -> None:
    environment = {
        "SENSORIUM_SEGMENTATION_MODEL": brought["segmentation"],
        "SENSORIUM_EMBEDDING_MODEL": brought["embedding"],
    }
    async with served("diarization", **environment) as stub:
        percepts = await hear(stub, conversation, 1_600)
        assert [p for p in percepts if p.HasField("turn") and p.turn.is_final]
        widths = {len(p.voice.embedding) for p in percepts if p.HasField("voice")}
        assert widths == {256}
        # Results do not depend on how the sound was cut.
        assert await hear(stub, conversation, 16_000) == percepts
        # A stream from a checkpoint repeats what followed it.
        index, checkpoint = next((i, p.checkpoint) for i, p in enumerate(percepts) if p.HasField("checkpoint"))
        rest = await hear(stub, conversation, 3_200, checkpoint.resume_sample, checkpoint.state)
        assert rest == percepts[index + 1 :]
        described = await stub.Describe(pb.DescribeRequest())
        assert {m.name for m in described.models if m.is_loaded} == set(brought.values())
