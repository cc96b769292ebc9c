"""A session's document as text: txt, json, jsonl, srt, vtt, rttm, ctm, md. Pure.

Sources: WebVTT (W3C), SubRip as players read it, RTTM and CTM (NIST Rich Transcription evaluations),
CommonMark 0.31 for what must be escaped.
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from services.gateway.transcript import Answer, Document, Evidence, Screen, ScreenEvent, Segment
from services.runtime.percept import SAMPLE_RATE, Correction, Word

# A subtitle stays readable: two lines, seven seconds (the limits that broadcasters use).
CUE_LINE_CHARACTERS = 42
CUE_CHARACTERS = 2 * CUE_LINE_CHARACTERS
CUE_SAMPLES = 7 * SAMPLE_RATE
# Languages that write no spaces use wider characters.
UNSPACED = ("zh", "ja", "th")
# What is missing where an expert was away.
_TOLD_BY = {"asr": "words", "diarization": "who spoke", "vision": "the screen"}


def render(document: Document, name: str, *, stem: str = "") -> str:
    """Write the document in one of FORMATS; "" or a text that ends with a newline.

    `stem` names the recording in rttm and ctm (default: the session). Raises ValueError for another format.
    """
    if name not in FORMATS:
        raise ValueError(f"format is {name!r}, must be one of {', '.join(FORMATS)}")
    return FORMATS[name].write(document, _field(stem or document.session_id or "session"))


def seconds(sample: int) -> float:
    """Position or length in seconds, to the millisecond."""
    return round(sample / SAMPLE_RATE, 3)


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """One line of evidence as JSON has it."""
    return {
        "kind": evidence.kind,
        "text": evidence.text,
        "speaker": evidence.speaker or None,
        "start_s": seconds(evidence.start_sample),
        "end_s": seconds(evidence.end_sample),
        "box": None if evidence.box is None else _box(evidence.box),
    }


def document_json(document: Document) -> dict[str, Any]:
    """The session as one JSON object: session, duration_s, language, segments, screen and so on (README.md)."""
    return {
        "session": document.session_id,
        "duration_s": seconds(document.end_sample),
        "language": document.language,
        "segments": [_segment_json(segment) for segment in document.segments],
        "screen": [_screen_json(screen) for screen in document.screens],
        "slides": [
            {"slide": slide.slide_id, "start_s": seconds(slide.start_sample), "end_s": seconds(slide.end_sample)}
            for slide in document.slides
        ],
        "screen_events": [_screen_event_json(event) for event in document.screen_events],
        "missing": _missing_json(document),
    }


def _missing_json(document: Document) -> list[dict[str, Any]]:
    return [
        {"expert": one.expert, "start_s": seconds(one.start_sample), "end_s": seconds(one.end_sample)}
        for one in document.missing
    ]


def _missing_lines(document: Document) -> list[str]:
    """What is missing, for people."""
    return [
        f"{_TOLD_BY.get(one.expert, one.expert)} from {short_clock(one.start_sample)} to {short_clock(one.end_sample)}"
        for one in document.missing
    ]


def _segment_json(segment: Segment) -> dict[str, Any]:
    return {
        "start_s": seconds(segment.start_sample),
        "end_s": seconds(segment.end_sample),
        "speaker": segment.speaker or None,
        "text": segment.text,
        "confidence": _confidence(segment.confidence),
        "language": segment.language,
        "words": [
            {
                "word": word.text,
                "start_s": seconds(word.start_sample),
                "end_s": seconds(word.end_sample),
                "confidence": _confidence(word.confidence),
                **({} if word.correction is None else {"correction": _correction_json(word.correction)}),
            }
            for word in segment.words
        ],
    }


def _correction_json(correction: Correction) -> dict[str, Any]:
    """What was heard, and where on the screen the phrase in its place was read."""
    return {"heard": correction.heard, "box": None if correction.box is None else _box(correction.box)}


def _screen_json(screen: Screen) -> dict[str, Any]:
    return {
        "start_s": seconds(screen.start_sample),
        "end_s": seconds(screen.end_sample),
        "regions": [
            {
                "text": region.text,
                "box": _box(region.box),
                "confidence": _confidence(region.confidence),
                "kind": region.kind,
            }
            for region in screen.regions
        ],
    }


def _screen_event_json(event: ScreenEvent) -> dict[str, Any]:
    moved = {"dx_px": event.dx_px, "dy_px": event.dy_px} if event.kind == "scrolled" else {}
    return {
        "at_s": seconds(event.at_sample),
        "event": event.kind,
        "lines": list(event.texts),
        "box": _box(event.box),
        **moved,
    }


def _answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "question": answer.question,
        "answer": answer.text,
        "abstained": answer.abstained,
        "confidence": _confidence(answer.confidence),
        "evidence": [evidence_json(item) for item in answer.evidence],
    }


def _box(box: tuple[float, float, float, float]) -> list[float]:
    return [round(edge, 2) for edge in box]


def _confidence(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _write_json(document: Document, stem: str) -> str:
    return json.dumps(document_json(document), ensure_ascii=False, indent=1) + "\n"


def _write_jsonl(document: Document, stem: str) -> str:
    head = {
        "type": "session",
        "session": document.session_id,
        "title": document.title,
        "duration_s": seconds(document.end_sample),
        "language": document.language,
        "missing": _missing_json(document),
    }
    timed: list[dict[str, Any]] = [
        *({"type": "segment", **_segment_json(segment)} for segment in document.segments),
        *({"type": "screen", **_screen_json(screen)} for screen in document.screens),
        *(
            {
                "type": "turn",
                "start_s": seconds(turn.start_sample),
                "end_s": seconds(turn.end_sample),
                "speaker": turn.speaker,
                "confidence": _confidence(turn.confidence),
            }
            for turn in document.turns
        ),
    ]
    timed.sort(key=lambda line: (line["start_s"], line["end_s"]))
    answers = [{"type": "answer", **_answer_json(answer)} for answer in document.answers]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [head, *timed, *answers])


def _write_txt(document: Document, stem: str) -> str:
    lines = []
    for item in _in_time(document):
        if isinstance(item, Segment):
            speaker = f"{item.speaker}: " if item.speaker else ""
            lines.append(f"[{short_clock(item.start_sample)}] {speaker}{item.text}")
        elif item.lines:
            lines.append(f"[{short_clock(item.start_sample)}] (screen) {' | '.join(item.lines)}")
    lines += [f"(missing) {line}" for line in _missing_lines(document)]
    return "".join(line + "\n" for line in lines)


def _in_time(document: Document) -> list[Segment | Screen]:
    """Speech and screens in order; a screen comes before the words that begin with it."""
    items: list[Segment | Screen] = [*document.screens, *document.segments]
    return sorted(items, key=lambda item: item.start_sample)


@dataclass(frozen=True, slots=True)
class _Cue:
    start_sample: int
    end_sample: int
    speaker: str
    lines: tuple[str, ...]


def _cues(segments: Iterable[Segment]) -> Iterator[_Cue]:
    """Readable pieces of the segments, cut at sentence ends where one is near, times never going back."""
    at = 0
    for segment in segments:
        spaced = not segment.language.startswith(UNSPACED)
        for words in _pieces(segment.words, spaced):
            at = max(at, words[0].start_sample)
            # Players drop a cue without length.
            end = max(words[-1].end_sample, at + SAMPLE_RATE // 1000)
            text = (" " if spaced else "").join(word.text for word in words)
            lines = textwrap.wrap(text, CUE_LINE_CHARACTERS, break_long_words=not spaced, break_on_hyphens=False)
            yield _Cue(at, end, segment.speaker, tuple(lines))


def _pieces(words: Iterable[Word], spaced: bool) -> Iterator[list[Word]]:
    piece: list[Word] = []
    length = 0
    for word in words:
        more = len(word.text) + spaced
        if piece and (
            length + more > CUE_CHARACTERS
            or word.end_sample - piece[0].start_sample > CUE_SAMPLES
            or (length > CUE_LINE_CHARACTERS and piece[-1].text.endswith(tuple(".?!\u3002\uff1f\uff01")))
        ):
            yield piece
            piece, length = [], 0
        piece.append(word)
        length += more
    if piece:
        yield piece


def _write_srt(document: Document, stem: str) -> str:
    blocks = []
    for number, cue in enumerate(_cues(document.segments), 1):
        speaker = f"{cue.speaker}: " if cue.speaker else ""
        # SubRip has no escapes; only its arrow would end up read as a time line.
        text = (speaker + "\n".join(cue.lines)).replace("-->", "→")
        blocks.append(f"{number}\n{_clock(cue.start_sample, ',')} --> {_clock(cue.end_sample, ',')}\n{text}\n")
    return "\n".join(blocks)


def _write_vtt(document: Document, stem: str) -> str:
    blocks = ["WEBVTT\n"]
    for cue in _cues(document.segments):
        text = _escape_vtt("\n".join(cue.lines))
        if cue.speaker:
            text = f"<v {_escape_vtt(cue.speaker)}>{text}</v>"
        blocks.append(f"{_clock(cue.start_sample, '.')} --> {_clock(cue.end_sample, '.')}\n{text}\n")
    return "\n".join(blocks)


def _escape_vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _write_rttm(document: Document, stem: str) -> str:
    """Turns as they are: different speakers overlap; what one label says at the same time is one turn."""
    spans: list[tuple[int, int, str]] = []
    newest: dict[str, int] = {}
    for turn in document.turns:
        index = newest.get(turn.speaker)
        if index is not None and turn.start_sample <= spans[index][1]:
            start, end, _ = spans[index]
            spans[index] = (start, max(end, turn.end_sample), turn.speaker)
        else:
            newest[turn.speaker] = len(spans)
            spans.append((turn.start_sample, turn.end_sample, turn.speaker))
    return "".join(
        f"SPEAKER {stem} 1 {seconds(start):.3f} {seconds(end - start):.3f} <NA> <NA> {_field(speaker)} <NA> <NA>\n"
        for start, end, speaker in spans
    )


def _write_ctm(document: Document, stem: str) -> str:
    words = [word for segment in document.segments for word in segment.words]
    lines = []
    for word in sorted(words, key=lambda word: word.start_sample):
        length = word.end_sample - word.start_sample
        confidence = "" if word.confidence is None else f" {word.confidence:.4f}"
        lines.append(
            f"{stem} 1 {seconds(word.start_sample):.3f} {seconds(length):.3f} {_field(word.text)}{confidence}\n"
        )
    return "".join(lines)


def _field(text: str) -> str:
    """One column of a file whose columns are separated by spaces."""
    return "_".join(text.split()) or "<NA>"


def _write_md(document: Document, stem: str) -> str:
    lines = [f"# {escape_md(document.title or document.session_id or 'Session')}", ""]
    about = [f"Length {short_clock(document.end_sample)}"]
    if document.language:
        about.append(f"language {escape_md(document.language)}")
    if document.speakers:
        about.append("speakers: " + ", ".join(escape_md(speaker) for speaker in document.speakers))
    lines += [" · ".join(about), ""]
    if missing := _missing_lines(document):
        lines += [f"**Missing**, as a service was away: {'; '.join(missing)}", ""]
    speaker: str | None = None
    for item in _in_time(document):
        if isinstance(item, Screen):
            if item.lines:
                lines += [
                    f"> **On the screen**, {short_clock(item.start_sample)} to {short_clock(item.end_sample)}",
                    ">",
                ]
                lines += [*(f"> - {escape_md(line)}" for line in item.lines), ""]
                speaker = None
        elif item.speaker != speaker:
            name = escape_md(item.speaker) if item.speaker else "Somebody"
            lines += [f"**{name}** {short_clock(item.start_sample)}: {escape_md(item.text)}", ""]
            speaker = item.speaker
        else:
            lines += [escape_md(item.text), ""]
    if document.answers:
        lines += ["## Questions", ""]
    for answer in document.answers:
        lines += [f"**{escape_md(answer.question)}**", "", escape_md(answer.text), ""]
        for evidence in answer.evidence:
            who = evidence.speaker if evidence.kind == "speech" else "screen"
            lines.append(f"- {short_clock(evidence.start_sample)} {escape_md(who)}: {escape_md(evidence.text)}")
        lines += [""] * bool(answer.evidence)
    return "\n".join(lines)


def escape_md(text: str) -> str:
    """Text that CommonMark shows as it is, also at the start of a line."""
    text = re.sub(r"([\\`*_{}\[\]<>|~&])", r"\\\1", " ".join(text.split()))
    text = re.sub(r"^([#+\-=])", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", text)


def short_clock(sample: int) -> str:
    """m:ss or h:mm:ss, rounded down."""
    minutes, second = divmod(sample // SAMPLE_RATE, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def _clock(sample: int, point: str) -> str:
    """hh:mm:ss and milliseconds after `point`."""
    total_ms = sample * 1000 // SAMPLE_RATE
    total_s, ms = divmod(total_ms, 1000)
    minutes, second = divmod(total_s, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{ms:03}"


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is written, and its media type for HTTP."""

    write: Callable[[Document, str], str]
    media_type: str


FORMATS = {
    "txt": Format(_write_txt, "text/plain"),
    "json": Format(_write_json, "application/json"),
    "jsonl": Format(_write_jsonl, "application/jsonl"),
    "srt": Format(_write_srt, "application/x-subrip"),
    "vtt": Format(_write_vtt, "text/vtt"),
    "rttm": Format(_write_rttm, "text/plain"),
    "ctm": Format(_write_ctm, "text/plain"),
    "md": Format(_write_md, "text/markdown"),
}
