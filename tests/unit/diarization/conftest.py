"""The expert that all tests of this room share, two voices in turn, and ways to feed them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.fetch import fetch
from services.diarization.service import DiarizationExpert, new_expert
from services.runtime.percept import Percept
from services.runtime.stage import StageConfig

DATA = Path(__file__).parents[2] / "data"
Samples = NDArray[np.float32]
Listen = Callable[..., list[Percept]]


@pytest.fixture(scope="session")
def expert() -> DiarizationExpert:
    """The expert with real weights."""
    fetch(["segmentation-3.0", "campplus"])
    return new_expert()


@pytest.fixture(scope="session")
def two_speakers() -> Samples:
    """Two readers in turn, twice each (tests/data/two_speakers.rttm), 18.6 s."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        parts = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32) / 32_768


@pytest.fixture(scope="session")
def meeting(two_speakers: Samples) -> Samples:
    """The two readers, twice: 37 s, five blocks or so."""
    return np.tile(two_speakers, 2)


@pytest.fixture(scope="session")
def truth() -> list[tuple[float, float, str]]:
    """Start and end (s) and reader of every turn of `two_speakers`."""
    rows = [line.split() for line in (DATA / "two_speakers.rttm").read_text().splitlines()]
    return [(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]


@pytest.fixture(scope="session")
def listen(expert: DiarizationExpert) -> Listen:
    """Everything a stage says to `samples`, pushed in pieces of the given sizes, over and over."""

    def run(samples: Samples, sizes: Sequence[int] = (16_000,), config: StageConfig | None = None) -> list[Percept]:
        stage = expert.open_stage(config or StageConfig())
        said: list[Percept] = []
        position = 0
        while position < len(samples):
            for size in sizes:
                piece = samples[position : position + size]
                if len(piece):
                    said += stage.push_audio(piece)
                position += size
        return said + list(stage.flush())

    return run
