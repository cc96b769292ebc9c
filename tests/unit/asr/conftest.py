"""The recogniser that all tests of this room share, and ways to feed it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.engine import Engine
from engines.fetch import fetch
from engines.models import open_engine
from services.asr.service import AsrExpert, new_expert
from services.runtime.percept import Percept
from services.runtime.stage import StageConfig

Samples = NDArray[np.float32]
Transcribe = Callable[..., list[Percept]]


@pytest.fixture(scope="session")
def expert() -> AsrExpert:
    """The expert with real weights."""
    fetch(["silero-vad", "moonshine-tiny-en", "whisper-base"])
    return new_expert()


@pytest.fixture(scope="session")
def graphs() -> tuple[Engine, Engine]:
    """Moonshine's encoder and decoder by themselves."""
    fetch(["moonshine-tiny-en"])
    return open_engine("moonshine-tiny-en", "encoder.onnx"), open_engine("moonshine-tiny-en", "decoder.onnx")


@pytest.fixture(scope="session")
def speech(speech_s16: NDArray[np.int16]) -> Samples:
    """One sentence of 5 s."""
    return speech_s16.astype(np.float32) / 32_768


@pytest.fixture(scope="session")
def transcribe(expert: AsrExpert) -> Transcribe:
    """Everything that a stage says about samples, cut into pieces of the given sizes in turn.

    There are no early finals unless `options` ask for them.
    """

    def run(
        samples: Samples,
        *,
        pieces: Sequence[int] = (16_000,),
        language: str = "en",
        start_sample: int = 0,
        resume_state: bytes = b"",
        options: Mapping[str, str] = {"second_pass": "off"},  # noqa: B006
    ) -> list[Percept]:
        config = StageConfig(language, (), start_sample, resume_state, {"stop_history_eou": "0"} | dict(options))
        stage = expert.open_stage(config)
        said: list[Percept] = []
        position = turn = 0
        while position < len(samples):
            size = pieces[turn % len(pieces)]
            said += stage.push_audio(samples[position : position + size])
            position, turn = position + size, turn + 1
        return said + list(stage.flush())

    return run
