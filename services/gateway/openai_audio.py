"""`POST /v1/audio/transcriptions` as OpenAI's clients call it, over a session that is forgotten afterwards.

What is served, what does nothing and what is refused stands in docs/openai.md. Errors have OpenAI's shape:
{"error": {"message", "type", "param", "code"}}.
"""

import json
import math
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from protos.session.v1 import session_pb2
from services.gateway import formats, media
from services.gateway.openai_wire import FRESH, FieldError, begun, refusal, sse, unless_gone
from services.gateway.passing import heard, in_thread, pcm
from services.gateway.sessions import Sessions
from services.gateway.transcript import Document, Segment, fold
from services.runtime.percept import SAMPLE_RATE
from services.runtime.streams import Streams

PATH = "/v1/audio/transcriptions"
# A text field; the file has a limit of its own.
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS = 100

FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
STREAMED_FORMATS = ("json", "text", "diarized_json")
GRANULARITIES = ("word", "segment")
# Hints and settings of other models: taken and without effect.
HINTS = ("model", "temperature", "chunking_strategy", "languages")
SERVED = ("file", "language", "response_format", "stream", "timestamp_granularities", "include", "prompt", "keywords")
# A prompt's parts that are longer describe a style, not a name or a term.
MAX_PHRASE_WORDS, MAX_PHRASE_CHARS, MAX_PHRASES = 6, 100, 1_000
UNKNOWN_SPEAKER = "unknown"
# Sentences about a damaged file, as JSON, where the answer itself is a text.
WARNINGS_HEADER = "x-sensorium-warnings"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call asks for, checked."""

    language: str
    format: str
    is_streamed: bool
    granularities: tuple[str, ...]
    phrases: tuple[str, ...]

    @property
    def has_speakers(self) -> bool:
        """Whether speakers are to be told apart."""
        return self.format == "diarized_json"

    def config(self) -> session_pb2.LiveConfig:
        """The session's config; a streamed text is never taken back, so it has no second pass."""
        options = {"asr.partials": "off", **({"asr.second_pass": "off"} if self.is_streamed else {})}
        experts = ["asr", "diarization"] if self.has_speakers else ["asr"]
        return session_pb2.LiveConfig(
            language=self.language,
            experts=experts,
            pace=session_pb2.PACE_MAX,
            options=options,
            phrases=[session_pb2.Phrase(text=phrase) for phrase in self.phrases],
        )


def add_openai_audio(app: FastAPI, sessions: Sessions, max_upload_bytes: int) -> None:
    """Serve PATH; a larger body than `max_upload_bytes` is refused with 413."""
    uploads = Streams(sessions.max_sessions)

    @app.post(PATH)
    async def transcriptions(request: Request) -> Response:
        """Turn one file into words."""
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(uploads.admit())
                form = await stack.enter_async_context(
                    _bounded(request, max_upload_bytes).form(
                        max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
                    )
                )
                wanted, upload = _read(form)
                damage: list[str] = []
                container = await in_thread(partial(media.open_media, upload))
                stack.callback(container.close)
                events = await stack.enter_async_context(
                    aclosing(heard(sessions, wanted.config(), pcm(container, upload, damage.append)))
                )
                if not wanted.is_streamed:
                    return _answer(wanted, await unless_gone(request, _collected(events)), damage)
                stream = _stream(wanted, events, stack.pop_all(), damage)
                # What is wrong shows before the first words, and then gets a status of its own.
                return StreamingResponse(await begun(stream), media_type="text/event-stream", headers=FRESH)
        except Exception as error:  # the top of a call: every failure becomes a status
            return refusal(error)


# -- the form ---------------------------------------------------------------------------------------


def _bounded(request: Request, max_bytes: int) -> Request:
    """The same request, whose body ends with 413 when it is too large."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise HTTPException(415, f"the content-type is {media_type!r}, must be multipart/form-data")
    length = request.headers.get("content-length", "")
    too_large = HTTPException(413, f"the upload is larger than {max_bytes} bytes")
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise too_large
        return message

    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    return Request(request.scope, receive)


def _read(form: FormData) -> tuple[Wanted, media.Upload]:
    """Raises FieldError."""
    names = {name.removesuffix("[]").partition("[")[0] for name in form}
    if unknown := sorted(names - {*HINTS, *SERVED}):
        raise FieldError(f"{unknown[0]} is not served here; leave it out", unknown[0])
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise FieldError("file is missing; send it as a part with a file name", "file")
    if not file.size:
        raise FieldError("file is empty", "file")
    if not _text(form, "model"):
        raise FieldError("model is missing; any name will do, all are served by the same models", "model")
    name = _text(form, "response_format") or "json"
    if name not in FORMATS:
        raise FieldError(f"response_format is {name!r}, must be one of {', '.join(FORMATS)}", "response_format")
    stream = (_text(form, "stream") or "false").lower()
    if stream not in ("true", "false"):
        raise FieldError(f"stream is {stream!r}, must be true or false", "stream")
    if stream == "true" and name not in STREAMED_FORMATS:
        raise FieldError(f"stream with response_format {name!r}; stream {', '.join(STREAMED_FORMATS)}", "stream")
    if include := _texts(form, "include"):
        raise FieldError(f"include is {include}; nothing more is served, leave it out", "include")
    granularities = _texts(form, "timestamp_granularities")
    if unknown := sorted(set(granularities) - set(GRANULARITIES)):
        message = f"timestamp_granularities has {unknown[0]!r}, must have some of {', '.join(GRANULARITIES)}"
        raise FieldError(message, "timestamp_granularities")
    if granularities and name != "verbose_json":
        message = f"timestamp_granularities with response_format {name!r}, must be verbose_json"
        raise FieldError(message, "timestamp_granularities")
    phrases = _phrases(_text(form, "prompt"), _texts(form, "keywords"))
    wanted = Wanted(_text(form, "language"), name, stream == "true", tuple(granularities) or ("segment",), phrases)
    return wanted, media.Upload(file.file, repr(file.filename or "file"))


def _phrases(prompt: str, keywords: Sequence[str]) -> tuple[str, ...]:
    """The names and terms of a prompt, between its punctuation, and the keywords, each once."""
    parts = [" ".join(part.split()) for part in (*re.split(r"[,;:.\n]+", prompt), *keywords)]
    short = [p for p in parts if p and len(p.split()) <= MAX_PHRASE_WORDS and len(p) <= MAX_PHRASE_CHARS]
    return tuple(dict.fromkeys(short))[:MAX_PHRASES]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise FieldError(f"{name} is a file, must be text", name)
    return value.strip()


def _texts(form: FormData, name: str) -> list[str]:
    values = [*form.getlist(name), *form.getlist(f"{name}[]")]
    return [value for value in values if isinstance(value, str)]


# -- sound in, events out ---------------------------------------------------------------------------


async def _collected(events: AsyncIterator[session_pb2.Event]) -> Document:
    return fold([event async for event in events if event.seq])


async def _stream(
    wanted: Wanted, events: AsyncIterator[session_pb2.Event], stack: AsyncExitStack, damage: Sequence[str]
) -> AsyncGenerator[str]:
    """Every utterance as a delta as soon as it is final, then speakers where asked for, then the whole."""
    kept: list[session_pb2.Event] = []
    told: set[str] = set()
    text = ""
    async with stack:
        async for event in events:
            if event.seq:
                kept.append(event)
            if event.WhichOneof("event") != "utterance" or event.utterance.utterance_id in told:
                continue
            told.add(event.utterance.utterance_id)
            if said := _joined(fold([event]).segments):
                delta = f"{_joint(text, event.utterance.language)}{said}"
                text += delta
                yield sse({"type": "transcript.text.delta", "delta": delta})
        document = fold(kept)
        if wanted.has_speakers:
            for segment in _diarized(document):
                yield sse(segment)
        yield sse({"type": "transcript.text.done", "text": text, "usage": _usage(document), **_warnings(damage)})
        yield "data: [DONE]\n\n"


# -- the answer -------------------------------------------------------------------------------------


def _answer(wanted: Wanted, document: Document, damage: Sequence[str]) -> Response:
    """The whole answer; what was wrong with the file is told in it, beside a text in a header."""
    headers = {WARNINGS_HEADER: json.dumps(damage)} if damage else None
    match wanted.format:
        case "text":
            return PlainTextResponse(_joined(document.segments) + "\n", headers=headers)
        case "srt" | "vtt" as name:
            kind = formats.FORMATS[name].media_type
            return Response(formats.render(document, name), media_type=f"{kind}; charset=utf-8", headers=headers)
        case "verbose_json":
            return JSONResponse({**_verbose(document, wanted.granularities), **_warnings(damage)})
        case "diarized_json":
            text, duration_s = _joined(document.segments), formats.seconds(document.end_sample)
            whole = {"task": "transcribe", "duration": duration_s, "text": text, "usage": _usage(document)}
            whole |= _warnings(damage)
            return JSONResponse({**whole, "segments": list(_diarized(document))})
        case _:
            return JSONResponse({"text": _joined(document.segments), "usage": _usage(document), **_warnings(damage)})


def _verbose(document: Document, granularities: Sequence[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "task": "transcribe",
        "language": document.language,
        "duration": formats.seconds(document.end_sample),
        "text": _joined(document.segments),
        "usage": _usage(document),
    }
    if "segment" in granularities:
        answer["segments"] = [_segment(number, segment) for number, segment in enumerate(document.segments)]
    if "word" in granularities:
        answer["words"] = [
            {
                "word": word.text,
                "start": formats.seconds(word.start_sample),
                "end": formats.seconds(word.end_sample),
            }
            for segment in document.segments
            for word in segment.words
        ]
    return answer


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """A segment as Whisper's own program writes it; what is not measured here is empty or 0."""
    written = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": formats.seconds(segment.start_sample),
        "end": formats.seconds(segment.end_sample),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(segment.confidence or 1.0, 1e-6)), 4),
        "compression_ratio": round(len(written) / len(zlib.compress(written)), 4),
        "no_speech_prob": 0.0,
    }


def _diarized(document: Document) -> Iterator[dict[str, Any]]:
    """Segments with speakers A, B, … in order of appearance."""
    letters = {speaker: _letters(number) for number, speaker in enumerate(document.speakers)}
    for number, segment in enumerate(document.segments):
        yield {
            "type": "transcript.text.segment",
            "id": f"seg_{number:03d}",
            "start": formats.seconds(segment.start_sample),
            "end": formats.seconds(segment.end_sample),
            "text": segment.text,
            "speaker": letters.get(segment.speaker, UNKNOWN_SPEAKER),
        }


def _letters(number: int) -> str:
    """A to Z, then AA, AB and so on."""
    head = _letters(number // 26 - 1) if number >= 26 else ""
    return head + chr(ord("A") + number % 26)


def _joined(segments: Sequence[Segment]) -> str:
    text = ""
    for segment in segments:
        text += _joint(text, segment.language) + segment.text
    return text


def _joint(before: str, language: str) -> str:
    return " " if before and not language.startswith(formats.UNSPACED) else ""


def _warnings(damage: Sequence[str]) -> dict[str, Any]:
    return {"warnings": damage} if damage else {}


def _usage(document: Document) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(document.end_sample / SAMPLE_RATE)}
