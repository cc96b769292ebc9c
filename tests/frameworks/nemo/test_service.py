"""The service with an imported model: the whole conformance suite, then a process of its own."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.engine import ManifestError
from protos.expert.v1 import expert_pb2 as pb
from services.asr.cache_aware_service import CacheAwareExpert
from services.runtime.stage import Expert
from tests.conformance.test_experts import *  # noqa: F403 - every rule of it, for the expert below
from tests.conformance.test_experts import chunked, config


@pytest.fixture(scope="session", params=["hybrid-rnnt", "hybrid-ctc"])
def expert(request: pytest.FixtureRequest, brought: dict[str, str]) -> Expert:
    """The expert that the conformance suite serves."""
    return CacheAwareExpert(brought[request.param])


@pytest.mark.parametrize("label", ["rnnt", "ctc"])
async def test_a_process_of_its_own_hears_with_the_model_that_its_environment_names(
    label: str, brought: dict[str, str], speech_s16: NDArray[np.int16], served: Any
) -> None:
    async with served("asr", SENSORIUM_ASR_MODEL=brought[label]) as stub:
        texts = set()
        for size in (1_600, 16_000):
            call = stub.Perceive(iter([config(), *chunked(speech_s16, size)]), wait_for_ready=True)
            transcripts = [r.percept.transcript async for r in call if r.percept.HasField("transcript")]
            finals = [t for t in transcripts if t.is_final]
            assert len(transcripts) > len(finals) > 0
            texts.add(" ".join(word.text for t in finals for word in t.words))
        assert len(texts) == 1 and texts.pop()
        described = await stub.Describe(pb.DescribeRequest())
        assert [(m.name, m.licence, m.is_loaded) for m in described.models if m.name == brought[label]] == [
            (brought[label], "CC0-1.0", True)
        ]


@pytest.mark.parametrize("name", ["silero-vad", "no-such-model"])
def test_a_name_that_is_no_imported_recogniser_is_refused(name: str, brought: dict[str, str]) -> None:
    with pytest.raises(ManifestError, match=name):
        CacheAwareExpert(name)
