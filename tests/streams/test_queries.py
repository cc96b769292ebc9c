"""What is looked for on a screen, by the five real services: in a meeting, over HTTP, and by OpenAI's client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import cv2
import httpx2
import numpy as np
import openai
import pytest

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.runtime.percept import Coverage
from services.runtime.wire import screen_from_proto
from tests.conftest import DATA
from tests.house import House
from tools.client import LiveSession
from tools.errors import GatewayError
from tools.media import Picture

DRAGON, UNICORN = 'text "the dragon sleeps"', 'text "unicorns run"'
WAIT_S = 60.0


def _slide(line: str) -> bytes:
    picture = np.full((360, 640, 3), 255, np.uint8)
    cv2.putText(picture, line, (40, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 2, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", picture)[1])


def _found(screen: media_pb2.ScreenState) -> dict[str, Coverage]:
    return {answer.query: answer.coverage for answer in screen_from_proto(screen).answers}


class Meeting:
    """A live session of which each screen can be waited for."""

    def __init__(self, house: House, *queries: str) -> None:
        self.screens: asyncio.Queue[media_pb2.ScreenState] = asyncio.Queue()
        fast = {"vision.quality": "fast"}
        config = pb.LiveConfig(pace=pb.PACE_MAX, experts=["vision"], queries=queries, options=fast)
        self.session = LiveSession(house.gateway, config, on_event=self._take)

    def _take(self, event: pb.Event) -> None:
        if event.HasField("screen"):
            self.screens.put_nowait(event.screen)

    async def screen(self) -> media_pb2.ScreenState:
        """The next one."""
        async with asyncio.timeout(WAIT_S):
            return await self.screens.get()


async def test_answers_come_with_every_change_of_the_screen_and_with_none_else(house: House) -> None:
    meeting = Meeting(house, DRAGON, UNICORN, "a phoenix")
    seen = []

    async def media() -> AsyncIterator[Picture]:
        for at, line in enumerate(("The dragon sleeps", "The dragon sleeps", "Unicorns run")):
            yield Picture(image=_slide(line), start_sample=at * 16_000, frame_id=f"f{at}")
            if at != 1:
                seen.append(await meeting.screen())

    await meeting.session.run(media())
    assert meeting.screens.empty()
    first, last = map(_found, seen)
    assert first == {DRAGON: Coverage.FOUND, UNICORN: Coverage.NOT_FOUND, "a phoenix": Coverage.NOT_COVERED}
    assert last == {DRAGON: Coverage.NOT_FOUND, UNICORN: Coverage.FOUND, "a phoenix": Coverage.NOT_COVERED}
    (match,) = seen[1].answers[1].matches
    assert match.source == "text" and match.score > 0.5 and 60 < match.box.y0 < match.box.y1 < 160


async def test_other_queries_are_answered_about_the_screen_that_is_shown(house: House) -> None:
    meeting = Meeting(house)
    seen = []

    async def media() -> AsyncIterator[Picture]:
        yield Picture(image=(DATA / "gui.png").read_bytes(), start_sample=0, frame_id="page")
        seen.append(await meeting.screen())
        url = f"{house.page}/api/sessions/{meeting.session.session_id}/queries"
        async with httpx2.AsyncClient(timeout=30) as client:
            assert (await client.put(url, json={"queries": ["every button"]})).status_code == 200
            seen.append(await meeting.screen())
            assert (await client.put(url, json={"queries": []})).status_code == 200
            seen.append(await meeting.screen())
            for bad in (["x" * 201], ["x"] * 17, [" "]):
                refused = await client.put(url, json={"queries": bad})
                assert refused.status_code == 400 and "quer" in refused.text

    await meeting.session.run(media())
    before, asked, after = seen
    assert not before.answers and not before.elements and before.regions
    assert _found(asked) == {"every button": Coverage.FOUND} and asked.elements
    assert [r.text for r in asked.regions] == [r.text for r in before.regions]
    assert not after.answers and not after.elements


@pytest.mark.parametrize("queries", [["x" * 201], ["x"] * 17, [""]])
async def test_a_meeting_with_bad_queries_does_not_begin(house: House, queries: list[str]) -> None:
    async def media() -> AsyncIterator[Picture]:
        yield Picture(image=_slide("x"), start_sample=0, frame_id="f")

    with pytest.raises(GatewayError, match="quer"):
        await Meeting(house, *queries).session.run(media())


async def test_a_picture_is_searched_over_http(house: House) -> None:
    image = base64.b64encode((DATA / "gui.png").read_bytes()).decode()
    async with httpx2.AsyncClient(base_url=house.page, timeout=60) as client:
        seen = (await client.post("/api/see", json={"image": image, "queries": ["every button", "dragon"]})).json()
        assert [answer["coverage"] for answer in seen["queries"]] == ["found", "not_covered"]
        assert seen["queries"][0]["matches"] and seen["activation"]["tasks"] == ["gui", "ocr", "queries"]
        for body in ({"image": image}, {"image": image, "queries": ["x"] * 17}, {"image": "aGk=", "tasks": ["ocr"]}):
            refused = await client.post("/api/see", json=body)
            assert refused.status_code == 400 and " " in refused.json()["error"]["message"]


def test_openais_client_finds_what_stands_beside_the_task(house: House) -> None:
    data = base64.b64encode((DATA / "gui.png").read_bytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    with openai.OpenAI(base_url=f"{house.page}/v1", api_key="none", max_retries=0, timeout=120) as client:

        def asked(text: str) -> dict:
            messages = [{"role": "user", "content": [{"type": "text", "text": text}, picture]}]
            made = client.chat.completions.create(model="sensorium", messages=messages)
            return json.loads(made.choices[0].message.content)

        (seen,) = asked("<task>open_vocabulary_detection</task>\nthe drafts button\na dragon")["results"]
        assert [answer["coverage"] for answer in seen["queries"]] == ["found", "not_covered"]
        with pytest.raises(openai.BadRequestError, match="needs what to find"):
            asked("<task>open_vocabulary_detection</task>")
