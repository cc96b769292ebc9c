"""The gateway over HTTP: who may use it, how events are resumed, what errors look like."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from aiortc import RTCPeerConnection

from protos.session.v1 import session_pb2 as pb
from services.gateway import http
from services.gateway.formats import FORMATS
from services.gateway.session import MAX_IMAGE_BYTES
from services.runtime.percept import SpeakerTurn, SpeakerVoice
from tests.unit.gateway.conftest import WORDS, Gateway

FOREIGN = {"origin": "https://evil.example"}


def sentence(response: httpx2.Response) -> str:
    """The message of an error, which is a sentence."""
    message = response.json()["error"]["message"]
    assert isinstance(message, str) and " " in message
    return message


async def events(gateway: Gateway, session_id: str, n: int, headers: dict[str, str] | None = None) -> list[dict]:
    """The first `n` events of a session's stream, each with the `id:` it came with."""
    found: list[dict] = []
    number = None
    path = f"/api/sessions/{session_id}/events"
    async with gateway.client.stream("GET", path, headers=headers or {}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                found.append({**json.loads(line[6:]), "id": number})
                number = None
            if len(found) == n:
                break
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/rtc"),
        ("DELETE", "/api/rtc/p"),
        ("GET", "/api/sessions"),
        ("GET", "/api/sessions/kept/events"),
        ("GET", "/api/sessions/kept/export?format=srt"),
        ("POST", "/api/sessions/kept/ask"),
        ("POST", "/api/sessions/kept/names"),
        ("POST", "/api/sessions/kept/finish"),
        ("DELETE", "/api/sessions/kept"),
        ("GET", "/api/status"),
    ],
)
async def test_a_page_of_another_origin_is_refused_everywhere(
    gateway: Gateway, kept: str, method: str, path: str
) -> None:
    response = await gateway.client.request(method, path, headers=FOREIGN)
    assert response.status_code == 403
    assert "evil.example" in sentence(response)
    assert (await gateway.client.get(f"/api/sessions/{kept}")).status_code == 200


async def test_a_foreign_page_cannot_embed_what_needs_no_origin_header(gateway: Gateway, kept: str) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert (await gateway.client.get(f"/api/sessions/{kept}/export", headers=headers)).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]"])
async def test_a_foreign_name_for_this_machine_is_refused(gateway: Gateway, host: str) -> None:
    response = await gateway.client.get("/", headers={"host": host})
    assert response.status_code == 403
    assert "not called" in sentence(response)


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8080", "meet.example", "MEET.example:443"])
async def test_loopback_and_configured_names_are_served(gateway: Gateway, host: str) -> None:
    assert (await gateway.client.get("/api/sessions", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("own", [True, False])
async def test_the_own_page_and_configured_origins_are_served(gateway: Gateway, own: bool) -> None:
    headers = {"origin": gateway.url if own else "https://board.example"}
    assert (await gateway.client.get("/api/sessions", headers=headers)).status_code == 200


@pytest.mark.parametrize("origin", ["null", "http://[", "file://", "ftp://meet.example"])
async def test_an_origin_that_is_no_page_of_ours_is_refused_whatever_it_is(gateway: Gateway, origin: str) -> None:
    response = await gateway.client.get("/api/status", headers={"origin": origin, "host": "meet.example"})
    assert response.status_code == 403
    assert origin in sentence(response)


async def test_another_port_of_this_machine_is_another_origin(gateway: Gateway) -> None:
    response = await gateway.client.get("/api/sessions", headers={"origin": "http://127.0.0.1:3000"})
    assert response.status_code == 403


async def test_a_form_of_a_foreign_page_cannot_post(gateway: Gateway, kept: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = await gateway.client.post(
            f"/api/sessions/{kept}/names", content=b"{}", headers={"content-type": content_type}
        )
        assert response.status_code == 415


async def test_the_page_comes_with_a_policy_that_allows_nothing_foreign_and_nothing_inline(gateway: Gateway) -> None:
    response = await gateway.client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"<script>|<[^>]*\s(style|on\w+)=", response.text)
    for path in ("/static/app.js", "/static/style.css", "/static/icon.svg"):
        answer = await gateway.client.get(path)
        assert answer.status_code == 200
        assert "https://" not in answer.text.replace("http://www.w3.org", "").replace("https address", "")


async def test_a_stream_of_events_is_resumed_after_the_last_number(gateway: Gateway, kept: str) -> None:
    whole = await events(gateway, kept, 3)
    assert [event["id"] for event in whole] == [1, 2, 3]
    assert [word["text"] for word in whole[0]["utterance"]["words"]] == WORDS
    assert whole[1]["speaker_name"] == {"speaker": "S1", "name": "Priya"}
    rest = await events(gateway, kept, 1, {"last-event-id": "2"})
    assert [event["id"] for event in rest] == [3]
    assert rest[0]["ended"] == {"end_sample": "32000"}


async def test_whoever_watches_a_kept_session_hears_of_a_new_name(gateway: Gateway, kept: str) -> None:
    waiting = asyncio.create_task(events(gateway, kept, 4))
    response = await gateway.client.post(f"/api/sessions/{kept}/names", json={"speaker": "S1", "name": " Priya R. "})
    assert response.status_code == 200
    assert (await waiting)[3]["speaker_name"]["name"] == "Priya R."


async def test_nobody_who_did_not_speak_gets_a_name(gateway: Gateway, kept: str) -> None:
    response = await gateway.client.post(f"/api/sessions/{kept}/names", json={"speaker": "S9", "name": "Nobody"})
    assert response.status_code == 404 and "speakers are S1" in sentence(response)
    session = await gateway.sessions.open(pb.LiveConfig())
    names = f"/api/sessions/{session.id}/names"
    response = await gateway.client.post(names, json={"speaker": "S1", "name": "Ada"})
    assert response.status_code == 404 and "nobody has spoken" in sentence(response)
    # Somebody whose first turn is not over yet is on the page already.
    await session._on_percept("diarization", SpeakerTurn("t1", "S1", 0, 8_000, is_final=False))
    assert (await gateway.client.post(names, json={"speaker": "S1", "name": "Ada"})).status_code == 200


async def test_a_number_that_no_gateway_gave_ends_no_stream(gateway: Gateway, kept: str) -> None:
    response = await gateway.client.get(f"/api/sessions/{kept}/events", params={"after": 2**63})
    assert response.status_code == 400
    assert "after" in sentence(response)
    # The other way is the browser's; it begins anew.
    assert (await events(gateway, kept, 1, {"last-event-id": "9" * 40}))[0]["id"] == 1


async def test_whoever_watches_a_session_that_is_deleted_is_let_go(gateway: Gateway, kept: str) -> None:
    async with gateway.client.stream("GET", f"/api/sessions/{kept}/events") as response:
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("data: "):
            pass
        assert (await gateway.client.delete(f"/api/sessions/{kept}")).status_code == 200
        async with asyncio.timeout(10):
            async for _ in lines:
                pass


async def test_streams_end_when_the_gateway_stops(gateway: Gateway, kept: str) -> None:
    async with gateway.client.stream("GET", f"/api/sessions/{kept}/events") as response:
        lines = response.aiter_lines()
        await anext(lines)
        gateway.stopping.set()
        rest = [line async for line in lines]
    assert rest[-1] == ""


@pytest.mark.parametrize("name", sorted(FORMATS))
async def test_every_format_is_downloaded_with_its_name(gateway: Gateway, kept: str, name: str) -> None:
    response = await gateway.client.get(f"/api/sessions/{kept}/export", params={"format": name})
    assert response.status_code == 200
    assert response.headers["content-disposition"] == f'attachment; filename="R-te---co.{name}"'
    assert response.headers["content-type"].startswith(FORMATS[name].media_type)
    assert name == "rttm" or "account" in response.text
    assert name in ("rttm", "ctm") or "Priya" in response.text


async def test_an_unknown_format_is_named_with_those_that_exist(gateway: Gateway, kept: str) -> None:
    response = await gateway.client.get(f"/api/sessions/{kept}/export", params={"format": "docx"})
    assert response.status_code == 400
    assert "docx" in sentence(response) and "srt" in sentence(response)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/sessions/none", None),
        ("GET", "/api/sessions/none/events", None),
        ("GET", "/api/sessions/none/export", None),
        ("GET", "/api/sessions/none/frames/1", None),
        ("DELETE", "/api/sessions/none", None),
        ("POST", "/api/sessions/none/names", {"speaker": "S1", "name": "x"}),
        ("POST", "/api/sessions/none/ask", {"question_id": "q", "text": "who?"}),
        ("POST", "/api/sessions/none/ask", {"text": "who?"}),
        ("POST", "/api/sessions/none/finish", {}),
        ("GET", "/api/nothing", None),
    ],
)
async def test_what_does_not_exist_is_404_with_a_sentence(
    gateway: Gateway, method: str, path: str, body: dict[str, str] | None
) -> None:
    response = await gateway.client.request(method, path, json=body)
    assert response.status_code == 404
    assert sentence(response)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/rtc", {"sdp": "", "type": "offer"}),
        ("/api/rtc", {"sdp": "v=0", "type": "answer"}),
        ("/api/rtc", {"sdp": "this is no SDP", "type": "offer"}),
        ("/api/rtc", {"sdp": "v=0\r\n", "type": "offer", "experts": ["smell"]}),
        ("/api/rtc", {"sdp": "v=0\r\n", "type": "offer", "unknown": 1}),
        ("/api/sessions/kept/names", {"speaker": "S1", "name": ""}),
        ("/api/sessions/kept/names", {"speaker": "S1", "name": "x" * 300}),
        ("/api/sessions/kept/ask", {"question_id": "q", "text": ""}),
        ("/api/sessions/kept/ask", {"question_id": "q", "text": "x" * 3000}),
        ("/api/sessions/kept/ask", {"text": "who?", "escalation": "always"}),
        ("/api/sessions/kept/ask", ["no", "object"]),
        ("/api/see", {"image": "", "tasks": ["ocr"]}),
        ("/api/see", {"image": "A" * 4 * (MAX_IMAGE_BYTES // 3 + 1), "tasks": ["ocr"]}),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_wrong_body_is_400_with_a_sentence(gateway: Gateway, kept: str, path: str, body: object) -> None:
    response = await gateway.client.post(path, json=body)
    assert response.status_code == 400
    assert sentence(response)


async def test_a_body_that_is_not_json_is_told_so_with_the_place(gateway: Gateway, kept: str) -> None:
    headers = {"content-type": "application/json"}
    response = await gateway.client.post("/api/sessions/kept/ask", content='{"text": who}', headers=headers)
    assert response.status_code == 400
    assert sentence(response) == "the body is not JSON: Expecting value at character 9"


async def test_an_offer_that_fails_leaves_no_session_behind(gateway: Gateway) -> None:
    body = {"sdp": "v=0\r\n", "type": "offer"}
    assert (await gateway.client.post("/api/rtc", json=body)).status_code == 400
    assert (await gateway.client.get("/api/sessions")).json() == {"sessions": []}


async def test_a_second_writer_is_409_and_one_session_too_many_429_with_a_time(gateway: Gateway) -> None:
    session = await gateway.sessions.open(pb.LiveConfig())
    page = RTCPeerConnection()
    page.addTransceiver("audio", "sendonly")
    await page.setLocalDescription(await page.createOffer())
    offer = {"sdp": page.localDescription.sdp, "type": "offer"}
    second = await gateway.client.post("/api/rtc", json={**offer, "session_id": session.id})
    assert second.status_code == 409
    third = await gateway.client.post("/api/rtc", json=offer)
    assert third.status_code == 429
    assert int(third.headers["retry-after"]) >= 1
    assert sentence(second) and sentence(third)
    await page.close()


async def test_a_body_that_is_too_long_is_413(gateway: Gateway) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1 + http.MAX_BODY_BYTES // 1000):
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    with_length = await gateway.client.post("/api/rtc", content=b"x" * (http.MAX_BODY_BYTES + 1), headers=headers)
    without = await gateway.client.post("/api/rtc", content=endless(), headers=headers)
    assert (with_length.status_code, without.status_code) == (413, 413)


async def test_a_kept_session_is_listed_and_deleted(gateway: Gateway, kept: str) -> None:
    listed = (await gateway.client.get("/api/sessions")).json()["sessions"]
    assert [summary["session_id"] for summary in listed] == [kept]
    assert listed[0]["title"] == "Räte & co"
    assert (await gateway.client.delete(f"/api/sessions/{kept}")).status_code == 200
    assert (await gateway.client.get("/api/sessions")).json() == {"sessions": []}


async def test_status_tells_which_services_do_not_answer(gateway: Gateway) -> None:
    services = (await gateway.client.get("/api/status")).json()["services"]
    assert {service["name"]: service["is_available"] for service in services} == {
        "asr": False,
        "diarization": False,
        "vision": False,
        "decoder": False,
    }


async def test_remembered_voices_are_listed_without_how_they_sound_and_deleted(gateway: Gateway, kept: str) -> None:
    voice = SpeakerVoice("S1", 8.5, (1.0, *[0.0] * 191), "campplus-1")
    await gateway.sessions.voices.add("Ada/Eve", voice, "Ada herself")
    (listed,) = (await gateway.client.get("/api/voices")).json()["voices"]
    assert listed.pop("consent_unix_ms")
    assert listed == {"name": "Ada/Eve", "speech_s": 8.5, "consent_by": "Ada herself", "space_id": "campplus-1"}
    assert (await gateway.client.delete("/api/voices/Ada%2FEve")).status_code == 200
    assert (await gateway.client.get("/api/voices")).json() == {"voices": []}
    gone = await gateway.client.delete("/api/voices/Ada%2FEve")
    assert gone.status_code == 404 and "no voice is remembered" in sentence(gone)


async def test_a_voice_that_cannot_be_remembered_is_refused_with_the_reason(gateway: Gateway, kept: str) -> None:
    body = {"name": "Ada", "session_id": kept, "speaker": "S1", "consent_by": "Ada"}

    async def refused(**changes: str) -> tuple[int, str]:
        response = await gateway.client.post("/api/voices", json=body | changes)
        return response.status_code, sentence(response)

    # It ended before this gateway was started.
    status, reason = await refused()
    assert status == 404 and "is not kept any more" in reason
    status, reason = await refused(session_id="unknown")
    assert status == 404 and "no session 'unknown'" in reason
    status, reason = await refused(consent_by="")
    assert status == 400 and "say who agreed" in reason
    status, reason = await refused(name=" ")
    assert status == 400 and "must have 1 to 80" in reason
    voice = SpeakerVoice("S1", 8.5, (1.0, *[0.0] * 191), "campplus-1")
    await gateway.sessions.voices.add("ada", voice, "Ada")
    status, reason = await refused()
    assert status == 409 and "remembered as 'Ada' already" in reason
    foreign = await gateway.client.post("/api/voices", json=body, headers=FOREIGN)
    assert foreign.status_code == 403
