"""What all calls in OpenAI's manner share: their errors, their streams, and giving up when the client goes away.

Errors have OpenAI's shape: {"error": {"message", "type", "param", "code"}}.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from services.runtime.errors import ConflictError, DrainingError, NotFoundError, failed_call
from services.runtime.stage import MediaError, OverloadedError

T = TypeVar("T")
log = logging.getLogger(__name__)

FRESH = {"cache-control": "no-store"}


class FieldError(MediaError):
    """A field of a request is wrong; `code` is OpenAI's word for how."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is given up when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499, "the client went away")
        return task.result()
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.wait((task, gone))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def begun(stream: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The same stream after its first piece has come. Raises what comes before it."""
    first = await anext(stream)

    async def whole() -> AsyncGenerator[str]:
        async with aclosing(stream):
            yield first
            try:
                async for piece in stream:
                    yield piece
            except Exception as error:  # the top of a stream that has begun: it ends with an error
                yield sse(json.loads(bytes(refusal(error).body)))

    return whole()


def sse(data: Any) -> str:
    """One Server-Sent Event of JSON."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def refusal(error: Exception) -> JSONResponse:
    """The answer to a call that failed."""
    headers = {}
    if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        error = failed_call(error, "a service is busy; try again")
    match error:
        case MediaError():
            status, message = 400, str(error)
        case OverloadedError():
            status, message = 429, str(error)
            headers["retry-after"] = str(max(1, round(error.retry_after_s)))
        case DrainingError():
            status, message = 503, str(error)
        case TimeoutError():
            status, message = 503, "a service does not answer in time; try again"
        case NotFoundError():
            status, message = 404, str(error)
        case ConflictError():
            status, message = 409, str(error)
        case HTTPException():
            status, message = error.status_code, error.detail
        case grpc.aio.AioRpcError():
            status = 400 if error.code() is grpc.StatusCode.INVALID_ARGUMENT else 503
            message = error.details() or error.code().name
        case _:
            log.error("call failed", exc_info=error)
            status, message = 500, "internal error"
    kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    param, code = (error.param, error.code) if isinstance(error, FieldError) else (None, None)
    body = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": body}, status, headers)
