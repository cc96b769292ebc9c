"""The browser's media over WebRTC: sound and screen of one page become pushes into one session.

aiortc's queues of received media are unbounded, so every track is drained all the time, whatever
the session does. What waits is bounded here, in media time: sound in a `Backlog` (its overflow
policy is there), pictures by keeping the newest only. One media clock for both: a picture is
stamped with the newest sound that had come when it came.

A page offers its tracks once (microphone, sound of the screen, picture of the screen, a data
channel) and switches sources on and off without a new offer. Over the data channel the gateway
reports once a second how late it is: {"type": "lag", "backlog_s", "lost_s", "position"}; before it
hangs up by itself it says why: {"type": "failed", "message"}.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import aioice.ice
import av
import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from protos.session.v1 import session_pb2
from services.gateway.mixer import SAMPLE_RATE_HZ, Backlog, Mixer
from services.gateway.reception import receive_screens
from services.gateway.sampler import FrameSampler
from services.gateway.session import Session
from services.gateway.sessions import Sessions
from services.runtime.errors import DrainingError
from services.runtime.stage import MediaError

log = logging.getLogger(__name__)
# One line per candidate pair, with addresses of whoever connects.
logging.getLogger("aioice").setLevel(logging.WARNING)

# Sound goes to the session in pieces of this length at least (fewer messages) ...
CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10
# ... and at most (what has waited goes faster).
LONGEST_CHUNK_SAMPLES = SAMPLE_RATE_HZ
# Two minutes: speech recognition may be restarted meanwhile without losing a word; 4 MB.
BACKLOG_SAMPLES = 120 * SAMPLE_RATE_HZ
# Between two looks at pictures of a screen lies at least so much; a page sends ten a second, and each is looked at as
# it comes. A look at one that rests takes a third of a millisecond.
FRAME_INTERVAL_S = 0.05
THUMBNAIL_PX = (160, 90)
JPEG_QUALITY = 92
# Without sound for so long, the meeting's clock goes on in silence.
IDLE_AFTER_S = 1.0
TICK_S = 0.25
REPORT_INTERVAL_S = 1.0
# A page that sent nothing for so long, or never connected, is gone.
GONE_AFTER_S = 15.0
CLOSE_S = 5.0


# What aiortc raises for an offer that it does not understand.
_BAD_OFFER = (ValueError, KeyError, IndexError, AssertionError, AttributeError)


class OfferError(ValueError):
    """The offer is not one that a page of ours makes; the message says what is wrong."""


class Peer:
    """One connected page: writes its media into one session until it leaves."""

    def __init__(
        self,
        peer_id: str,
        session: Session,
        connection: RTCPeerConnection,
        tracks: Sequence[MediaStreamTrack],
        executor: ThreadPoolExecutor,
    ) -> None:
        self.peer_id = peer_id
        self.session = session
        self._executor = executor
        self._connection = connection
        self._tracks = tracks
        self._channel: Any = None
        self._mixer = Mixer(session.resume_sample)
        self._next_sample = session.resume_sample
        self._backlog = Backlog(BACKLOG_SAMPLES)
        self._sound_waits = asyncio.Event()
        self._newest: tuple[av.VideoFrame, int] | None = None
        self._frame_waits = asyncio.Event()
        self._sound_came = False
        self._no_more_sound = False
        self._finish = False
        self._sign_of_life_s = time.monotonic()
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection.on("datachannel", self._open_channel)
        self._connection.on("connectionstatechange", self._notice_state)

    async def answer(self) -> str:
        """The answer to the page's offer, which begins to connect. Raises OfferError."""
        try:
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except _BAD_OFFER as error:
            raise OfferError(f"the offer cannot be answered: {error or type(error).__name__}") from error
        return str(self._connection.localDescription.sdp)

    def start(self, on_gone: Callable[["Peer"], None]) -> asyncio.Task[None]:
        """Begin to write into the session; `on_gone` is called when it is over."""
        self._task = asyncio.create_task(self._run(), name=f"peer {self.peer_id}")
        self._task.add_done_callback(lambda _: on_gone(self))
        return self._task

    async def leave(self, finish: bool = False) -> None:
        """Hang up: what has come so far is still handed to the session, which then ends if `finish`."""
        self._finish = finish
        self._leaving.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        else:
            await self._connection.close()

    async def _run(self) -> None:
        try:
            await self._write_until_left()
            if self._finish:
                await self.session.finish()
        except* (MediaError, DrainingError) as group_error:
            log.error("session %s refused the page's media: %s", self.session.id, group_error.exceptions[0])
            self._say({"type": "failed", "message": str(group_error.exceptions[0])})
        finally:
            # A connection whose own tasks were cancelled before never finishes closing.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._connection.close()

    async def _write_until_left(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                feed = group.create_task(self._feed_sound())
                others = [group.create_task(work) for work in self._work()]
                await self._leaving.wait()
                for task in others:
                    task.cancel()
                self._backlog.append(self._mixer.flush())
                self._no_more_sound = True
                self._sound_waits.set()
                async with asyncio.timeout(GONE_AFTER_S):
                    await feed
        except* TimeoutError:
            log.warning("session %s: services too slow for the last sound of a page", self.session.id)

    def _work(self) -> list[Any]:
        drains = [
            self._drain_sound(track, f"{index}") if track.kind == "audio" else self._drain_pictures(track)
            for index, track in enumerate(self._tracks)
        ]
        return [*drains, self._feed_pictures(), self._watch_clock(), self._report()]

    async def _drain_sound(self, track: MediaStreamTrack, track_id: str) -> None:
        reader = _SoundReader()
        try:
            while True:
                frame = await track.recv()
                if not isinstance(frame, av.AudioFrame):
                    continue
                self._alive()
                self._sound_came = True
                for start, samples in reader.read(frame):
                    self._mixer.push(track_id, start, samples)
                self._collect()
        except MediaStreamError:
            self._mixer.close(track_id)
            self._collect()

    async def _drain_pictures(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame):
                    self._alive()
                    # Overflow policy: the newest picture replaces one that still waits.
                    self._newest = (frame, self._mixer.position)
                    self._frame_waits.set()
        except MediaStreamError:
            return

    async def _feed_sound(self) -> None:
        while not (self._no_more_sound and self._backlog.samples == 0):
            await self._sound_waits.wait()
            self._sound_waits.clear()
            while self._backlog.samples >= (1 if self._no_more_sound else CHUNK_SAMPLES):
                samples = self._backlog.take(LONGEST_CHUNK_SAMPLES)
                await self.session.push_audio(samples.tobytes(), self._next_sample)
                self._next_sample += len(samples)

    async def _feed_pictures(self) -> None:
        sampler = FrameSampler()
        loop = asyncio.get_running_loop()
        last_sample = -1
        while True:
            await self._frame_waits.wait()
            if self._newest is None:
                self._frame_waits.clear()
                continue
            frame, at_sample = self._newest
            thumbnail = await loop.run_in_executor(self._executor, _thumbnail, frame)
            wanted = sampler.wants(thumbnail, time.monotonic())
            if self._newest[0] is frame and not sampler.is_waiting:
                # A picture that was put off stays and is looked at again, even if no other comes.
                self._newest = None
            if wanted:
                # Two pictures never share a name, even when the clock stood still between them.
                last_sample = at_sample = max(at_sample, last_sample + 1)
                image = await loop.run_in_executor(self._executor, _jpeg, frame)
                await self.session.push_frame(image, at_sample, f"{at_sample}")
            await asyncio.sleep(FRAME_INTERVAL_S)

    async def _watch_clock(self) -> None:
        """Lets the clock run in silence while no track sends, and notices a page that is gone.

        A tick counts at most its own length, so a busy event loop is not taken for silence.
        """
        silent_s = 0.0
        while not self._leaving.is_set():
            await asyncio.sleep(TICK_S)
            if self._sound_came:
                self._sound_came, silent_s = False, 0.0
            else:
                silent_s += TICK_S
                if silent_s > IDLE_AFTER_S and self._connection.connectionState == "connected":
                    self._mixer.idle(round(TICK_S * SAMPLE_RATE_HZ))
                    self._collect()
            if time.monotonic() - self._sign_of_life_s > GONE_AFTER_S:
                log.info("page of session %s is gone", self.session.id)
                self._leaving.set()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            self._say(
                {
                    "type": "lag",
                    "backlog_s": round(self._backlog.samples / SAMPLE_RATE_HZ, 2),
                    "lost_s": round(self._backlog.lost_samples / SAMPLE_RATE_HZ, 2),
                    "position": self._mixer.position,
                }
            )

    def _collect(self) -> None:
        self._backlog.append(self._mixer.take())
        if self._backlog.samples >= CHUNK_SAMPLES:
            self._sound_waits.set()

    def _alive(self) -> None:
        self._sign_of_life_s = time.monotonic()

    def _say(self, message: dict[str, object]) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(json.dumps(message))

    def _open_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.on("message", lambda _: self._alive())
        channel.on("close", self._leaving.set)

    def _notice_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self._leaving.set()


class Peers:
    """All connected pages of this gateway; at most one writes into a session."""

    def __init__(self, sessions: Sessions, ice_addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self._sessions = sessions
        self._peers: dict[str, Peer] = {}
        self._releases: set[asyncio.Task[None]] = set()
        # One thread: pictures of all pages take turns, speech keeps its cores.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="frames")
        _offer_only(ice_addresses)
        receive_screens()

    async def answer(self, sdp: str, config: session_pb2.LiveConfig, replaces: str = "") -> tuple[Peer, str]:
        """Connect a page to the session `config` names (or a new one) and answer its offer.

        `replaces` is the id of this page's earlier connection (it was reloaded or lost its network):
        that one hangs up first. Raises OfferError and what `Sessions.open` raises.
        """
        if replaces in self._peers:
            await self.leave(replaces)
        connection, tracks = await _read_offer(sdp)
        try:
            session = await self._sessions.open(config)
        except Exception:  # whatever it was, the caller is told; the connection must not stay
            await connection.close()
            raise
        peer = Peer(secrets.token_urlsafe(12), session, connection, tracks, self._executor)
        try:
            answer = await peer.answer()
        except OfferError:
            await peer.leave()
            await self._sessions.release(session)
            raise
        self._peers[peer.peer_id] = peer
        peer.start(self._forget)
        return peer, answer

    def of_session(self, session_id: str) -> Peer | None:
        """The page that writes into a session, if any."""
        return next((peer for peer in self._peers.values() if peer.session.id == session_id), None)

    async def leave(self, peer_id: str) -> None:
        """Hang up and give the session back; nothing happens when the page is gone already."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            await peer.leave()
        await self._released()

    async def finish(self, peer: Peer) -> None:
        """End of a page's media: its last sound, then the end of the session."""
        await peer.leave(finish=True)
        await self._released()

    async def close(self) -> None:
        """Hang up everywhere and give all sessions back."""
        for peer_id in list(self._peers):
            await self.leave(peer_id)
        self._executor.shutdown()

    def _forget(self, peer: Peer) -> None:
        self._peers.pop(peer.peer_id, None)
        task = asyncio.get_running_loop().create_task(self._sessions.release(peer.session))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _released(self) -> None:
        if self._releases:
            await asyncio.wait(self._releases)


class _SoundReader:
    """Resamples one track to 16 kHz mono; keeps its time stamps, also across gaps."""

    def __init__(self) -> None:
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        self._expected_pts: int | None = None
        self._next = 0

    def read(self, frame: av.AudioFrame) -> list[tuple[int, NDArray[np.int16]]]:
        """(position on the track's own clock, samples (n,) int16) of the next decoded frame."""
        pts = frame.pts if frame.pts is not None else (self._expected_pts or 0)
        if self._expected_pts is not None and pts > self._expected_pts:
            self._next += (pts - self._expected_pts) * SAMPLE_RATE_HZ // frame.sample_rate
        self._expected_pts = pts + frame.samples
        runs = []
        for resampled in self._resampler.resample(frame):
            samples = np.asarray(resampled.to_ndarray(), np.int16).reshape(-1)
            runs.append((self._next, samples))
            self._next += len(samples)
        return runs


async def _read_offer(sdp: str) -> tuple[RTCPeerConnection, list[MediaStreamTrack]]:
    """A connection that has taken the offer, and the offer's tracks. Raises OfferError."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: list[MediaStreamTrack] = []
    connection.on("track", tracks.append)
    try:
        await connection.setRemoteDescription(RTCSessionDescription(_without_names(sdp), "offer"))
        if not tracks:
            raise OfferError("it offers neither sound nor picture")
    except _BAD_OFFER as error:
        await connection.close()
        raise OfferError(f"this is not a usable WebRTC offer: {error or type(error).__name__}") from error
    return connection, tracks


def _thumbnail(frame: av.VideoFrame) -> NDArray[np.uint8]:
    # Decoders give planar pictures: the first plane is the brightness, looked at where it lies.
    plane = frame.planes[0]
    grey = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return np.asarray(cv2.resize(grey, THUMBNAIL_PX, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(frame: av.VideoFrame) -> bytes:
    # 4:4:4: coloured text keeps its edges.
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return bytes(cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"), options)[1])


def _without_names(sdp: str) -> str:
    """Leaves out candidates that hide behind mDNS names: looking them up asks the whole network.

    The page finds us by our candidate and we answer to where it comes from (peer reflexive).
    """
    lines = sdp.splitlines()
    kept = [line for line in lines if not (line.startswith("a=candidate:") and ".local " in line)]
    return "\r\n".join(kept) + "\r\n"


def _offer_only(addresses: Sequence[str]) -> None:
    """Binds media sockets to these addresses. aioice has no setting and leaves loopback out by itself."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: list(addresses)
