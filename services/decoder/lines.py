"""Lines: the pieces of a timeline that can be found and quoted. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.decoder.text import one_line
from services.decoder.timeline import ScreenLine
from services.runtime.percept import BoxXyxy, Transcript, Word

# A longer utterance is quoted in pieces, cut at the ends of sentences where there are any.
MAX_WORDS = 40
_SENTENCE_END = re.compile(r"[.?!。？！]['\")\]]?$")


@dataclass(frozen=True, slots=True)
class Line:
    """Words that somebody said ("speech") or that were read ("screen"); `source_id` says where."""

    line_id: str
    kind: str
    text: str
    speaker: str
    start_sample: int
    end_sample: int
    source_id: str
    box: BoxXyxy | None = None
    frame_id: str = ""


def spoken_lines(said: Transcript) -> list[Line]:
    """The pieces of one utterance."""
    joint = "" if said.language[:2] in ("zh", "ja", "th") else " "
    return [
        Line(
            line_id=f"speech:{said.utterance_id}:{index}",
            kind="speech",
            text=one_line(joint.join(word.text for word in piece)),
            speaker=said.speaker,
            start_sample=piece[0].start_sample,
            end_sample=piece[-1].end_sample,
            source_id=said.utterance_id,
        )
        for index, piece in enumerate(_pieces(said.words))
    ]


def shown_line(line: ScreenLine) -> Line:
    """One line of the screen."""
    return Line(
        line_id=f"screen:{line.line_id}",
        kind="screen",
        text=one_line(line.text),
        speaker="",
        start_sample=line.first_sample,
        end_sample=line.last_sample,
        source_id=line.line_id,
        box=line.box,
        frame_id=line.frame_id,
    )


def _pieces(words: tuple[Word, ...]) -> Iterator[tuple[Word, ...]]:
    start = 0
    while len(words) - start > MAX_WORDS:
        window = range(start + 1, start + MAX_WORDS + 1)
        end = max((i for i in window if _SENTENCE_END.search(words[i - 1].text)), default=start + MAX_WORDS)
        yield words[start:end]
        start = end
    if start < len(words):
        yield words[start:]
