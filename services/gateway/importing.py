"""What another tool wrote down becomes the events of a session: our JSON and JSONL, WebVTT, SubRip. Pure.

    read(file) -> Document -> events_of(document) -> [(event, subject), ...]

What somebody sends is not trusted: size, numbers, lengths and times have limits, and what is wrong is told with its
line, or with its place in JSON. Answers in JSONL are left out: an answer belongs to the session that was asked; so
are slides and screen events, which are told from the pictures.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from protos.decoder.v1 import decoder_pb2
from protos.session.v1 import session_pb2
from services.gateway.subtitles import MAX_HOURS, LineError, read_srt, read_vtt, spread
from services.gateway.transcript import MIN_SCREEN_SAMPLES, Document, Screen, Segment, plain
from services.gateway.voices import MAX_NAME_CHARS
from services.runtime import wire
from services.runtime.language import language_of
from services.runtime.percept import SAMPLE_RATE, Correction, ScreenState, SpeakerTurn, TextRegion, Transcript, Word
from services.runtime.stage import MediaError

# A call of gRPC takes 24 MiB; eight hours of words in JSON are about 10.
MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_TITLE_CHARS = 200
MAX_LANGUAGE_CHARS = 35
# As much as the decoder takes.
MAX_SEGMENTS, MAX_WORDS, MAX_SCREENS, MAX_REGIONS, MAX_TURNS, MAX_SPEAKERS = (
    20_000,
    10_000,
    20_000,
    2_000,
    40_000,
    1_000,
)
MAX_TEXT_CHARS, MAX_WORD_CHARS, MAX_REGION_CHARS = 100_000, 1_000, 4_000
MAX_BOX_PX = 65_535.0
KINDS = "our JSON or JSONL, WebVTT or SubRip (SRT)"

_Seconds = Annotated[float, Field(ge=0, lt=MAX_HOURS * 3600, allow_inf_nan=False)]
_Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Edge = Annotated[float, Field(ge=-MAX_BOX_PX, le=MAX_BOX_PX, allow_inf_nan=False)]
_Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]
_Language = Annotated[str, Field(max_length=MAX_LANGUAGE_CHARS)]
Events = list[tuple[session_pb2.Event, str]]


class _Span(BaseModel):
    model_config = ConfigDict(strict=True)
    start_s: _Seconds
    end_s: _Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_s < self.start_s:
            raise ValueError(f"it ends at {self.end_s} s, before it begins at {self.start_s} s")
        return self

    @property
    def span(self) -> tuple[int, int]:
        return round(self.start_s * SAMPLE_RATE), round(self.end_s * SAMPLE_RATE)


class _Correction(BaseModel):
    model_config = ConfigDict(strict=True)
    heard: Annotated[str, Field(max_length=MAX_WORD_CHARS)]
    box: Annotated[list[_Edge], Field(min_length=4, max_length=4)] | None = None

    @property
    def value(self) -> Correction:
        left, top, right, bottom = self.box or (0.0, 0.0, 0.0, 0.0)
        return Correction(plain(self.heard), box=(left, top, right, bottom) if self.box else None)


class _Word(_Span):
    word: Annotated[str, Field(max_length=MAX_WORD_CHARS)]
    confidence: _Probability | None = None
    correction: _Correction | None = None


class _Segment(_Span):
    speaker: _Name | None = None
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    confidence: _Probability | None = None
    language: _Language = ""
    words: Annotated[list[_Word], Field(max_length=MAX_WORDS), FailFast()] = []


class _Region(BaseModel):
    model_config = ConfigDict(strict=True)
    text: Annotated[str, Field(max_length=MAX_REGION_CHARS)]
    box: Annotated[list[_Edge], Field(min_length=4, max_length=4)]
    confidence: _Probability | None = None
    kind: Annotated[str, Field(max_length=40)] = "text"


class _Screen(_Span):
    regions: Annotated[list[_Region], Field(max_length=MAX_REGIONS), FailFast()]


class _Turn(_Span):
    speaker: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    confidence: _Probability | None = None


class _Head(BaseModel):
    model_config = ConfigDict(strict=True)
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] = ""
    language: _Language = ""
    duration_s: _Seconds = 0


class _Whole(_Head):
    # Of a file that is all wrong the first mistake is enough.
    segments: Annotated[list[_Segment], Field(max_length=MAX_SEGMENTS), FailFast()]
    screen: Annotated[list[_Screen], Field(max_length=MAX_SCREENS), FailFast()] = []


def read(file: bytes, *, title: str = "", language: str = "") -> Document:
    """The document that a file holds; its form is told by how it begins.

    `title` and `language` stand where the file says nothing. Raises MediaError with the line and what to do.
    """
    _at_most(len(file), MAX_FILE_BYTES, "bytes in the file")
    if len(title) > MAX_TITLE_CHARS or len(language) > MAX_LANGUAGE_CHARS:
        raise MediaError(
            f"the title has {len(title)} characters and the language {len(language)}, must have {MAX_TITLE_CHARS} and "
            f"{MAX_LANGUAGE_CHARS} or fewer"
        )
    text = _decoded(file)
    begin = text.lstrip()
    if begin.startswith("WEBVTT"):
        segments, language = read_vtt(text, language)
        document = Document(title=title, language=language, segments=tuple(segments))
    elif begin.startswith("{"):
        document = _read_jsonl(text) if _is_jsonl(text) else _read_json(text)
        document = replace(document, title=document.title or title, language=document.language or language)
    elif "-->" in text:
        document = Document(title=title, language=language, segments=tuple(read_srt(text, language)))
    else:
        raise LineError(1, f"the file is none of those that can be imported: {KINDS}")
    if not document.segments and not document.screens:
        raise MediaError("nothing is said or shown in the file; there is nothing to import")
    return _in_a_language(_checked(document))


def events_of(document: Document) -> Events:
    """The durable events of the document in order, the last is `ended`; each with what a later one may replace."""
    ids = _speaker_ids([*(s.speaker for s in document.segments), *(t.speaker for t in document.turns)])
    events: Events = []
    for name, speaker in ids.items():
        if name != speaker:
            named = decoder_pb2.SpeakerName(speaker=speaker, name=name)
            events.append((session_pb2.Event(speaker_name=named), speaker))
    timed: list[tuple[int, session_pb2.Event, str]] = []
    for number, segment in enumerate(document.segments, 1):
        said = _transcript(f"u{number}", segment, ids.get(segment.speaker, ""))
        timed.append((segment.start_sample, session_pb2.Event(utterance=wire.transcript_to_proto(said)), f"u{number}"))
    for turn in document.turns:
        message = wire.turn_to_proto(replace(turn, speaker=ids[turn.speaker]))
        timed.append((turn.start_sample, session_pb2.Event(turn=message), turn.turn_id))
    for state in _states(document):
        timed.append((state.start_sample, session_pb2.Event(screen=wire.screen_to_proto(state)), ""))
    timed.sort(key=lambda item: item[0])
    events += [(event, subject) for _, event, subject in timed]
    return [*events, (session_pb2.Event(ended=session_pb2.Ended(end_sample=document.end_sample)), "ended")]


def _decoded(file: bytes) -> str:
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.count(b"\n", 0, error.start) + 1
        raise LineError(line, "this is not UTF-8; save the file as UTF-8 and try again") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _checked(document: Document) -> Document:
    """The document in order of time, within the limits of all forms, as long as what is in it."""
    _at_most(len(document.segments), MAX_SEGMENTS, "pieces of speech")
    _at_most(len(document.screens), MAX_SCREENS, "screens")
    _at_most(len(document.turns), MAX_TURNS, "turns of speakers")
    _at_most(len({segment.speaker for segment in document.segments}), MAX_SPEAKERS, "speakers")
    for segment in document.segments:
        where = segment.utterance_id
        _at_most(len(segment.speaker), MAX_NAME_CHARS, f"characters in the speaker's name at {where}")
        _at_most(len(segment.words), MAX_WORDS, f"words at {where}")
        _at_most(max(len(word.text) for word in segment.words), MAX_WORD_CHARS, f"characters in a word at {where}")
    ends = [span.end_sample for spans in (document.segments, document.screens, document.turns) for span in spans]
    return replace(
        document,
        segments=tuple(sorted(document.segments, key=lambda s: (s.start_sample, s.end_sample))),
        screens=tuple(sorted(document.screens, key=lambda s: s.start_sample)),
        end_sample=max([document.end_sample, *ends]),
    )


def _in_a_language(document: Document) -> Document:
    """Where no segment says its language: the document's, else the one that its words tell."""
    if any(segment.language for segment in document.segments):
        return document
    language = document.language or language_of(" ".join(segment.text for segment in document.segments))
    segments = tuple(replace(segment, language=language) for segment in document.segments)
    return replace(document, language=language, segments=segments)


def _at_most(number: int, limit: int, what: str) -> None:
    if number > limit:
        raise MediaError(f"there are {number} {what}, must be {limit} or fewer; import the file in parts")


# -- JSON -------------------------------------------------------------------------------------------


def _is_jsonl(text: str) -> bool:
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "type" in first


def _read_json(text: str) -> Document:
    whole = _valid(_Whole, _parsed(text, 1), "")
    return _document(whole, [(f"segments.{i}", s) for i, s in enumerate(whole.segments)], whole.screen, [])


def _read_jsonl(text: str) -> Document:
    head = _Head()
    segments: list[tuple[str, _Segment]] = []
    screens: list[_Screen] = []
    turns: list[_Turn] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        value, where = _parsed(line, number), f"line {number}"
        match value.get("type"):
            case "session":
                head = _valid(_Head, value, where)
            case "segment":
                segments.append((where, _valid(_Segment, value, where)))
            case "screen":
                screens.append(_valid(_Screen, value, where))
            case "turn":
                turns.append(_valid(_Turn, value, where))
            case "answer":
                pass
            case kind:
                known = "session, segment, screen, turn, answer"
                raise LineError(number, f"type is {str(kind)[:40]!r}, must be one of {known}")
    return _document(head, segments, screens, turns)


def _parsed(text: str, line: int) -> dict[str, Any]:
    """One object of JSON that begins at a line of the file."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise LineError(line + error.lineno - 1, f"this is not JSON: {error.msg}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise LineError(line, "a number is too long or the lists are too deep for a transcript") from error
    if not isinstance(value, dict):
        raise LineError(line, f"this is a JSON {type(value).__name__}, must be an object {{...}}")
    return value


_Model = TypeVar("_Model", bound=BaseModel)


def _valid(kind: type[_Model], value: object, where: str) -> _Model:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " ".join(part for part in (where, ".".join(str(part) for part in first["loc"])) if part)
        given = "" if first["type"] in ("missing", "value_error") else f", it is {repr(first['input'])[:60]}"
        raise MediaError(f"{place or 'the file'}: {first['msg'].removeprefix('Value error, ')}{given}") from error


def _document(
    head: _Head, segments: Iterable[tuple[str, _Segment]], screens: Iterable[_Screen], turns: Iterable[_Turn]
) -> Document:
    said = [_segment(where, segment) for where, segment in segments]
    return Document(
        title=head.title,
        language=head.language,
        end_sample=round(head.duration_s * SAMPLE_RATE),
        segments=tuple(segment for segment in said if segment.words),
        screens=tuple(_screen(screen) for screen in screens),
        turns=tuple(
            SpeakerTurn(f"t{number}", plain(turn.speaker), *turn.span, turn.confidence)
            for number, turn in enumerate(turns, 1)
        ),
    )


def _segment(where: str, segment: _Segment) -> Segment:
    """With words of its own, or with those of its text spread over its time."""
    start, end = segment.span
    words = tuple(
        Word(plain(w.word), *w.span, w.confidence, correction=w.correction.value if w.correction else None)
        for w in segment.words
        if plain(w.word)
    )
    if not words:
        words = spread(segment.text, start, end, segment.language)
    said = Segment(where, start, end, plain(segment.speaker or ""), words, segment.language, segment.confidence)
    if segment.words and segment.text and plain(segment.text) != said.text:
        raise MediaError(f"{where}: its words do not make up its text; correct one, or leave out words")
    return said


def _screen(screen: _Screen) -> Screen:
    regions = tuple(_region(region) for region in screen.regions)
    # The size of the picture is not written: as much as the text needs.
    width, height = (max((math.ceil(r.box[i]) for r in regions), default=0) for i in (2, 3))
    return Screen(*screen.span, max(0, width), max(0, height), "", regions)


def _region(region: _Region) -> TextRegion:
    left, top, right, bottom = region.box
    return TextRegion("", plain(region.text), (left, top, right, bottom), region.confidence, kind=region.kind)


# -- events -----------------------------------------------------------------------------------------


def _speaker_ids(names: Iterable[str]) -> dict[str, str]:
    """A session-local id for everybody who is named; who is called like one keeps it."""
    known = [name for name in dict.fromkeys(names) if name]
    taken = {name for name in known if re.fullmatch(r"S[1-9]\d{0,3}", name)}
    free = (f"S{number}" for number in itertools.count(1) if f"S{number}" not in taken)
    return {name: name if name in taken else next(free) for name in known}


def _transcript(utterance_id: str, segment: Segment, speaker: str) -> Transcript:
    return Transcript(
        utterance_id=utterance_id,
        is_final=True,
        start_sample=segment.start_sample,
        end_sample=max(segment.end_sample, segment.words[-1].end_sample),
        words=tuple(replace(word, speaker=speaker) for word in segment.words),
        language=segment.language,
        confidence=segment.confidence,
        speaker=speaker,
    )


def _states(document: Document) -> Iterator[ScreenState]:
    """What was shown from when on; between two screens that do not meet nothing was."""
    ends = [*(screen.start_sample for screen in document.screens), document.end_sample][1:]
    ids: dict[tuple[object, ...], str] = {}
    for screen, end in zip(document.screens, ends, strict=True):
        regions = tuple(
            replace(region, region_id=ids.setdefault((region.text, region.box), f"r{len(ids) + 1}"))
            for region in screen.regions
        )
        yield ScreenState(screen.start_sample, screen.width_px, screen.height_px, "", regions)
        if end - screen.end_sample >= MIN_SCREEN_SAMPLES:
            yield ScreenState(screen.end_sample, screen.width_px, screen.height_px)
