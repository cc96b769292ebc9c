"""Finding the line that answers a question, and the words of it that do.

The first step (services/decoder/lineindex.py) brings the READ best lines by words and meaning; the reader
(services/decoder/reader.py) reads each beside the question. A line's score is the reader's logit + BY_WORDS x the
score of the first step. `probability` is a logistic curve of that score, of its lead over the best other line and of
the first step's score, fitted by `python -m tools.train_decoder calibrate` on meetings for development.

Where no line is sure enough, its wide reader looks again, at lines whose subject may have come some lines before; it is
believed only where it is very sure.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.decoder.lineindex import Candidate, Fit, LineIndex, is_echo
from services.decoder.lines import Line
from services.decoder.moments import moment_sample, on_screen_when, speaker_asked
from services.decoder.pictures import Pictures, picture_asked
from services.decoder.reader import Passage, Reader, Reading
from services.runtime.sentence import SentenceEncoder

# What the first step's score adds to the reader's logit.
BY_WORDS = 1.0
OTHERS_WORDS = 4.0
# What a "Yes." or "No, ..." gains right after the same question was asked in the meeting: alone it says too little.
REPLIES = 6.0
_REPLY = re.compile(
    r"(?:(?:oh|well|um|uh|so|but|unfortunately|actually)[,.]? )*"
    r"(?:yes|yeah|yep|yup|no|nope|not|nobody|no one|nothing|none|never|sure|of course|absolutely|definitely|exactly)\b",
    re.IGNORECASE,
)
# A line is as sure as its score, its lead over the best other line and its words say: weights and bias of log-odds.
BY_SCORE, BY_LEAD, BY_FIT, BIAS = 0.47, 0.22, 0.87, -1.07
# A lead of more tells nothing more; a score under it neither.
MOST_LEAD, LEAST_SCORE = 6.0, -6.0
# Lines that are read.
READ = 10
# Below it the best line is not offered as an answer, and before that the wide reader is asked.
LEAST_PROBABILITY = 0.45
# The wide reader must be as sure as the first; it is right as often as the second says. docs/answers.md tells how all
# three were chosen.
WIDE_SURE, WIDE_RIGHT = 0.95, 0.93


@dataclass(frozen=True, slots=True)
class Hit:
    """A found line, its score and the probability that it answers the question.

    `answer` are the words that answer: `span` of the line's text or, where that is None, its speaker's name.
    `alone` is the probability where several lines may answer, whatever the others are. `is_wide`: the wide reader was
    asked, about this line or others.
    """

    line: Line
    score: float
    probability: float
    answer: str = ""
    span: tuple[int, int] | None = None
    alone: float = 0.0
    is_wide: bool = False


class Index(LineIndex):
    """A line index that reads what it finds. Not thread-safe."""

    def __init__(self, encoder: SentenceEncoder, reader: Reader | None = None) -> None:
        super().__init__(encoder)
        self.reader = reader
        self.pictures = Pictures()

    def search(self, question: str, names: dict[str, str], count: int = 5) -> list[Hit]:
        """The best lines for a question, best first. `names` are what the speakers are called."""
        if (moment := on_screen_when(question)) is not None and (hits := self._on_screen(moment, names)):
            return hits[:count]
        found = self._read(question, names)
        if len(self.pictures) and (content := picture_asked(question)) is not None:
            # a line that surely answers stays before them
            is_wide = are_read_wide(found)
            pictured = [replace(hit, is_wide=is_wide) for hit in self._pictured(content, count)]
            found = sorted([*found, *pictured], key=lambda hit: -hit.probability)
        return found[:count]

    def _pictured(self, content: str, count: int) -> list[Hit]:
        """Icons and buttons without words that look like what is asked for."""
        near = self.pictures.find(content, self._encoder.encode([content])[0], count)
        return [Hit(line, sure, sure, line.text, (0, len(line.text))) for line, sure in near]

    def _read(self, question: str, names: dict[str, str]) -> list[Hit]:
        if self.reader is None:
            found = self.candidates(question, names)[:READ]
            return [Hit(e.line, e.score, 1 / (1 + math.exp(-8 * (e.score - 0.48))), e.line.text) for e in found]
        if not len(self):
            return []
        fit = self.fit(question, names)
        hits = self._read_by(self.reader, fit, question, names, is_wide=False)
        if hits and hits[0].probability < LEAST_PROBABILITY:
            wide = self._read_by(self.reader, fit, question, names, is_wide=True)
            if wide and (best := wide[0]).probability >= WIDE_SURE:
                sure = min(best.probability, WIDE_RIGHT)
                others = [hit for hit in hits if hit.line.line_id != best.line.line_id]
                hits = [replace(best, probability=sure, alone=min(best.alone, sure)), *others]
            hits = [replace(hit, is_wide=True) for hit in hits]
        return hits

    def _read_by(self, reader: Reader, fit: Fit, question: str, names: dict[str, str], *, is_wide: bool) -> list[Hit]:
        candidates = self.ranked(fit, question, names, is_wide=is_wide)
        found, unread = candidates[:READ], candidates[READ:]
        readings = read(reader, question, names, found, is_wide=is_wide)
        scores = [
            reading.logit + BY_WORDS * each.score + REPLIES * is_reply(question, each)
            for each, reading in zip(found, readings, strict=True)
        ]
        best, second = sorted([*scores, LEAST_SCORE, LEAST_SCORE], reverse=True)[:2]
        hits = []
        for each, reading, score in zip(found, readings, scores, strict=True):
            # it counts among those that others must lead: how sure they are was fitted so
            if is_echo(question, each.line.text):
                continue
            sure = probability(score, score - (second if score == best else best), each.score)
            words, alone = _words_of(each.line, reading, names), probability(score, 0.0, each.score)
            hits.append(Hit(each.line, score, sure, words, reading.span, alone))
        hits.sort(key=lambda hit: (-hit.score, hit.line.start_sample, hit.line.line_id))
        # what was not read follows: a scope or a time may still want it
        return hits + [Hit(each.line, LEAST_SCORE, 0.0, each.line.text) for each in unread]

    def _on_screen(self, moment: str, names: dict[str, str]) -> list[Hit]:
        """The last picture that came before a moment, told by a time or by what was said."""
        at, sure, is_wide = moment_sample(moment), 1.0, False
        if at is None:
            said = next((hit for hit in self._read(moment, names) if hit.line.kind == "speech"), None)
            if said is None:
                return []
            at, sure, is_wide = said.line.start_sample, said.probability, said.is_wide
        lines = self.shown_at(at)
        return [Hit(line, sure, sure, line.text, (0, len(line.text)), is_wide=is_wide) for line in lines]


def are_read_wide(hits: Sequence[Hit]) -> bool:
    """Whether the wide reader was asked for what a search found."""
    return any(hit.is_wide for hit in hits)


def is_reply(question: str, candidate: Candidate) -> bool:
    """Whether a line says yes or no right after somebody asked what the question asks."""
    return _REPLY.match(candidate.line.text) is not None and is_echo(question, candidate.before)


def read(
    reader: Reader, question: str, names: dict[str, str], found: Sequence[Candidate], *, is_wide: bool = False
) -> list[Reading]:
    """The reader's readings; what others said is worth OTHERS_WORDS less where one speaker's words are asked for."""
    passages = [Passage(each.before, names.get(each.line.speaker, ""), _as_heard(each), each.wide) for each in found]
    readings, asked = reader.read(question, passages, is_wide=is_wide), speaker_asked(question, names)
    return [
        replace(
            reading,
            logit=reading.logit - (0 if asked in (None, each.line.speaker) else OTHERS_WORDS),
            span=_inside(reading.span, each.line),
        )
        for each, reading in zip(found, readings, strict=True)
    ]


def _as_heard(candidate: Candidate) -> Line:
    """The line with the words that its sound holds beside those that were written."""
    line = candidate.line
    return replace(line, text=f"{line.text} ({', '.join(candidate.heard)})") if candidate.heard else line


def _inside(span: tuple[int, int] | None, line: Line) -> tuple[int, int] | None:
    """A place in a line; all of it where the place lies in what was only heard."""
    return (0, len(line.text)) if span is not None and span[1] > len(line.text) else span


def probability(score: float, lead: float, fit: float) -> float:
    """How likely a line is to answer with this score, `lead` over the best other line, and `fit` of the first step."""
    lead = min(max(lead, -MOST_LEAD), MOST_LEAD)
    return 1 / (1 + math.exp(-(BY_SCORE * max(score, LEAST_SCORE) + BY_LEAD * lead + BY_FIT * fit + BIAS)))


def _words_of(line: Line, reading: Reading, names: dict[str, str]) -> str:
    if reading.span is None:
        return names.get(line.speaker, line.speaker) or line.text
    return line.text[reading.span[0] : reading.span[1]]
