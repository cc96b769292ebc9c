"""`POST /v1/chat/completions` as OpenAI's clients call it: questions about a session, or about what is attached.

What is served, what does nothing and what is refused stands in docs/openai.md. Words on a screen or in speech are
quoted at most: which expert runs is told by the caller's own messages alone.
"""

import asyncio
import base64
import binascii
import io
import json
import re
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway import document, media
from services.gateway.answer_schema import Form, compiled
from services.gateway.answers import answer_json
from services.gateway.follow_ups import Turn
from services.gateway.formats import document_json
from services.gateway.openai_wire import FRESH, FieldError, begun, refusal, sse, unless_gone
from services.gateway.passing import heard, in_thread, pcm
from services.gateway.seen import seen_json
from services.gateway.session import check_question
from services.gateway.sessions import Sessions
from services.gateway.transcript import fold
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE
from services.runtime.queries import parse_queries
from services.runtime.stage import MediaError
from services.runtime.streams import Streams

PATH = "/v1/chat/completions"
MODEL = "sensorium"
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_MESSAGES, MAX_TEXT_CHARS, MAX_ATTACHMENTS = 1_000, 100_000, 16
MAX_DOCUMENT_PAGES = 50
# What each word in <task> runs: an expert and its task. Of FIND the text beside it says what to find, a query a line.
FIND = "open_vocabulary_detection"
TASKS = {
    "ocr": ("vision", "ocr"),
    "gui_detection": ("vision", "gui"),
    "object_detection": ("vision", "objects"),
    FIND: ("vision", "queries"),
    "speech_to_text": ("asr", "speech_to_text"),
}
# Settings of models that guess: the answers here are the same every time. And who asks, which nobody keeps.
HINTS = {
    *("temperature", "top_p", "seed", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty"),
    *("user", "safety_identifier", "service_tier", "verbosity", "reasoning_effort", "prompt_cache_key"),
}
SERVED = {"model", "messages", "metadata", "stream", "stream_options", "response_format"}
# Fields of OpenAI's that are not served, and the values of them that ask for nothing.
UNSERVED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "stop": ([],),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "store": (False,),
    "web_search_options": (),
}
_TASK = re.compile(r"<task>([^<>]{1,40})</task>", re.IGNORECASE)
_DATA_URL = re.compile(r"data:([\w.+/-]*)(?:;[\w=.-]+)*;base64,", re.ASCII)
_UNIT = re.compile(r"\w+|[^\w\s]")
_SCREEN_SAMPLES = SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture ("image"), recording ("audio") or PDF ("document") of a message; `param`: its place in the request."""

    kind: str
    data: bytes
    param: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What one call asks for, checked. `task` is a key of TASKS or empty, `queries` are FIND's; `form` shapes JSON."""

    session_id: str
    question: str
    task: str
    queries: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    is_streamed: bool
    has_usage: bool
    form: Form | None
    prompt_units: int
    earlier: tuple[Turn, ...]


@dataclass(slots=True)
class Reply:
    """What comes of a call: the text, what every expert used gave for it, and what is wrong with the attachments."""

    text: str = ""
    precontext: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def beside(self) -> dict[str, Any]:
        """What stands beside `choices` in the last of the answer."""
        return {"precontext": self.precontext, **({"warnings": self.warnings} if self.warnings else {})}


def add_openai_chat(app: FastAPI, sessions: Sessions) -> None:
    """Serve PATH and the list of models."""
    calls = Streams(sessions.max_sessions)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The one model there is for OpenAI's clients."""
        return {"object": "list", "data": [_MODEL]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        """One model."""
        return JSONResponse(_MODEL) if name == MODEL else _refusal(_no_model(name))

    @app.post(PATH)
    async def completions(request: Request) -> Response:
        """Answer the last message of a conversation."""
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(calls.admit())
                asked = await asyncio.to_thread(_read, await request.body())
                head = _head()
                if not asked.is_streamed:
                    reply = await unless_gone(request, _whole(sessions, asked))
                    return JSONResponse(_completion(head, asked, reply))
                stream = _stream(sessions, asked, head, stack.pop_all())
                # What is wrong shows before the first words, and then gets a status of its own.
                return StreamingResponse(await begun(stream), media_type="text/event-stream", headers=FRESH)
        except Exception as error:  # the top of a call: every failure becomes a status
            return _refusal(error)


_MODEL = {"id": MODEL, "object": "model", "created": 0, "owned_by": "sensorium"}


def _no_model(name: str) -> FieldError:
    return FieldError(f"there is no model {name[:80]!r}; it is called {MODEL}", "model", "model_not_found")


def _refusal(error: Exception) -> JSONResponse:
    answer = refusal(error)
    if isinstance(error, FieldError) and error.code == "model_not_found":
        answer.status_code = 404
    return answer


# -- the request ------------------------------------------------------------------------------------


def _read(body: bytes) -> Asked:
    """Raises FieldError."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FieldError("the body is not JSON", "body", "invalid_json") from error
    if not isinstance(given, dict):
        raise FieldError("the body must be a JSON object", "body", "invalid_json")
    given = {name: value for name, value in given.items() if value is not None}
    _check_names(given)
    session_id = _session(given)
    texts, attachments = _messages(given.get("messages"))
    question = texts[-1]
    tasks = list(dict.fromkeys(name.strip().lower() for name in _TASK.findall(question)))
    beside = _TASK.sub("\n", question)
    question = " ".join(beside.split())
    if len(tasks) > 1:
        raise FieldError(f"there are {len(tasks)} tasks, {', '.join(tasks)}; ask for one at a time", "messages")
    if tasks and tasks[0] not in TASKS:
        raise FieldError(f"there is no task {tasks[0]!r}; tasks are {', '.join(TASKS)}", "messages")
    task = tasks[0] if tasks else ""
    if bool(session_id) == bool(attachments):
        raise FieldError(
            "a conversation is about one session (model sensorium/ID, or metadata {'session': ID}) or about what is "
            f"attached; here are {'both' if session_id else 'neither'}",
            "messages",
        )
    if task and session_id:
        raise FieldError("a <task> needs an attached picture or recording; of a session ask a question", "messages")
    if not task:
        _check_question(question)
    queries = _queries(beside) if task == FIND else ()
    form = _form(given.get("response_format"), question)
    if task and form:
        raise FieldError("a <task> gives JSON of its own shape; leave response_format out", "response_format")
    stream = given.get("stream", False)
    options = given.get("stream_options", {})
    if not isinstance(stream, bool):
        raise FieldError(f"stream is {stream!r}, must be true or false", "stream", "invalid_type")
    if not isinstance(options, dict) or (options and not stream):
        raise FieldError("stream_options is an object that goes with stream: true", "stream_options", "invalid_type")
    return Asked(
        session_id=session_id,
        question=question,
        task=task,
        queries=queries,
        attachments=tuple(attachments),
        is_streamed=stream,
        has_usage=bool(options.get("include_usage")),
        form=form,
        prompt_units=sum(map(_units, texts)),
        earlier=tuple(_turns([message["role"] for message in given["messages"]], texts)),
    )


def _check_names(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in UNSERVED and value not in UNSERVED[name]:
            raise FieldError(f"{name} is not served here; leave it out", name, "unsupported_parameter")
        if name not in SERVED | HINTS | UNSERVED.keys():
            raise FieldError(f"there is no parameter {name[:80]!r}; leave it out", name[:80], "unknown_parameter")


def _session(given: Mapping[str, Any]) -> str:
    model, metadata = given.get("model"), given.get("metadata", {})
    if not isinstance(model, str) or not model:
        raise FieldError(f"model is missing; it is called {MODEL}", "model", "missing_required_parameter")
    name, _, session_id = model.partition("/")
    if name != MODEL:
        raise _no_model(model)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("session", ""), str):
        raise FieldError("metadata must be an object of texts; session is the ID of one", "metadata", "invalid_type")
    return session_id or str(metadata.get("session", ""))


def _messages(messages: object) -> tuple[list[str], list[Attachment]]:
    """The texts of all messages, the last the user's, and what users attached."""
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        raise FieldError(f"messages must be a list of 1 to {MAX_MESSAGES}", "messages", "invalid_type")
    texts: list[str] = []
    attachments: list[Attachment] = []
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant"):
            raise FieldError(f"role is {role!r}, must be system, developer, user or assistant", f"{param}.role")
        content = message.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise FieldError("content must be a text or a list of parts", f"{param}.content", "invalid_type")
        said = []
        for place, part in enumerate(parts):
            where = f"{param}.content[{place}]"
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                said.append(part["text"])
            elif role == "user":
                attachments.append(_attachment(part, where))
            else:
                raise FieldError(f"a message of {role} holds text only", where, "invalid_value")
        texts.append("\n".join(said))
        if (length := sum(map(len, texts))) > MAX_TEXT_CHARS:
            raise FieldError(f"the texts have {length} characters, must have {MAX_TEXT_CHARS} or fewer", "messages")
    if messages[-1]["role"] != "user":
        raise FieldError("the last message must be the user's", f"messages[{len(messages) - 1}].role", "invalid_value")
    if len(attachments) > MAX_ATTACHMENTS:
        raise FieldError(f"{len(attachments)} attachments, must be {MAX_ATTACHMENTS} or fewer", "messages")
    return texts, attachments


def _turns(roles: Sequence[str], texts: Sequence[str]) -> Iterator[Turn]:
    """Earlier questions, each with what the assistant said to it."""
    for (role, text), (next_role, answer) in pairwise(zip(roles, texts, strict=True)):
        if role == "user" and text.strip() and not _TASK.search(text):
            yield Turn(text.strip(), answer if next_role == "assistant" else "")


def _attachment(part: Mapping[str, Any], where: str) -> Attachment:
    kind = part.get("type")
    inside = part.get(str(kind))
    if not isinstance(inside, dict):
        raise FieldError(f"a part of type {str(kind)[:40]!r} cannot be read", where, "invalid_type")
    match kind:
        case "image_url":
            url = inside.get("url")
            match = _DATA_URL.match(url) if isinstance(url, str) else None
            if match is None or not isinstance(url, str):
                message = "nothing is fetched from here: give the picture itself as data:image/png;base64,..."
                raise FieldError(message, f"{where}.image_url.url", "invalid_image_url")
            return Attachment("image", _bytes(url[match.end() :], f"{where}.image_url.url"), where)
        case "input_audio":
            if inside.get("format") not in ("wav", "mp3"):
                raise FieldError("format must be wav or mp3", f"{where}.input_audio.format", "invalid_value")
            return Attachment("audio", _bytes(inside.get("data"), f"{where}.input_audio.data"), where)
        case "file":
            return Attachment("document", _document(inside, where), where)
        case _:
            raise FieldError(f"a part of type {str(kind)[:40]!r} is not served", where, "invalid_value")


def _document(inside: Mapping[str, Any], where: str) -> bytes:
    """A PDF out of a part's `file`."""
    given = inside.get("file_data")
    if not isinstance(given, str):
        message = "files are not kept here: give the PDF itself as file_data, base64 or data:application/pdf;base64,..."
        raise FieldError(message, f"{where}.file.file_data", "unsupported_file")
    match = _DATA_URL.match(given)
    data = _bytes(given[match.end() :] if match else given, f"{where}.file.file_data")
    if not document.is_document(data):
        raise FieldError("of files only PDF is read", f"{where}.file.file_data", "unsupported_file")
    return data


def _bytes(text: object, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as error:
        raise FieldError("this is not base64", where, "invalid_base64") from error
    if not data:
        raise FieldError("there is nothing in it", where, "invalid_base64")
    return data


def _check_question(question: str) -> None:
    try:
        check_question(question)
    except MediaError as error:
        raise FieldError(str(error), "messages") from error


def _queries(text: str) -> tuple[str, ...]:
    try:
        queries = parse_queries(text)
    except MediaError as error:
        raise FieldError(str(error), "messages") from error
    if not queries:
        raise FieldError(f"<task>{FIND}</task> needs what to find, in lines beside it", "messages")
    return queries


def _form(wanted: object, question: str) -> Form | None:
    kind = wanted.get("type") if isinstance(wanted, dict) else "text" if wanted is None else None
    match kind:
        case "text":
            return None
        case "json_object":
            return compiled(_JSON_OBJECT, question)
        case "json_schema" if isinstance(wanted, dict) and isinstance(wanted.get("json_schema"), dict):
            return compiled(wanted["json_schema"].get("schema"), question)
        case _:
            message = "response_format must be {'type': 'text'}, 'json_object' or 'json_schema' with its json_schema"
            raise FieldError(message, "response_format", "invalid_value")


# What json_object gives.
_JSON_OBJECT = {
    "type": "object",
    "required": ["answer", "abstained", "confidence"],
    "properties": {
        "evidence": {
            "type": "array",
            "items": {"type": "object", "required": ["kind", "text", "speaker", "start_s", "end_s", "box"]},
        }
    },
}


# -- the work ---------------------------------------------------------------------------------------


async def _pieces(sessions: Sessions, asked: Asked, reply: Reply) -> AsyncGenerator[str]:
    """Text of the answer as it comes; an empty piece says that evidence has come. Fills `reply`."""
    if asked.task:
        reply.text = await _run_task(sessions, asked, reply)
        yield reply.text
        return
    if asked.session_id:
        parts = sessions.ask(asked.session_id, asked.question, form=asked.form, earlier=asked.earlier)
    else:
        parts = sessions.ask_unkept(await _perceived(sessions, asked, reply), asked.question, asked.form, asked.earlier)
    answer = decoder_pb2.Answer()
    async for part in parts:
        match part.WhichOneof("part"):
            case "evidence":
                yield ""
            case "delta":
                reply.text += part.delta
                yield part.delta
            case "answer":
                answer = part.answer
    told = answer_json(answer)
    reply.precontext.append({"name": "decoder", "result": {**told, "evidence": _scored(told, answer)}})


async def _run_task(sessions: Sessions, asked: Asked, reply: Reply) -> str:
    """What exactly one expert gives, as JSON: a result for every attachment."""
    expert, task = TASKS[asked.task]
    kinds = {"vision": ("image",), "asr": ("audio",)}[expert] + (("document",) if task == "ocr" else ())
    results = []
    for attachment in asked.attachments:
        if attachment.kind not in kinds:
            raise FieldError(f"{asked.task} is for {' or '.join(kinds)}, this is {attachment.kind}", attachment.param)
        if expert == "asr":
            results.append(document_json(fold(await _hear(sessions, attachment, (expert,), reply))))
        else:
            results += [seen_json(seen) async for seen in _see(sessions, attachment, task, asked.queries)]
    reply.precontext += [{"name": expert, "task": asked.task, "result": result} for result in results]
    return json.dumps({"task": asked.task, "results": results}, ensure_ascii=False)


async def _perceived(sessions: Sessions, asked: Asked, reply: Reply) -> list[session_pb2.Event]:
    """Everything that is on the pictures and in the recordings, as events of a session that nobody keeps."""
    events: list[session_pb2.Event] = []
    screens = 0
    for number, attachment in enumerate(asked.attachments, 1):
        if attachment.kind != "audio":
            page = 0
            async for seen in _see(sessions, attachment, "ocr"):
                reply.precontext.append({"name": "vision", "task": "ocr", "result": seen_json(seen)})
                screens, page = screens + 1, page + 1
                where = f"image {number}" if attachment.kind == "image" else f"document {number} page {page}"
                seen.screen.start_sample, seen.screen.frame_id = screens * _SCREEN_SAMPLES, where
                for region in seen.screen.regions:
                    region.region_id = f"{screens}.{region.region_id}"
                events.append(session_pb2.Event(screen=seen.screen))
        else:
            spoken = await _hear(sessions, attachment, ("asr", "diarization"), reply)
            result = document_json(fold(spoken))
            reply.precontext.append({"name": "asr", "task": "speech_to_text", "result": result})
            for event in spoken:
                event.utterance.utterance_id = f"{number}.{event.utterance.utterance_id}"
            events += spoken
    return events


async def _see(
    sessions: Sessions, attachment: Attachment, task: str, queries: Sequence[str] = ()
) -> AsyncGenerator[session_pb2.SeeResponse]:
    """What is on a picture, or on each page of a document: its own text where it has some."""
    if attachment.kind == "image":
        tasks = [] if queries else [task]
        yield await sessions.see(session_pb2.SeeRequest(image=attachment.data, tasks=tasks, queries=queries))
        return
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        await asyncio.to_thread(file.write, attachment.data)
        await asyncio.to_thread(file.flush)
        with closing(document.pages(Path(file.name))) as found:
            while (page := await _next_page(found, attachment)) is not None:
                if page.number > MAX_DOCUMENT_PAGES:
                    message = f"the document has {page.count} pages, must have {MAX_DOCUMENT_PAGES} or fewer"
                    raise FieldError(message, attachment.param, "invalid_value")
                if page.image is not None:
                    yield await sessions.see(session_pb2.SeeRequest(image=page.image, tasks=[task]))
                else:
                    yield _own_text(page)


async def _next_page(found: Generator[document.Page], attachment: Attachment) -> document.Page | None:
    try:
        return await in_thread(partial(next, found, None))
    except MediaError as error:
        raise FieldError(str(error), attachment.param, "invalid_value") from error


def _own_text(page: document.Page) -> session_pb2.SeeResponse:
    """A page as if it had been seen; no expert ran."""
    regions = [
        media_pb2.TextRegion(region_id=f"r{i:06d}", text=line.text, box=wire.box_to_proto(line.box))
        for i, line in enumerate(page.lines)
    ]
    screen = media_pb2.ScreenState(width_px=page.width_px, height_px=page.height_px, regions=regions)
    return session_pb2.SeeResponse(screen=screen)


async def _hear(
    sessions: Sessions, attachment: Attachment, experts: Sequence[str], reply: Reply
) -> list[session_pb2.Event]:
    """The utterances of a recording, through a session that is forgotten. Damage goes to the reply's warnings."""
    config = session_pb2.LiveConfig(experts=experts, pace=session_pb2.PACE_MAX, options={"asr.partials": "off"})
    upload = media.Upload(io.BytesIO(attachment.data), attachment.param)
    container = await in_thread(partial(media.open_media, upload))
    try:
        async with aclosing(heard(sessions, config, pcm(container, upload, reply.warnings.append))) as events:
            return [event async for event in events if event.seq and event.HasField("utterance")]
    finally:
        container.close()


def _scored(told: Mapping[str, Any], answer: decoder_pb2.Answer) -> list[dict[str, Any]]:
    """The evidence with where it comes from and how well it fits."""
    return [
        {**line, "frame_id": item.frame_id or None, "source_id": item.source_id, "score": round(item.score, 4)}
        for line, item in zip(told["evidence"], answer.evidence, strict=True)
    ]


# -- the answer -------------------------------------------------------------------------------------


def _head() -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": MODEL}


async def _whole(sessions: Sessions, asked: Asked) -> Reply:
    reply = Reply()
    async for _ in _pieces(sessions, asked, reply):
        pass
    return reply


def _completion(head: Mapping[str, Any], asked: Asked, reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(asked, reply),
        **reply.beside,
    }


async def _stream(
    sessions: Sessions, asked: Asked, head: Mapping[str, Any], stack: AsyncExitStack
) -> AsyncGenerator[str]:
    """The answer piece by piece; what the experts gave comes with the last piece."""
    reply = Reply()

    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    async with stack:
        is_first = True
        async for piece in _pieces(sessions, asked, reply):
            if is_first:
                yield chunk({"role": "assistant", "content": ""})
                is_first = False
            if piece:
                yield chunk({"content": piece})
        yield chunk({}, "stop", **reply.beside)
        if asked.has_usage:
            yield sse({**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(asked, reply)})
        yield "data: [DONE]\n\n"


def _usage(asked: Asked, reply: Reply) -> dict[str, int]:
    """Counted in words and signs: the models behind an answer have no tokens in common."""
    made = _units(reply.text)
    return {
        "prompt_tokens": asked.prompt_units,
        "completion_tokens": made,
        "total_tokens": asked.prompt_units + made,
    }


def _units(text: str) -> int:
    return len(_UNIT.findall(text))
