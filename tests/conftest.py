"""What every test may use: fetched models and small licensed media (tests/data/README.md)."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import engines
import services
from engines.fetch import fetch
from engines.manifest import manifests
from tests.house import House, running_house

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="session", autouse=True)
def _the_checkout_is_under_test() -> None:
    """The packages have generic names; another `services` on the path must not be tested by mistake."""
    for package in (services, engines):
        assert Path(str(package.__file__)).is_relative_to(ROOT)


@pytest.fixture(scope="session")
def models() -> None:
    """Every model of the manifests is in the cache."""
    fetch(manifests())


@pytest.fixture(scope="session")
def speech_s16() -> NDArray[np.int16]:
    """A few seconds of one voice: (n,) int16, 16 kHz mono."""
    with wave.open(str(DATA / "speech.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.fixture(scope="session")
def slide_png() -> bytes:
    """A 1280x720 slide."""
    return (DATA / "slide.png").read_bytes()


@pytest.fixture(scope="session")
def house(models: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All five services, started once for the whole run of tests."""
    with running_house(tmp_path_factory.mktemp("house"), SENSORIUM_MAX_UPLOAD_MIB="8") as running:
        yield running
