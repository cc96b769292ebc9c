"""The screen corrects the speech, by the five real services: a name that no recogniser knows stands on a slide."""

from collections.abc import AsyncIterator

import av
import cv2
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from protos.session.v1 import session_pb2 as pb
from services.gateway.transcript import Document, fold
from tests.conftest import DATA
from tests.house import House
from tools.client import LiveSession
from tools.media import Audio, Picture

S = 16_000
# The recogniser is told of the slide some moments after it was read: the sentence comes again until it is heard right.
TIMES = 4


@pytest.fixture(scope="module")
def sentence() -> NDArray[np.int16]:
    """ "Tell me what happened, quoth Zau al-Makan." and a pause, 16 kHz."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
    return np.concatenate([samples[5 * S : 9 * S], np.zeros(2 * S, samples.dtype)]).astype(np.int16)


def _slide(*lines: str) -> bytes:
    picture = np.full((360, 640, 3), 255, np.uint8)
    for i, line in enumerate(lines):
        cv2.putText(picture, line, (40, 80 + 60 * i), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 2, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", picture)[1])


async def _meeting(house: House, sentence: NDArray[np.int16], slide: bytes, **options: str) -> tuple[str, Document]:
    async def media() -> AsyncIterator[Audio | Picture]:
        yield Picture(image=slide, start_sample=0, frame_id="slide")
        for start in range(0, TIMES * len(sentence), S):
            piece = np.take(sentence, range(start, start + S), mode="wrap")
            yield Audio(pcm=piece.tobytes(), start_sample=start)

    config = pb.LiveConfig(
        language="en", pace=pb.PACE_MAX, experts=["asr", "vision"], options={f"asr.{k}": v for k, v in options.items()}
    )
    session = LiveSession(house.gateway, config)
    await session.run(media())
    return session.session_id, fold(session.events)


async def test_a_name_on_a_slide_is_heard_tells_its_box_and_is_taken_back(
    house: House, sentence: NDArray[np.int16]
) -> None:
    name, document = await _meeting(house, sentence, _slide("Agenda for today", "Zau al-Makan"))
    segment = next(s for s in document.segments if any(w.correction is not None for w in s.words))
    place = next(i for i, word in enumerate(segment.words) if word.correction is not None)
    correction = segment.words[place].correction
    assert correction is not None and correction.heard and "Makan" in segment.text
    assert correction.box is not None and 100 < correction.box[1] < correction.box[3] < 180

    url = f"{house.page}/api/sessions/{name}"
    async with httpx2.AsyncClient(timeout=30) as client:
        body = {"utterance_id": segment.utterance_id, "word": place}
        assert (await client.post(f"{url}/undo", json=body)).status_code == 200
        again = await client.post(f"{url}/undo", json=body)
        assert again.status_code == 400 and "no correction" in again.text
        said = (await client.get(f"{url}/export?format=json")).json()["segments"]
    kept = next(s for s in said if round(s["start_s"] * S) == segment.start_sample)
    assert correction.heard in kept["text"] and "correction" not in kept["words"][place]


async def test_the_screen_says_nothing_where_it_was_told_not_to(house: House, sentence: NDArray[np.int16]) -> None:
    _, document = await _meeting(house, sentence, _slide("Zau al-Makan"), screen_terms="off")
    assert document.segments and all(w.correction is None for s in document.segments for w in s.words)
