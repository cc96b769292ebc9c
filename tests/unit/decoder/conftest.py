import json
from pathlib import Path

import pytest

from engines.fetch import fetch
from services.decoder.model import SmallDecoder
from services.decoder.reader import Reader
from services.runtime.sentence import SentenceEncoder


@pytest.fixture(scope="session")
def models() -> None:
    fetch(["smollm2-135m-instruct", "minilm", "reader"])


@pytest.fixture(scope="session")
def decoder(models: None) -> SmallDecoder:
    return SmallDecoder()


@pytest.fixture(scope="session")
def encoder(models: None) -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="session")
def reader(models: None) -> Reader:
    return Reader()


@pytest.fixture(scope="session")
def meetings() -> list[dict]:
    """Four invented meetings: lines, questions with a part of their answer, questions without an answer."""
    return json.loads((Path(__file__).parent / "meetings.json").read_text())
