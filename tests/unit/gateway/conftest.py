"""The gateway's app as a browser reaches it, over a real store; no expert answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvicorn

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway import http
from services.gateway.sessions import Sessions
from services.gateway.store import Store
from services.gateway.voices import Voices
from tools.supervisor import free_addresses

WORDS = ["I", "really", "liked", "that", "account."]


@dataclass
class Gateway:
    """A served app over a real store; no expert answers, each would at its place in `addresses`."""

    sessions: Sessions
    client: httpx2.AsyncClient
    url: str
    stopping: asyncio.Event
    addresses: dict[str, str]


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    names = ("asr", "diarization", "vision", "decoder")
    addresses = dict(zip(names, free_addresses(len(names)), strict=True))
    for name, address in addresses.items():
        monkeypatch.setenv(f"SENSORIUM_{name.upper()}_ADDRESS", address)
    async with AsyncExitStack() as stack:
        store = await Store.open(tmp_path / "sessions.db")
        stack.push_async_callback(store.close)
        voices = await Voices.open(tmp_path / "voices.db")
        stack.push_async_callback(voices.close)
        sessions = await Sessions.connect(store, voices, 1, stack)
        stack.push_async_callback(sessions.close)
        app = http.new_app(sessions, allowed_hosts=["meet.example"], allowed_origins=["https://board.example"])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        # It listens before the server runs: who connects early waits.
        listener = socket.create_server(("127.0.0.1", 0))
        served = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
            yield Gateway(sessions, client, url, app.state.stopping, addresses)
        app.state.stopping.set()
        server.should_exit = True
        await served


@pytest.fixture
async def kept(gateway: Gateway) -> str:
    """A kept session with one utterance of a named speaker."""
    stored = await gateway.sessions.store.create("kept", pb.LiveConfig(title="Räte & co"))
    feed = await gateway.sessions.feed(stored.id)
    words = [media_pb2.Word(text=w, start_sample=i * 4000, end_sample=i * 4000 + 3000) for i, w in enumerate(WORDS)]
    said = media_pb2.Transcript(
        utterance_id="u1", is_final=True, end_sample=20_000, words=words, language="en", speaker="S1"
    )
    await feed.append(pb.Event(utterance=said), "u1")
    await gateway.sessions.rename(stored.id, "S1", "Priya")
    await feed.append(pb.Event(ended=pb.Ended(end_sample=32_000)), "ended")
    return stored.id
