"""A page's media over real WebRTC on loopback: aiortc plays the browser."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from numpy.typing import NDArray

from protos.session.v1 import session_pb2 as pb
from services.gateway import webrtc
from services.gateway.webrtc import OfferError, Peers
from services.runtime.errors import ConflictError

FRAME = 960
START = 48_000


@dataclass
class Recorder:
    """A session that keeps what it is given; it can be made late by `is_open`."""

    id: str = "session"
    resume_sample: int = START
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    frames: list[tuple[bytes, int, str]] = field(default_factory=list)
    is_finished: bool = False
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def push_audio(self, pcm: bytes, start_sample: int) -> None:
        await self.is_open.wait()
        self.pieces.append((start_sample, pcm))
        self.resume_sample = start_sample + len(pcm) // 2
        self.changed.set()

    async def push_frame(self, image: bytes, start_sample: int, frame_id: str) -> None:
        self.frames.append((image, start_sample, frame_id))
        self.changed.set()

    async def finish(self) -> None:
        self.is_finished = True
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def audio(self) -> NDArray[np.int16]:
        """All sound; asserts that it is gapless."""
        position = self.pieces[0][0]
        for start, pcm in self.pieces:
            assert start == position
            position += len(pcm) // 2
        return np.frombuffer(b"".join(pcm for _, pcm in self.pieces), np.int16)


class Room:
    """Sessions with one recorder and at most one writer."""

    def __init__(self) -> None:
        self.session = Recorder()
        self.session.is_open.set()
        self.has_writer = False

    async def open(self, config: pb.LiveConfig) -> Recorder:
        if self.has_writer:
            raise ConflictError("it has a writer")
        self.has_writer = True
        return self.session

    async def release(self, session: Recorder) -> None:
        self.has_writer = False
        session.changed.set()


class Voice(MediaStreamTrack):
    """Speech at its own pace, 48 kHz; `lost` frames are left out and leave a hole in the time stamps."""

    kind = "audio"

    def __init__(self, samples: NDArray[np.int16], lost: range = range(0)) -> None:
        super().__init__()
        self._samples = samples
        self._lost = lost
        self._index = 0
        self._begun_s = 0.0

    async def recv(self) -> av.AudioFrame:
        self._begun_s = self._begun_s or time.monotonic()
        if self._index in self._lost:
            self._index = self._lost.stop
        at = self._index * FRAME
        piece = np.zeros(FRAME, np.int16)
        part = self._samples[at : at + FRAME]
        piece[: len(part)] = part
        frame = av.AudioFrame.from_ndarray(piece[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
        await asyncio.sleep(self._begun_s + at / 48_000 - time.monotonic())
        self._index += 1
        return frame


class Slides(MediaStreamTrack):
    """A still picture at 5 frames a second."""

    kind = "video"

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self._pixels = pixels
        self._index = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(0.2)
        frame = av.VideoFrame.from_ndarray(self._pixels, "bgr24")
        frame.pts, frame.time_base = self._index * 18_000, Fraction(1, 90_000)
        self._index += 1
        return frame


class OneSlide(Slides):
    """A single picture, and then nothing."""

    async def recv(self) -> av.VideoFrame:
        if self._index:
            await asyncio.Event().wait()
        return await super().recv()


@dataclass
class Browser:
    """One page."""

    connection: RTCPeerConnection
    peer_id: str
    reports: "asyncio.Queue[dict[str, Any]]"


@pytest.fixture
async def room() -> AsyncIterator[tuple[Room, Peers]]:
    sessions = Room()
    peers = Peers(sessions)
    yield sessions, peers
    await peers.close()


async def browse(peers: Peers, *tracks: MediaStreamTrack, replaces: str = "") -> Browser:
    connection = RTCPeerConnection()
    for track in tracks:
        connection.addTrack(track)
    channel = connection.createDataChannel("status")
    reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    channel.on("message", lambda message: reports.put_nowait(json.loads(message)))
    await connection.setLocalDescription(await connection.createOffer())
    try:
        peer, answer = await peers.answer(connection.localDescription.sdp, pb.LiveConfig(), replaces)
    except ConflictError:
        await connection.close()
        raise
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return Browser(connection, peer.peer_id, reports)


@pytest.fixture
def voice(speech_s16: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.repeat(speech_s16[:48_000], 3)


def envelope(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Loudness in pieces of 20 ms."""
    whole = samples[: len(samples) // 320 * 320].reshape(-1, 320).astype(np.float64)
    return np.asarray(np.sqrt((whole**2).mean(1)))


async def test_speech_arrives_gapless_from_where_the_session_was(
    room: tuple[Room, Peers], voice: NDArray[np.int16], speech_s16: NDArray[np.int16]
) -> None:
    session = room[0].session
    page = await browse(room[1], Voice(voice))
    await session.until(lambda: session.resume_sample >= START + 40_000)
    await page.connection.close()
    await session.until(lambda: not room[0].has_writer)
    assert session.pieces[0][0] == START
    heard, said = envelope(session.audio()), envelope(speech_s16[:48_000])
    likeness = max(np.corrcoef(heard[at : at + 90], said[:90])[0, 1] for at in range(len(heard) - 90))
    assert likeness > 0.9


async def test_lost_packets_become_silence_of_their_length(room: tuple[Room, Peers], voice: NDArray[np.int16]) -> None:
    session = room[0].session
    loud = np.resize(voice[20_000:60_000], 144_000)
    page = await browse(room[1], Voice(loud, lost=range(50, 80)))
    await session.until(lambda: session.resume_sample >= START + 40_000)
    await page.connection.close()
    await session.until(lambda: not room[0].has_writer)
    silent = envelope(session.audio()) == 0
    longest = max(len(run) for run in "".join("x" if quiet else " " for quiet in silent).split())
    assert 26 <= longest <= 31


async def test_two_tracks_become_one(room: tuple[Room, Peers], voice: NDArray[np.int16]) -> None:
    session = room[0].session
    page = await browse(room[1], Voice(voice), Voice(voice))
    await session.until(lambda: session.resume_sample >= START + 32_000)
    await page.connection.close()
    await session.until(lambda: not room[0].has_writer)
    assert len(session.audio()) < 64_000


async def test_a_still_screen_is_sent_a_few_times_and_is_legible(room: tuple[Room, Peers], slide_png: bytes) -> None:
    session = room[0].session
    slide = np.asarray(cv2.imdecode(np.frombuffer(slide_png, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    page = await browse(room[1], Slides(slide))
    await session.until(lambda: len(session.frames) >= 3)
    await page.connection.close()
    samples = [start for _, start, _ in session.frames]
    assert samples == sorted(set(samples)) and samples[0] >= START
    assert len({name for _, _, name in session.frames}) == len(session.frames)
    seen = cv2.imdecode(np.frombuffer(session.frames[-1][0], np.uint8), cv2.IMREAD_COLOR)
    assert seen.shape == slide.shape
    assert cv2.PSNR(seen, slide) > 28


async def test_a_picture_is_sent_though_no_other_follows(room: tuple[Room, Peers], slide_png: bytes) -> None:
    session = room[0].session
    slide = np.asarray(cv2.imdecode(np.frombuffer(slide_png, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    page = await browse(room[1], OneSlide(slide))
    await session.until(lambda: len(session.frames) >= 1)
    await page.connection.close()


async def test_without_sound_the_clock_runs_in_silence(room: tuple[Room, Peers], slide_png: bytes) -> None:
    session = room[0].session
    page = await browse(room[1], Slides(np.zeros((90, 160, 3), np.uint8)))
    await session.until(lambda: session.resume_sample >= START + 16_000)
    await page.connection.close()
    assert not session.audio().any()


async def test_a_late_session_gets_what_waited_and_the_page_is_told(
    room: tuple[Room, Peers], voice: NDArray[np.int16]
) -> None:
    session = room[0].session
    session.is_open.clear()
    page = await browse(room[1], Voice(voice))
    report = await page.reports.get()
    while report["backlog_s"] <= 1:
        report = await page.reports.get()
    assert (report["type"], report["lost_s"]) == ("lag", 0)
    session.is_open.set()
    await session.until(lambda: session.resume_sample >= START + 24_000)
    assert len(session.audio()) >= 24_000
    await page.connection.close()


async def test_a_reloaded_page_takes_over_and_goes_on_without_a_gap(
    room: tuple[Room, Peers], voice: NDArray[np.int16]
) -> None:
    session = room[0].session
    first = await browse(room[1], Voice(voice))
    await session.until(lambda: session.resume_sample >= START + 16_000)
    second = await browse(room[1], Voice(voice), replaces=first.peer_id)
    reached = session.resume_sample
    await session.until(lambda: session.resume_sample >= reached + 16_000)
    session.audio()
    await first.connection.close()
    await second.connection.close()


async def test_another_page_cannot_take_over(room: tuple[Room, Peers], voice: NDArray[np.int16]) -> None:
    page = await browse(room[1], Voice(voice))
    with pytest.raises(ConflictError):
        await browse(room[1], Voice(voice), replaces="guess")
    assert room[0].has_writer
    await page.connection.close()


async def test_finishing_ends_the_session_though_its_services_are_too_slow_for_the_last_sound(
    room: tuple[Room, Peers], voice: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, peers = room[0].session, room[1]
    session.is_open.clear()
    page = await browse(peers, Voice(voice))
    while (await page.reports.get())["backlog_s"] <= 1:
        pass
    monkeypatch.setattr(webrtc, "GONE_AFTER_S", 0.1)
    peer = peers.of_session(session.id)
    assert peer is not None
    await peers.finish(peer)
    assert session.is_finished and not room[0].has_writer
    await page.connection.close()


async def test_finishing_hands_over_the_last_sound_and_ends_the_session(
    room: tuple[Room, Peers], voice: NDArray[np.int16]
) -> None:
    session, peers = room[0].session, room[1]
    page = await browse(peers, Voice(voice))
    await session.until(lambda: session.resume_sample >= START + 16_000)
    peer = peers.of_session(session.id)
    assert peer is not None
    await peers.finish(peer)
    assert session.is_finished and not room[0].has_writer
    assert peers.of_session(session.id) is None
    await page.connection.close()


async def test_only_loopback_is_offered_and_names_are_not_looked_up(
    room: tuple[Room, Peers], voice: NDArray[np.int16]
) -> None:
    connection = RTCPeerConnection()
    connection.addTrack(Voice(voice))
    await connection.setLocalDescription(await connection.createOffer())
    hidden = "a=candidate:1 1 udp 1 0b5c-nobody.local 9 typ host\r\n"
    sdp = connection.localDescription.sdp.replace("a=end-of-candidates\r\n", hidden)
    _, answer = await room[1].answer(sdp, pb.LiveConfig())
    found = [line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")]
    assert set(found) == {"127.0.0.1"}
    await connection.close()


async def test_an_offer_without_media_opens_no_session(room: tuple[Room, Peers]) -> None:
    with pytest.raises(OfferError, match="neither sound nor picture"):
        await room[1].answer("v=0\r\n", pb.LiveConfig())
    assert not room[0].has_writer
