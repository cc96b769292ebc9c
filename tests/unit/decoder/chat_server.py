"""A local OpenAI-compatible server: POST /v1/chat/completions over real HTTP, chunked as uvicorn sends it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

Answer = Callable[[list[dict[str, str]]], Awaitable[str | Response]]


@dataclass
class ChatServer:
    """Where it listens, the bodies that it got as they came, and their headers."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def chat_server(answer: Answer) -> AsyncIterator[ChatServer]:
    """Serve chat completions whose text `answer(messages)` gives, or whole responses of its own."""
    server, app = ChatServer(), FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.body()
        server.bodies.append(body)
        server.headers.append(dict(request.headers))
        asked = json.loads(body)
        text = await answer(asked["messages"])
        if isinstance(text, Response):
            return text
        message = {"role": "assistant", "content": text}
        whole = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
        pieces = JSONResponse(whole).body
        halves = iter((bytes(pieces[:50]), bytes(pieces[50:])))
        return StreamingResponse(halves, media_type="application/json")

    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    runner = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
    served = asyncio.create_task(runner.serve([listener]))
    try:
        yield server
    finally:
        runner.should_exit = True
        await served
        listener.close()
