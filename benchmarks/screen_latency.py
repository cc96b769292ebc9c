"""How late the text of a changed screen comes: `python -m benchmarks.screen_latency`.

aiortc plays the page: a screen at the page's own rate (services/gateway/static/capture.js) on which somebody types,
now and then and without a pause, and on which other pages come; speech beside it; five real services. A latency
counts from the moment of the change, before any picture shows it, to the arrival of the first event that holds the
changed line; of another page, its first and its last. Writes screen-latency.md. Run it on a machine that does nothing
else.
"""

import argparse
import asyncio
import tempfile
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from fractions import Fraction
from pathlib import Path
from random import Random

import aioice.ice
import aiortc.codecs.vpx
import av
import grpc
import httpx2
import numpy as np
import psutil
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from benchmarks.screens import STYLES, Pixels, Screen, new_tab
from protos.session.v1 import session_pb2, session_pb2_grpc
from services.runtime.channel import CLIENT_OPTIONS
from tools import models
from tools.media import Audio, read
from tools.output import say
from tools.services import wait_for
from tools.supervisor import SERVICES, Supervisor, free_addresses, service_specs

RESULTS = Path(__file__).parent / "results"
SPEECH = Path(__file__).parent.parent / "samples" / "meeting.mkv"
SEED = 5000
# As the page asks the browser for (services/gateway/static/capture.js).
RATE_HZ = 10
# A browser begins a shared screen with about so many bits a second; aiortc with a fifth, of which no page is legible.
BITRATE = 2_500_000
# The first pictures and words load the models.
WARM_UP_S = 15.0
REST_S = 3.0
# Of each kind so many changes (of typing without a pause so many runs), and how far they lie apart.
SINGLES, RUNS, LETTERS_OF_RUN, PAGES = 30, 6, 12, 10
_SINGLE_S, _LETTER_S, _PAGE_S = (1.2, 2.0), (0.2, 0.3), (3.0, 4.0)
# A line that is read with a wrong letter is there all the same; one this short may stand elsewhere too.
_SAME_TEXT = 0.9
_SHORT = 8
_SOUND_RATE_HZ, _SOUND_SAMPLES = 48_000, 960


@dataclass(frozen=True, slots=True)
class Change:
    """At `at_s` the screen turns into `pixels`; `lines` are those that are waited for then, by kind."""

    at_s: float
    pixels: Pixels
    lines: Mapping[str, str]


def plan(screen: Screen, chance: Random) -> list[Change]:
    """The first picture and all changes, in order of time."""
    changes = [Change(0.0, screen.picture(), {})]
    at_s = WARM_UP_S

    def then(kind: str, wait_s: tuple[float, float]) -> None:
        nonlocal at_s
        at_s += chance.uniform(*wait_s)
        if kind == "another page":
            screen.cut()
            lines = {f"{kind}, its first line": screen.title(), f"{kind}, its last line": screen.typed()}
        else:
            screen.type()
            lines = {kind: screen.typed()}
        changes.append(Change(at_s, screen.picture(), lines))

    for _ in range(SINGLES):
        then("typing now and then", _SINGLE_S)
    for _ in range(RUNS):
        at_s += REST_S
        for _ in range(LETTERS_OF_RUN):
            then("typing without a pause", _LETTER_S)
    for _ in range(PAGES):
        then("another page", _PAGE_S)
    return changes


class SharedScreen(MediaStreamTrack):
    """What is on the screen, so many times a second."""

    kind = "video"

    def __init__(self, changes: Sequence[Change], rate_hz: int) -> None:
        super().__init__()
        self._times_s = [change.at_s for change in changes]
        self._changes, self._rate_hz, self._index = changes, rate_hz, 0
        self.begun_s = 0.0

    async def recv(self) -> av.VideoFrame:
        """The next picture, when it is due."""
        self.begun_s = self.begun_s or time.monotonic()
        await asyncio.sleep(self.begun_s + self._index / self._rate_hz - time.monotonic())
        now_s = time.monotonic() - self.begun_s
        frame = av.VideoFrame.from_ndarray(self._changes[bisect_right(self._times_s, now_s) - 1].pixels, "bgr24")
        frame.pts, frame.time_base = self._index * 90_000 // self._rate_hz, Fraction(1, 90_000)
        self._index += 1
        return frame


class Speech(MediaStreamTrack):
    """The sample meeting's sound, again and again."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        sound = [np.frombuffer(item.pcm, np.int16) for item in read(SPEECH, video=False) if isinstance(item, Audio)]
        self._samples: NDArray[np.int16] = np.repeat(np.concatenate(sound), 3)
        self._index, self._begun_s = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when they are due."""
        self._begun_s = self._begun_s or time.monotonic()
        at = self._index * _SOUND_SAMPLES
        piece = self._samples.take(range(at, at + _SOUND_SAMPLES), mode="wrap")
        frame = av.AudioFrame.from_ndarray(piece[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE_HZ, at, Fraction(1, _SOUND_RATE_HZ)
        await asyncio.sleep(self._begun_s + at / _SOUND_RATE_HZ - time.monotonic())
        self._index += 1
        return frame


def is_shown(line: str, texts: Sequence[str]) -> bool:
    """True where a text says the line, or went on from it; spaces left aside."""
    wanted = line.replace(" ", "")
    for text in texts:
        read_so_far = text.replace(" ", "")
        # What is shorter lacks the last letters.
        if len(read_so_far) >= len(wanted):
            likeness = SequenceMatcher(None, wanted, read_so_far[: len(wanted)], autojunk=False).ratio()
            if likeness >= _SAME_TEXT:
                return True
    return False


def latencies_s(changes: Sequence[Change], seen: Sequence[tuple[float, list[str]]]) -> dict[str, list[float | None]]:
    """By kind, the time from each change to the first state (its time, its lines) that holds it; None: it never came.

    A change that is over before a state came is held by the state that holds the line as it went on.
    """
    by_kind: dict[str, list[float | None]] = {}
    for change in changes:
        for kind, line in change.lines.items():
            if len(line) > _SHORT:
                came_s = (at_s for at_s, texts in seen if at_s >= change.at_s and is_shown(line, texts))
                first_s = next(came_s, None)
                by_kind.setdefault(kind, []).append(None if first_s is None else first_s - change.at_s)
    return by_kind


async def run(changes: Sequence[Change], rate_hz: int) -> tuple[list[tuple[float, list[str]]], dict[str, float]]:
    """States with the time of their arrival, and the processor seconds of each service per second."""
    *chosen, http = free_addresses(len(SERVICES) + 1)
    addresses = dict(zip(SERVICES, chosen, strict=True))
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as scratch:
        specs = [
            replace(spec, environment={**spec.environment, "SENSORIUM_DATA": scratch})
            for spec in service_specs(SERVICES, addresses, http)
        ]
        async with Supervisor(specs, Path(scratch)) as supervisor:
            await wait_for(addresses, say, None, supervisor)
            processes = {state.name: psutil.Process(state.pid) for state in supervisor.states if state.pid}
            screen = SharedScreen(changes, rate_hz)
            connection, session_id = await _connected(http, screen)
            watching = asyncio.create_task(_watched(addresses["gateway"], session_id))
            try:
                await asyncio.sleep(WARM_UP_S)
                before = {name: _cpu_s(process) for name, process in processes.items()}
                await asyncio.sleep(changes[-1].at_s + REST_S - WARM_UP_S)
                spent = {name: _cpu_s(process) - before[name] for name, process in processes.items()}
            finally:
                watching.cancel()
                await connection.close()
            seen = await watching
    length_s = changes[-1].at_s + REST_S - WARM_UP_S
    return [(at_s - screen.begun_s, texts) for at_s, texts in seen], {k: v / length_s for k, v in spent.items()}


async def _connected(http: str, screen: SharedScreen) -> tuple[RTCPeerConnection, str]:
    aiortc.codecs.vpx.DEFAULT_BITRATE = aiortc.codecs.vpx.MAX_BITRATE = BITRATE
    # The gateway listens on loopback, which aioice leaves out by itself.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    connection = RTCPeerConnection()
    connection.addTrack(Speech())
    connection.addTrack(screen)
    connection.createDataChannel("status")
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer", "language": "en"}
    async with httpx2.AsyncClient() as client:
        answer = (await client.post(f"http://{http}/api/rtc", json=offer, timeout=60)).raise_for_status().json()
    await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    return connection, str(answer["session_id"])


async def _watched(address: str, session_id: str) -> list[tuple[float, list[str]]]:
    """What came until it is cancelled."""
    seen = []
    with suppress(asyncio.CancelledError):
        async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
            stub = session_pb2_grpc.SessionServiceStub(channel)
            async for response in stub.Watch(session_pb2.WatchRequest(session_id=session_id)):
                if response.event.HasField("screen"):
                    texts = [region.text for region in response.event.screen.regions]
                    seen.append((time.monotonic(), texts))
    return seen


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def as_markdown(by_kind: dict[str, list[float | None]], spent: dict[str, float], rate_hz: int) -> str:
    """The table, and what it cost."""
    machine = describe_machine()
    lines = [
        "# From a change on the screen to its text, over WebRTC",
        "",
        f"`python -m benchmarks.screen_latency --rate {rate_hz}`; {machine['date']}, commit "
        f"{machine['commit'] or 'unknown'}, {machine['processor']}, {machine['cores']} cores, load before the run "
        f"{machine['load_before']}. One stream of speech beside it; `docs/benchmarks.md` says how to read it.",
        "",
        "| change | n | never shown | p50 | p95 |",
        "|---|---|---|---|---|",
    ]
    for kind, each in by_kind.items():
        came = [latency for latency in each if latency is not None]
        p50, p95 = (f"{np.percentile(came, share):.2f} s" if came else "–" for share in (50, 95))
        lines.append(f"| {kind} | {len(each)} | {len(each) - len(came)} | {p50} | {p95} |")
    shares = ", ".join(f"{name} {share:.2f}" for name, share in spent.items())
    return "\n".join([*lines, "", f"Processor seconds per second meanwhile: {shares}.", ""])


def main() -> None:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screen_latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE_HZ, help="pictures a second that the page sends")
    flags = parser.parse_args()
    models.fetch(models.ENGLISH)
    with new_tab() as tab:
        changes = plan(Screen(tab, SEED, STYLES[1]), Random(SEED))
    seen, spent = asyncio.run(run(changes, flags.rate))
    table = as_markdown(latencies_s(changes, seen), spent, flags.rate)
    (RESULTS / "screen-latency.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
