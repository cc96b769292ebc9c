"""Finding the line that answers a question, and the words of it that do.

The first step (services/decoder/lineindex.py) brings the READ best lines by words and meaning; readers
(services/decoder/reader.py) read each beside the question. A line's score is their logit + BY_WORDS x the
score of the first step. `probability` is a logistic curve of that score, of its lead over the best other line and of
the first step's score, fitted by `python -m tools.train_decoder calibrate` on meetings for development.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.decoder.lineindex import Candidate, LineIndex, is_echo
from services.decoder.lines import Line
from services.decoder.moments import moment_sample, on_screen_when, speaker_asked
from services.decoder.pictures import Pictures, picture_asked
from services.decoder.reader import Passage, Reader, Reading
from services.runtime.sentence import SentenceEncoder

# What the first step's score adds to the readers' logit.
BY_WORDS = 1.0
OTHERS_WORDS = 4.0
# What a "Yes." or "No, ..." gains right after the same question was asked in the meeting: alone it says too little.
REPLIES = 8.0
_REPLY = re.compile(
    r"(?:(?:oh|well|um|uh|so|but|unfortunately|actually)[,.]? )*"
    r"(?:yes|yeah|yep|yup|no|nope|not|nobody|no one|nothing|none|never|sure|of course|absolutely|definitely|exactly)\b",
    re.IGNORECASE,
)
# A lead of more tells nothing more; a score under it neither.
MOST_LEAD, LEAST_SCORE = 6.0, -6.0
# What takes back what was said just before.
_TAKES_BACK = re.compile(
    r"^(?:(?:no|wait|well|oh|hm+|okay|ok|so|then|but|sorry|and)[,.]? )*"
    r"(?:(?:scratch|forget|strike|cancel|undo) (?:that|it)\b|(?:i|we) take (?:that|it) back\b|correction\b|"
    r"on second thoughts?\b|actually,? (?:no\b|let's\b|make (?:it|that)\b)|let's make (?:it|that)\b|"
    r"sorry, (?:i|we) meant?\b)(?!.*\?$)",
    re.IGNORECASE,
)
# Utterances after one in which it may be taken back; later it is something else that is.
_TAKEN_BACK_WITHIN = 2
# Lines that are read.
READ = 10
# Below it the best line is not offered as an answer.
LEAST_PROBABILITY = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """Log-odds that a line answers: weights of its score, of its lead over the best other line and of its fit."""

    by_score: float
    by_lead: float
    by_fit: float
    bias: float

    def probability(self, score: float, lead: float, fit: float) -> float:
        """How likely a line is to answer with this score, lead, and `fit` of the first step."""
        lead = min(max(lead, -MOST_LEAD), MOST_LEAD)
        odds = self.by_score * max(score, LEAST_SCORE) + self.by_lead * lead + self.by_fit * fit + self.bias
        return 1 / (1 + math.exp(-odds))


# docs/answers.md tells how it was fitted.
CURVE = Curve(0.54, 0.29, 1.44, -2.42)


@dataclass(frozen=True, slots=True)
class Hit:
    """A found line, its score and the probability that it answers the question.

    `answer` are the words that answer: `span` of the line's text or, where that is None, its speaker's name.
    `alone` is the probability where several lines may answer, whatever the others are.
    """

    line: Line
    score: float
    probability: float
    answer: str = ""
    span: tuple[int, int] | None = None
    alone: float = 0.0


class Index(LineIndex):
    """A line index that reads what it finds. Not thread-safe."""

    def __init__(self, encoder: SentenceEncoder, reader: Reader | None = None) -> None:
        super().__init__(encoder)
        self.reader = reader
        self.pictures = Pictures()

    def open(self) -> None:
        """Open what reads, so that the first question need not wait for that."""
        if self.reader is not None:
            self.reader.open()

    def search(self, question: str, names: dict[str, str], count: int = 5) -> list[Hit]:
        """The best lines for a question, best first. `names` are what the speakers are called."""
        if (moment := on_screen_when(question)) is not None and (hits := self._on_screen(moment, names)):
            return hits[:count]
        found = self._read(question, names)
        if len(self.pictures) and (content := picture_asked(question)) is not None:
            # a line that surely answers stays before them
            found = sorted([*found, *self._pictured(content, count)], key=lambda hit: -hit.probability)
        return found[:count]

    def _pictured(self, content: str, count: int) -> list[Hit]:
        """Icons and buttons without words that look like what is asked for."""
        near = self.pictures.find(content, self._encoder.encode([content])[0], count)
        return [Hit(line, sure, sure, line.text, (0, len(line.text))) for line, sure in near]

    def _read(self, question: str, names: dict[str, str]) -> list[Hit]:
        found = self.candidates(question, names)
        if self.reader is None:
            return [Hit(e.line, e.score, 1 / (1 + math.exp(-8 * (e.score - 0.48))), e.line.text) for e in found[:READ]]
        hits = _hits(scored(self.reader, question, names, found[:READ]), names)
        # what was not read follows: a scope or a time may still want it
        return self._after_change_of_mind(hits) + [Hit(e.line, LEAST_SCORE, 0.0, e.line.text) for e in found[READ:]]

    def _after_change_of_mind(self, hits: list[Hit]) -> list[Hit]:
        """The hits, the line first that took back what the best one said, as sure as that: "Scratch that, ..."."""
        if not hits or hits[0].line.kind != "speech" or hits[0].probability < LEAST_PROBABILITY:
            return hits
        said, near = hits[0], self.spoken_after(hits[0].line, _TAKEN_BACK_WITHIN)
        back = next((hit for hit in hits if hit.line.line_id in near and _TAKES_BACK.search(hit.line.text)), None)
        if back is None:
            return hits
        rest = [hit for hit in hits if hit is not back]
        return [replace(back, probability=said.probability, alone=said.alone, score=said.score), *rest]

    def _on_screen(self, moment: str, names: dict[str, str]) -> list[Hit]:
        """The last picture that came before a moment, told by a time or by what was said."""
        at, sure = moment_sample(moment), 1.0
        if at is None:
            said = next((hit for hit in self._read(moment, names) if hit.line.kind == "speech"), None)
            if said is None:
                return []
            at, sure = said.line.start_sample, said.probability
        lines = self.shown_at(at)
        return [Hit(line, sure, sure, line.text, (0, len(line.text))) for line in lines]


@dataclass(frozen=True, slots=True)
class Scored:
    """A line that was read, with what a curve makes a probability of."""

    candidate: Candidate
    reading: Reading
    score: float
    lead: float


def scored(reader: Reader, question: str, names: dict[str, str], found: Sequence[Candidate]) -> list[Scored]:
    """The lines that may be offered, best first by the readers."""
    readings = read(reader, question, names, found)
    scores = [
        reading.logit + BY_WORDS * each.score + REPLIES * is_reply(question, each)
        for each, reading in zip(found, readings, strict=True)
    ]
    best, second = sorted([*scores, LEAST_SCORE, LEAST_SCORE], reverse=True)[:2]
    lines = [
        Scored(each, reading, score, score - (second if score == best else best))
        for each, reading, score in zip(found, readings, scores, strict=True)
        # it counts among those that others must lead: how sure they are was fitted so
        if not is_echo(question, each.line.text)
    ]
    return sorted(lines, key=lambda e: (-e.score, e.candidate.line.start_sample, e.candidate.line.line_id))


def _hits(best: Sequence[Scored], names: dict[str, str]) -> list[Hit]:
    hits = []
    for each in best:
        line, fit = each.candidate.line, each.candidate.score
        sure, alone = CURVE.probability(each.score, each.lead, fit), CURVE.probability(each.score, 0.0, fit)
        hits.append(Hit(line, each.score, sure, _words_of(line, each.reading, names), each.reading.span, alone))
    return hits


def is_reply(question: str, candidate: Candidate) -> bool:
    """Whether a line says yes or no right after somebody asked what the question asks."""
    return _REPLY.match(candidate.line.text) is not None and is_echo(question, candidate.before)


def read(reader: Reader, question: str, names: dict[str, str], found: Sequence[Candidate]) -> list[Reading]:
    """The readers' readings; what others said is worth OTHERS_WORDS less where one speaker's words are asked for."""
    passages = [Passage(each.before, names.get(each.line.speaker, ""), _as_heard(each), each.wide) for each in found]
    readings, asked = reader.read(question, passages), speaker_asked(question, names)
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


def _words_of(line: Line, reading: Reading, names: dict[str, str]) -> str:
    if reading.span is None:
        return names.get(line.speaker, line.speaker) or line.text
    return line.text[reading.span[0] : reading.span[1]]
