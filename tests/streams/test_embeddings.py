"""Adapters by the five real services: a word that was recognised wrong is found in the sound, also after a restart."""

import json
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest

from protos.session.v1 import session_pb2 as pb
from services.gateway.transcript import fold
from tests.conftest import DATA
from tests.house import House
from tools.client import LiveSession
from tools.media import Audio

S = 16_000
QUESTION = "Who is Quoth?"


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Two readers in turn; one says "Tell me what happened, quoth Zau al-Makan"."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
    return bytes(samples.astype(np.int16).tobytes())


async def _meeting(house: House, sound: bytes, **options: str) -> str:
    async def media() -> AsyncIterator[Audio]:
        for start in range(0, len(sound), 2 * S):
            yield Audio(pcm=sound[start : start + 2 * S], start_sample=start // 2)

    asked = {f"asr.{key}": value for key, value in options.items()}
    config = pb.LiveConfig(language="en", pace=pb.PACE_MAX, experts=["asr"], options=asked)
    session = LiveSession(house.gateway, config)
    await session.run(media())
    assert "quoth" not in " ".join(segment.text.lower() for segment in fold(session.events).segments)
    return session.session_id


def _answer(house: House, session_id: str) -> dict[str, Any]:
    asked = house.cli("ask", session_id, QUESTION, "--format", "json")
    assert asked.returncode == 0, asked.stderr
    answer: dict[str, Any] = json.loads(asked.stdout)
    return answer


def _evidence(house: House, session_id: str) -> list[str]:
    return [each["text"] for each in _answer(house, session_id)["evidence"]]


async def test_a_word_that_was_recognised_wrong_is_found_in_the_sound(house: House, sound: bytes) -> None:
    session_id = await _meeting(house, sound, embeddings="on")
    found = _evidence(house, session_id)
    assert found and "Tell me what happened" in found[0]
    house.kill("decoder")
    house.wait_until_serving()
    assert _evidence(house, session_id) == found


async def test_without_embeddings_it_is_not_heard(house: House, sound: bytes) -> None:
    heard = _answer(house, await _meeting(house, sound, embeddings="on"))
    guessed = _answer(house, await _meeting(house, sound))
    assert not heard["abstained"] and guessed["abstained"], (heard, guessed)
