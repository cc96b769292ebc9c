"""WebVTT and SubRip read into segments. Pure; what somebody sends is not trusted.

Sources: the parser of WebVTT (W3C, section 6: blocks, time stamps, cue text), SubRip as players read it. A cue whose
time line cannot be read is refused, where a player would leave it out: nobody wants to lose words without being told.
The words of a cue share its time by their length.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.gateway.transcript import Segment, plain
from services.runtime.percept import SAMPLE_RATE, Word
from services.runtime.stage import MediaError

MAX_HOURS = 100
MAX_CUE_CHARS, MAX_VOICES_OPEN = 100_000, 16
_MS = SAMPLE_RATE // 1000
_VTT_TIME = r"(?:(\d+):)?(\d\d):(\d\d)\.(\d{3})"
_VTT_TIMES = re.compile(rf"[ \t]*{_VTT_TIME}[ \t]*-->[ \t]*{_VTT_TIME}(?:[ \t].*)?")
_SRT_TIME = r"(?:(\d+):)?(\d\d?):(\d\d?)[,.](\d{1,3})"
_SRT_TIMES = re.compile(rf"\s*{_SRT_TIME}\s*-->\s*{_SRT_TIME}(?:\s.*)?")
_SRT_TAG = re.compile(r"</?(?:i|b|u|s|font)(?:\s[^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)
# Scripts that are written without spaces, so that a line break in them stands for nothing.
_UNSPACED = "\u0e00-\u0e7f\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_BREAK = re.compile(rf"(?<=[{_UNSPACED}])\n(?=[{_UNSPACED}])")
_UNSPACED_LANGUAGES = ("zh", "ja", "th")
# "Dr. Ada Lovelace: " and "S1: ", no sentence and no clock.
_PREFIX = re.compile(r"([^\W_][^:?!;,\n]{0,39}): (?=\S)")
_MAX_PREFIX_WORDS = 4


class LineError(MediaError):
    """A file cannot be read from a line on; lines count from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its time line's number in the file, its span, and (speaker, text) in order."""

    line: int
    start_sample: int
    end_sample: int
    said: tuple[tuple[str, str], ...]


def read_vtt(text: str, language: str) -> tuple[list[Segment], str]:
    """Segments of a WebVTT file and its language: the one given, else the header's. Raises LineError."""
    lines = text.split("\n")
    if not re.fullmatch(r"WEBVTT(?:[ \t].*)?", lines[0]):
        raise LineError(1, "a WebVTT file begins with the line WEBVTT")
    begin = next((i for i, line in enumerate(lines) if i and (not line or "-->" in line)), len(lines))
    for line in lines[1:begin]:
        key, _, value = line.partition(":")
        if key.strip().lower() == "language":
            language = language or value.strip()[:35]
    return _segments(_vtt_cues(lines, begin), language), language


def read_srt(text: str, language: str) -> list[Segment]:
    """Segments of a SubRip file; "NAME: " before the text is its speaker when half of the cues or more have one.

    Raises LineError.
    """
    cues = list(_srt_cues(text.split("\n")))
    prefixed = [_prefix(cue.said[0][1]) for cue in cues]
    if 2 * sum(match is not None for match in prefixed) >= len(cues):
        cues = [
            cue if match is None else Cue(cue.line, cue.start_sample, cue.end_sample, (_split(cue.said[0][1], match),))
            for cue, match in zip(cues, prefixed, strict=True)
        ]
    return _segments(cues, language)


def spread(text: str, start_sample: int, end_sample: int, language: str = "") -> tuple[Word, ...]:
    """The words of a text that was said in [start, end): each has as much of it as it has characters."""
    text = _BREAK.sub("", text)
    pieces = (
        re.findall(r"[A-Za-z0-9'.,%-]+|\S", text) if language.startswith(_UNSPACED_LANGUAGES) else plain(text).split()
    )
    total, done, words = sum(map(len, pieces)), 0, []
    for piece in pieces:
        ends = [start_sample + (end_sample - start_sample) * n // total for n in (done, done + len(piece))]
        words.append(Word(piece, ends[0], ends[1]))
        done += len(piece)
    return tuple(words)


def _segments(cues: Iterable[Cue], language: str) -> list[Segment]:
    segments = []
    for cue in cues:
        said = [(speaker, text) for speaker, text in cue.said if text.strip()]
        total, done = sum(len(text) for _, text in said), 0
        for speaker, text in said:
            length = cue.end_sample - cue.start_sample
            start, end = (cue.start_sample + length * n // total for n in (done, done + len(text)))
            done += len(text)
            if words := spread(text, start, end, language):
                segments.append(Segment(f"line {cue.line}", start, end, speaker, words, language, None))
    return segments


# -- WebVTT -----------------------------------------------------------------------------------------


def _vtt_cues(lines: Sequence[str], begin: int) -> Iterator[Cue]:
    """Comments, styles and regions are blocks without an arrow; a line before the arrow is the cue's name."""
    at = begin
    while at < len(lines):
        if "-->" not in lines[at]:
            at += 1
            continue
        number, times = at + 1, _VTT_TIMES.fullmatch(lines[at])
        if times is None:
            raise LineError(
                number, f"a cue's times are {_shown(lines[at])}, must be like 00:01:02.500 --> 00:01:04.000"
            )
        start, end = _span(number, times)
        first = at = at + 1
        while at < len(lines) and lines[at] and "-->" not in lines[at]:
            at += 1
        text = _bounded(number, "\n".join(lines[first:at]))
        yield Cue(number, start, end, tuple(_voices(number, text)))


def _voices(line: int, text: str) -> Iterator[tuple[str, str]]:
    """The text of a cue by the voice that says it; tags and the readings of ruby characters are left out."""
    open_tags: list[tuple[str, str]] = []
    said: list[tuple[str, str]] = []
    for token in re.findall(r"<[^>]*>?|[^<]+", text):
        if not token.startswith("<"):
            if all(name != "rt" for name, _ in open_tags):
                speaker = next((voice for name, voice in reversed(open_tags) if name == "v"), "")
                said.append((speaker, html.unescape(token)))
            continue
        inside = token[1:].removesuffix(">")
        name = re.split(r"[.\s]", inside, maxsplit=1)[0]
        if inside.startswith("/"):
            closes = [i for i, (opened, _) in enumerate(open_tags) if opened == inside[1:].strip()]
            del open_tags[closes[-1] if closes else len(open_tags) :]
        elif name in ("v", "rt"):
            _, _, annotation = inside.replace("\n", " ").replace("\t", " ").partition(" ")
            open_tags.append((name, plain(html.unescape(annotation))))
            if len(open_tags) > MAX_VOICES_OPEN:
                raise LineError(line, f"more than {MAX_VOICES_OPEN} tags are open in this cue; close them")
    for speaker, run in groupby(said, key=lambda piece: piece[0]):
        yield speaker, "".join(text for _, text in run)


# -- SubRip -----------------------------------------------------------------------------------------


def _srt_cues(lines: Sequence[str]) -> Iterator[Cue]:
    """A number alone on a line between an empty line and a time line counts the cue; it is not said."""
    arrows = [i for i, line in enumerate(lines) if "-->" in line]
    for place, at in enumerate(arrows):
        times = _SRT_TIMES.fullmatch(lines[at])
        if times is None:
            raise LineError(
                at + 1, f"a cue's times are {_shown(lines[at])}, must be like 00:01:02,500 --> 00:01:04,000"
            )
        start, end = _span(at + 1, times)
        stop = len(lines)
        if place + 1 < len(arrows):
            stop = arrows[place + 1]
            if lines[stop - 1].strip().isdigit() and stop - 2 > at and not lines[stop - 2].strip():
                stop -= 1
        text = _SRT_TAG.sub("", _bounded(at + 1, "\n".join(lines[at + 1 : stop]))).strip()
        if text:
            yield Cue(at + 1, start, end, (("", text),))


def _prefix(text: str) -> "re.Match[str] | None":
    match = _PREFIX.match(text)
    if match is None or len(match[1].split()) > _MAX_PREFIX_WORDS:
        return None
    first = match[1][0]
    return None if first.islower() else match


def _split(text: str, match: "re.Match[str]") -> tuple[str, str]:
    return plain(match[1]), text[match.end() :]


def _bounded(line: int, text: str) -> str:
    if len(text) > MAX_CUE_CHARS:
        raise LineError(line, f"this cue has {len(text)} characters, must have {MAX_CUE_CHARS} or fewer")
    return text


# -- times ------------------------------------------------------------------------------------------


def _span(line: int, times: "re.Match[str]") -> tuple[int, int]:
    parts = times.groups()
    start, end = _sample(line, parts[:4]), _sample(line, parts[4:])
    if end < start:
        raise LineError(line, f"a cue ends at {end / SAMPLE_RATE} s, before it begins at {start / SAMPLE_RATE} s")
    return start, end


def _sample(line: int, parts: Sequence[str | None]) -> int:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    # Thousands of digits are no number that is worth converting.
    if len(hours) > 4 or int(hours) >= MAX_HOURS or int(minutes) > 59 or int(seconds) > 59:
        raise LineError(
            line,
            f"the time {hours[:9]}:{minutes}:{seconds} is out of range: hours to {MAX_HOURS - 1}, minutes and "
            "seconds to 59",
        )
    whole_s = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return (whole_s * 1000 + int(fraction.ljust(3, "0"))) * _MS


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:60] + "…")
