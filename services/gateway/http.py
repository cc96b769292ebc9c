"""The gateway over HTTP: the page, its WebRTC offers, kept sessions, live events (Server-Sent Events).

Everything but the page's own files is guarded: the Host header must name this machine or a
configured host (a foreign name that resolves to loopback is DNS rebinding), and a browser must come
from the gateway's own origin or a configured one. Programs without an Origin header are welcome.
Errors are JSON: {"error": {"code", "message"}}.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import grpc
from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from google.protobuf.json_format import MessageToDict
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protos.session.v1 import session_pb2
from services.gateway import answers, formats, importing, minutes, openai_audio, openai_chat, transcript
from services.gateway.answer_schema import compiled
from services.gateway.follow_ups import Turn
from services.gateway.seen import seen_json
from services.gateway.service import voice_to_proto
from services.gateway.session import DECODER_AWAY, EXPERTS
from services.gateway.sessions import Sessions
from services.gateway.webrtc import OfferError, Peers
from services.runtime.errors import ConflictError, DrainingError, NotFoundError, failed_call
from services.runtime.phrases import MAX_CHARS, MAX_PHRASES
from services.runtime.queries import MAX_QUERIES, MAX_QUERY_CHARS
from services.runtime.stage import MediaError, OverloadedError

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY_BYTES = 256 * 1024
MAX_UPLOAD_BYTES = 512 * 1024 * 1024
# A silent event stream says this often that it is alive, so that both ends notice a dead one.
KEEPALIVE_S = 15.0
LIST_LIMIT = 200
# As far as the store counts.
MAX_SEQ = 2**63 - 1
IMPORT_PATH = "/api/sessions/import"
SEE_PATH = "/api/see"

# Bodies that may be larger than others.
_LIMITS = {
    IMPORT_PATH: importing.MAX_FILE_BYTES,
    openai_chat.PATH: openai_chat.MAX_BODY_BYTES,
    SEE_PATH: openai_chat.MAX_BODY_BYTES,
}
_STATUS = {
    MediaError: (400, "invalid_argument"),
    OfferError: (400, "invalid_argument"),
    NotFoundError: (404, "not_found"),
    ConflictError: (409, "already_exists"),
    OverloadedError: (429, "resource_exhausted"),
    DrainingError: (503, "unavailable"),
}
_HEADERS = {
    # No script, style, picture or connection but our own; nobody may frame the page.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "permissions-policy": "microphone=(self), display-capture=(self)",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


_Phrase = Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
_Query = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]


class Offer(BaseModel):
    """What a page sends to begin or to go on; `peer_id` is its own earlier connection, if any."""

    model_config = ConfigDict(extra="forbid")
    sdp: str = Field(min_length=1, max_length=200_000)
    type: str = Field(pattern="^offer$")
    session_id: str = Field("", max_length=200)
    peer_id: str = Field("", max_length=200)
    title: str = Field("", max_length=200)
    language: str = Field("", max_length=35)
    experts: list[str] = Field(default_factory=list, max_length=16)
    escalation: str = Field("", max_length=10)
    phrases: list[_Phrase] = Field(default_factory=list, max_length=MAX_PHRASES)
    queries: list[_Query] = Field(default_factory=list, max_length=MAX_QUERIES)


class Phrases(BaseModel):
    """The names and terms to expect from now on."""

    model_config = ConfigDict(extra="forbid")
    phrases: list[_Phrase] = Field(max_length=MAX_PHRASES)


class Queries(BaseModel):
    """What to find on the screen from now on."""

    model_config = ConfigDict(extra="forbid")
    queries: list[_Query] = Field(max_length=MAX_QUERIES)


class Picture(BaseModel):
    """A picture in base64, and what to look for in it: tasks, queries or both."""

    model_config = ConfigDict(extra="forbid")
    image: Base64Bytes
    tasks: list[str] = Field(default_factory=list, max_length=16)
    queries: list[_Query] = Field(default_factory=list, max_length=MAX_QUERIES)


class Earlier(BaseModel):
    """A question that was asked before, and the text of its answer."""

    model_config = ConfigDict(extra="forbid")
    question: str = Field(min_length=1, max_length=2000)
    answer: str = Field("", max_length=20_000)


class Question(BaseModel):
    """A question; with a `question_id` the answer comes as events that carry it, else as the response.

    With a JSON Schema (`schema`) its text is JSON of that shape. It may go on from `earlier` ones, the last one last.
    """

    model_config = ConfigDict(extra="forbid")
    question_id: str = Field("", max_length=100)
    text: str = Field(min_length=1, max_length=2000)
    escalation: str = Field("", max_length=10)
    shape: dict[str, Any] | None = Field(None, alias="schema")
    earlier: list[Earlier] = Field(default_factory=list, max_length=20)


class Name(BaseModel):
    """A speaker gets a name."""

    model_config = ConfigDict(extra="forbid")
    speaker: str = Field(min_length=1, max_length=100)
    name: str = Field(max_length=200)


class Undo(BaseModel):
    """A phrase is taken back; `word` is the place of one of its words in the utterance, from 0."""

    model_config = ConfigDict(extra="forbid")
    utterance_id: str = Field(min_length=1, max_length=200)
    word: int = Field(ge=0)


class NewVoice(BaseModel):
    """A speaker of a session is to be remembered; `consent_by` said yes."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=200)
    session_id: str = Field(min_length=1, max_length=200)
    speaker: str = Field(min_length=1, max_length=100)
    consent_by: str = Field(max_length=1000)
    replace: bool = False


def new_app(
    sessions: Sessions,
    *,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    ice_addresses: Sequence[str] = ("127.0.0.1",),
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
) -> FastAPI:
    """The ASGI application for uvicorn.

    `allowed_hosts` are names without port beside loopback; `allowed_origins` are whole origins
    ("https://meet.example.org") beside the gateway's own; media sockets are bound to `ice_addresses`.
    Set `app.state.stopping` before the server stops: event streams end then, else they last for ever.
    """
    peers = Peers(sessions, ice_addresses)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await peers.close()

    app = FastAPI(title="Sensorium", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.stopping = asyncio.Event()
    app.add_middleware(_Guard, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)
    _answer_errors_in_json(app)
    _add_page(app)
    _add_media(app, sessions, peers)
    _add_sessions(app, sessions, app.state.stopping)
    _add_voices(app, sessions)
    openai_audio.add_openai_audio(app, sessions, max_upload_bytes)
    openai_chat.add_openai_chat(app, sessions)
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC))


def _add_media(app: FastAPI, sessions: Sessions, peers: Peers) -> None:
    @app.post("/api/rtc")
    async def offer(offer: Offer) -> dict[str, str]:
        """Answer a page's WebRTC offer; its media go into a new or a named session."""
        config = session_pb2.LiveConfig(
            session_id=offer.session_id,
            title=offer.title,
            language=offer.language,
            experts=offer.experts,
            phrases=[session_pb2.Phrase(text=phrase) for phrase in offer.phrases],
            queries=offer.queries,
            pace=session_pb2.PACE_LIVE,
            escalation=answers.parse_policy(offer.escalation),
        )
        peer, sdp = await peers.answer(offer.sdp, config, offer.peer_id)
        return {"sdp": sdp, "type": "answer", "session_id": peer.session.id, "peer_id": peer.peer_id}

    @app.delete("/api/rtc/{peer_id}")
    async def leave(peer_id: str) -> dict[str, str]:
        """Hang up; the session can be gone on with."""
        await peers.leave(peer_id)
        return {}

    @app.post("/api/sessions/{session_id}/finish")
    async def finish(session_id: str) -> dict[str, str]:
        """End of media: everything pending is written down, then the session has ended."""
        peer = peers.of_session(session_id)
        if peer is None:
            session = await sessions.open(session_pb2.LiveConfig(session_id=session_id))
            try:
                await session.finish()
            finally:
                await sessions.release(session)
        else:
            await peers.finish(peer)
        return {}

    @app.post(SEE_PATH)
    async def see(picture: Picture) -> dict[str, Any]:
        """What is on a picture, as `sensorium see` tells it."""
        request = session_pb2.SeeRequest(image=picture.image, tasks=picture.tasks, queries=picture.queries)
        try:
            return seen_json(await sessions.see(request))
        except grpc.aio.AioRpcError as error:
            raise failed_call(error, "vision does not answer now; ask again in a moment") from error

    @app.get("/api/sessions/{session_id}/frames/{frame_id}")
    async def frame(session_id: str, frame_id: str) -> Response:
        """A recent picture of the screen."""
        image = await sessions.frame(session_id, frame_id)
        return Response(image, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _add_sessions(app: FastAPI, sessions: Sessions, stopping: asyncio.Event) -> None:
    @app.get("/api/sessions")
    async def list_sessions(limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50) -> dict[str, Any]:
        """Kept sessions, newest first."""
        summaries, _ = await sessions.summaries(limit)
        return {"sessions": [_json(summary) for summary in summaries]}

    @app.post(IMPORT_PATH, status_code=201)
    async def import_session(
        request: Request,
        title: Annotated[str, Query(max_length=importing.MAX_TITLE_CHARS)] = "",
        language: Annotated[str, Query(max_length=importing.MAX_LANGUAGE_CHARS)] = "",
    ) -> dict[str, Any]:
        """Keep what another tool wrote down; the body is the file as it is."""
        return _json(await sessions.import_file(await request.body(), title, language))

    @app.get("/api/sessions/{session_id}")
    async def summary(session_id: str) -> dict[str, Any]:
        """One kept session."""
        return _json(await sessions.summary(session_id))

    @app.delete("/api/sessions/{session_id}")
    async def delete(session_id: str) -> dict[str, str]:
        """Forget a session for good."""
        await sessions.delete(session_id)
        return {}

    @app.get("/api/sessions/{session_id}/events")
    async def events(
        session_id: str,
        after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
        last_event_id: Annotated[str, Header()] = "",
    ) -> StreamingResponse:
        """What is kept after a number, then what happens, as Server-Sent Events."""
        # A browser's own word for `after` when it connects again; what no gateway can have sent says nothing.
        if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < len(str(MAX_SEQ)):
            after = int(last_event_id)
        await sessions.summary(session_id)
        stream = _as_sse(sessions.watch(session_id, after, follow=True), stopping)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @app.post("/api/sessions/{session_id}/ask", status_code=202)
    async def ask(session_id: str, question: Question, response: Response) -> dict[str, Any]:
        """Ask; the answer comes as events, or as the response when there is no `question_id`."""
        escalation = answers.parse_policy(question.escalation)
        form = compiled(question.shape, question.text) if question.shape is not None else None
        earlier = [Turn(before.question, before.answer) for before in question.earlier]
        if question.question_id:
            if form is not None:
                raise MediaError("an answer in the shape of a schema comes as the response; leave question_id out")
            await sessions.question(session_id, question.question_id, question.text, escalation, earlier)
            return {"question_id": question.question_id}
        try:
            answer = await answers.whole_answer(sessions.ask(session_id, question.text, escalation, form, earlier))
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            raise failed_call(error, DECODER_AWAY) from error
        response.status_code = 200
        return answers.answer_json(answer)

    @app.post("/api/sessions/{session_id}/names")
    async def rename(session_id: str, name: Name) -> dict[str, str]:
        """Give a speaker a name."""
        await sessions.rename(session_id, name.speaker, name.name.strip())
        return {}

    @app.post("/api/sessions/{session_id}/undo")
    async def undo(session_id: str, undo: Undo) -> dict[str, str]:
        """Put back what was heard before a phrase took its place."""
        await sessions.undo(session_id, undo.utterance_id, undo.word)
        return {}

    @app.put("/api/sessions/{session_id}/phrases")
    async def set_phrases(session_id: str, phrases: Phrases) -> dict[str, str]:
        """Listen for other names and terms from now on."""
        await sessions.set_phrases(session_id, [session_pb2.Phrase(text=phrase) for phrase in phrases.phrases])
        return {}

    @app.put("/api/sessions/{session_id}/queries")
    async def set_queries(session_id: str, queries: Queries) -> dict[str, str]:
        """Find other things on the screen from now on."""
        await sessions.set_queries(session_id, queries.queries)
        return {}

    @app.get("/api/sessions/{session_id}/export")
    async def export(session_id: str, format: str = "txt") -> Response:
        """The session as a file."""
        if format not in formats.FORMATS:
            raise MediaError(f"format is {format!r}, must be one of {', '.join(formats.FORMATS)}")
        summary = await sessions.summary(session_id)
        kept = [event async for event in sessions.store.events(session_id)]
        title = summary.title

        def write() -> str:
            document = transcript.fold(kept, session_id=session_id, title=title)
            return formats.render(document, format)

        text = await asyncio.to_thread(write)
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in title or session_id).strip("-") or "session"
        return Response(
            text,
            media_type=f"{formats.FORMATS[format].media_type}; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{name}.{format}"'},
        )

    @app.get("/api/sessions/{session_id}/minutes")
    async def get_minutes(session_id: str, format: str = "json") -> Response:
        """Minutes as far as the session is."""
        if format not in minutes.FORMATS:
            raise MediaError(f"format is {format!r}, must be one of {', '.join(minutes.FORMATS)}")
        try:
            text = minutes.render(await sessions.minutes(session_id), format)
        except grpc.aio.AioRpcError as error:
            raise failed_call(error, "the decoder does not answer now; try again in a moment") from error
        return Response(text, media_type=f"{minutes.FORMATS[format]}; charset=utf-8")

    @app.get("/api/status")
    async def status() -> dict[str, Any]:
        """Which services answer."""
        answering = {described.service for described in await sessions.describe_all()}
        return {"services": [{"name": name, "is_available": name in answering} for name in (*EXPERTS, "decoder")]}


def _add_voices(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/api/voices")
    async def list_voices() -> dict[str, Any]:
        """Remembered voices, by name."""
        return {"voices": [_json(voice_to_proto(voice)) for voice in sessions.voices.known]}

    @app.post("/api/voices", status_code=201)
    async def add(voice: NewVoice) -> dict[str, Any]:
        """Remember how a speaker of a session sounds."""
        request = session_pb2.AddVoiceRequest(
            name=voice.name,
            speaker=session_pb2.SessionSpeaker(session_id=voice.session_id, speaker=voice.speaker),
            consent_by=voice.consent_by,
            replace=voice.replace,
        )
        return _json(voice_to_proto(await sessions.add_voice(request)))

    # A name may hold a slash.
    @app.delete("/api/voices/{name:path}")
    async def delete(name: str) -> dict[str, str]:
        """Forget a voice for good."""
        await sessions.delete_voice(name)
        return {}


async def _as_sse(events: AsyncIterator[session_pb2.Event], stopping: asyncio.Event) -> AsyncIterator[str]:
    """`id:` is the event's number, so that a browser that reconnects says where it was."""
    iterator = aiter(events)
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
    pending: asyncio.Future[Any] = asyncio.ensure_future(anext(iterator))
    try:
        yield "retry: 1000\n\n"
        while not stopping.is_set():
            await asyncio.wait([pending, stopped], timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if not pending.done():
                yield ": alive\n\n"
                continue
            try:
                event: session_pb2.Event = pending.result()
            except StopAsyncIteration:
                return
            pending = asyncio.ensure_future(anext(iterator))
            number = f"id: {event.seq}\n" if event.seq else ""
            yield f"{number}data: {json.dumps(_json(event), ensure_ascii=False)}\n\n"
    finally:
        for task in (pending, stopped):
            task.cancel()
        await asyncio.wait([pending, stopped])


def _json(message: Any) -> dict[str, Any]:
    return dict(MessageToDict(message, preserving_proto_field_name=True))


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def _problem(problem: dict[str, Any]) -> str:
    """One thing that is wrong with a request, and where, as a sentence."""
    where, message = ".".join(str(part) for part in problem["loc"][1:]), problem["msg"]
    if problem["type"] == "json_invalid":
        return f"the body is not JSON: {problem.get('ctx', {}).get('error', message)} at character {where}"
    return f"{where or 'body'}: {message}"


def _answer_errors_in_json(app: FastAPI) -> None:
    async def known(request: Request, error: Exception) -> Response:
        status, code = next(answer for kind, answer in _STATUS.items() if isinstance(error, kind))
        headers = {}
        if isinstance(error, OverloadedError):
            headers["retry-after"] = str(max(1, round(error.retry_after_s)))
        return _error(status, code, str(error), headers)

    async def plain(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        codes = {404: "not_found", 405: "method_not_allowed"}
        message = {404: f"nothing is at {request.url.path}"}.get(status, getattr(error, "detail", "internal error"))
        return _error(status, codes.get(status, "http_error"), str(message))

    async def invalid(request: Request, error: Exception) -> Response:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        texts = [_problem(p) for p in problems[:5]]
        return _error(400, "invalid_argument", "; ".join(texts) or "the request is not valid")

    for kind in _STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(RequestValidationError, invalid)


class _Guard:
    """Refuses foreign hosts, foreign origins and large bodies; adds the security headers."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]) -> None:
        self._app = app
        self._hosts = {*LOOPBACK_HOSTS, *(host.lower() for host in allowed_hosts)}
        self._origins = {origin.lower().rstrip("/") for origin in allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in _HEADERS.items()),
                ]
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        # Uploads of sound have a limit of their own.
        limit = None if scope["path"] == openai_audio.PATH else _LIMITS.get(scope["path"], MAX_BODY_BYTES)
        await self._app(scope, receive if limit is None else _bounded(receive, limit), send_guarded)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        host = headers.get("host", "").lower()
        if _without_port(host) not in self._hosts:
            return _error(
                403,
                "permission_denied",
                f"this gateway is not called {host!r}; open it as 127.0.0.1 or add the name to its allowed hosts",
            )
        origin = headers.get("origin", "").lower()
        if origin and origin not in (f"http://{host}", f"https://{host}", *self._origins):
            return _error(403, "permission_denied", f"a page at {origin!r} may not use this gateway")
        if not origin and headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            # Browsers leave Origin out of plain GETs, such as pictures that a foreign page embeds.
            if not (scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"):
                return _error(403, "permission_denied", "a page of another site may not use this gateway")
        if scope["path"] == openai_audio.PATH:
            return None
        if scope["method"] == "POST" and scope["path"] != IMPORT_PATH:
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                return _error(415, "invalid_argument", "the body must be JSON, with content-type application/json")
        limit = _LIMITS.get(scope["path"], MAX_BODY_BYTES)
        if int(headers["content-length"] if headers.get("content-length", "").isdigit() else 0) > limit:
            return _error(413, "invalid_argument", f"the body is larger than {limit} bytes")
        return None


def _bounded(receive: Receive, limit: int) -> Receive:
    """A body without Content-Length is cut off at the same limit."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes")
        return message

    return bounded


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
