"""All lines of a time that a question names: nothing is searched, and none is left out but for length. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from services.decoder.lines import Line, shown_line, spoken_lines
from services.decoder.moments import Window
from services.decoder.retrieval import Hit
from services.decoder.text import clock, one_line
from services.decoder.timeline import Timeline
from services.decoder.times import around

# Lines that are told.
MAX_LINES = 100


@dataclass(frozen=True, slots=True)
class Told:
    """The lines of a time in order, and what an answer says of them; no lines where there is nothing to tell."""

    hits: tuple[Hit, ...]
    text: str


def told_of(timeline: Timeline, window: Window, names: Mapping[str, str]) -> Told:
    """What was said or shown in a window; the first MAX_LINES of it, and how many more there are."""
    if window.start_sample > timeline.last_sample:
        return Told((), f"This session is {clock(timeline.last_sample)} long; nothing was there then.")
    lines = list(_shown(timeline, window) if window.kind == "screen" else _said(timeline, window))
    kept = lines[:MAX_LINES]
    if not kept:
        return Told((), "The screen showed no text then." if window.kind == "screen" else "I heard nothing then.")
    text = "\n".join(_as_shown(kept) if window.kind == "screen" else (_as_said(line, names) for line in kept))
    if len(lines) > MAX_LINES:
        text += f"\n({len(lines) - MAX_LINES} lines more, until {clock(lines[-1].end_sample)})"
    return Told(tuple(Hit(line, 1.0, 1.0, line.text, (0, len(line.text)), 1.0) for line in kept), text)


def _said(timeline: Timeline, window: Window) -> Iterator[Line]:
    start, end = around(window.start_sample, window.end_sample)
    for said in timeline.utterances_in(start, end):
        for line in spoken_lines(said):
            is_wanted = window.speaker in ("", line.speaker)
            if is_wanted and line.start_sample < end and line.end_sample > start:
                yield line


def _shown(timeline: Timeline, window: Window) -> Iterator[Line]:
    """What stood there at the beginning of the window, then what came in it."""
    for line in timeline.picture_at(window.start_sample):
        yield replace(shown_line(line), start_sample=window.start_sample)
    yield from map(shown_line, timeline.shown_in(window.start_sample, window.end_sample))


def _as_said(line: Line, names: Mapping[str, str]) -> str:
    who = one_line(names.get(line.speaker, line.speaker)) or "Somebody"
    return f'{who} at {clock(line.start_sample)}: "{line.text}"'


def _as_shown(lines: list[Line]) -> Iterator[str]:
    for start, picture in groupby(lines, key=lambda line: line.start_sample):
        yield f'The screen showed at {clock(start)}: "{"; ".join(line.text for line in picture)}"'
