"""Finding the line that answers a question, and the words of it that do.

The first step (services/decoder/lineindex.py) brings the READ best lines by words and meaning; the reader
(services/decoder/reader.py) reads each beside the question. A line's score is the reader's logit + BY_WORDS x the
score of the first step. `probability` is a logistic curve of that score, of its lead over the best other line and of
the first step's score, fitted by `python -m tools.train_decoder calibrate` on meetings for development.

Where no line is sure, all is looked at twice: lines whose subject may also have come some lines before, each read by
the reader and by the wide reader. The logit is then the mean of both, and the curve another.
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

# What the first step's score adds to the reader's logit.
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
# Below the first the best line is not offered as an answer; below the second all is looked at twice.
LEAST_PROBABILITY, SURE = 0.45, 0.65


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


# Of lines that were looked at once and twice; docs/answers.md tells how they were fitted.
ONCE, TWICE = Curve(0.41, 0.26, 1.37, -2.41), Curve(0.54, 0.41, 1.99, -3.16)


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
        looks = Looks(self, self.reader, question, names)
        hits = _hits(looks.once(), ONCE, names)
        if hits and hits[0].probability < SURE:
            hits = [replace(hit, is_wide=True) for hit in _hits(looks.twice(), TWICE, names)]
        # what was not read follows: a scope or a time may still want it
        return self._after_change_of_mind(hits) + [
            Hit(each.line, LEAST_SCORE, 0.0, each.line.text) for each in looks.unread
        ]

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
        at, sure, is_wide = moment_sample(moment), 1.0, False
        if at is None:
            said = next((hit for hit in self._read(moment, names) if hit.line.kind == "speech"), None)
            if said is None:
                return []
            at, sure, is_wide = said.line.start_sample, said.probability, said.is_wide
        lines = self.shown_at(at)
        return [Hit(line, sure, sure, line.text, (0, len(line.text)), is_wide=is_wide) for line in lines]


@dataclass(frozen=True, slots=True)
class Scored:
    """A line that was read, with what a curve makes a probability of."""

    candidate: Candidate
    reading: Reading
    score: float
    lead: float


class Looks:
    """One question's looks at an index with lines: what was found and read in the first is not sought again."""

    def __init__(self, index: LineIndex, reader: Reader, question: str, names: dict[str, str]) -> None:
        self._index, self._reader, self._question, self._names = index, reader, question, names
        self._fit, self._readings = index.fit(question, names), dict[str, Reading]()
        self.unread: list[Candidate] = []

    def once(self) -> list[Scored]:
        """The best lines by the reader, best first."""
        found = self._found(is_wide=False)
        return self._scored(found, [self._readings[each.line.line_id] for each in found])

    def twice(self) -> list[Scored]:
        """The best lines, also those with an earlier subject, by the mean of the reader and the wide reader."""
        found = self._found(is_wide=True)
        wide = read(self._reader, self._question, self._names, found, is_wide=True)
        return self._scored(found, [mean(self._readings[e.line.line_id], w) for e, w in zip(found, wide, strict=True)])

    def _found(self, *, is_wide: bool) -> list[Candidate]:
        candidates = self._index.ranked(self._fit, self._question, self._names, is_wide=is_wide)
        found, self.unread = candidates[:READ], candidates[READ:]
        new = [each for each in found if each.line.line_id not in self._readings]
        if new:
            readings = read(self._reader, self._question, self._names, new)
            self._readings |= {each.line.line_id: reading for each, reading in zip(new, readings, strict=True)}
        return found

    def _scored(self, found: Sequence[Candidate], readings: Sequence[Reading]) -> list[Scored]:
        scores = [
            reading.logit + BY_WORDS * each.score + REPLIES * is_reply(self._question, each)
            for each, reading in zip(found, readings, strict=True)
        ]
        best, second = sorted([*scores, LEAST_SCORE, LEAST_SCORE], reverse=True)[:2]
        scored = [
            Scored(each, reading, score, score - (second if score == best else best))
            for each, reading, score in zip(found, readings, scores, strict=True)
            # it counts among those that others must lead: how sure they are was fitted so
            if not is_echo(self._question, each.line.text)
        ]
        return sorted(scored, key=lambda e: (-e.score, e.candidate.line.start_sample, e.candidate.line.line_id))


def _hits(scored: Sequence[Scored], curve: Curve, names: dict[str, str]) -> list[Hit]:
    hits = []
    for each in scored:
        line, fit = each.candidate.line, each.candidate.score
        sure, alone = curve.probability(each.score, each.lead, fit), curve.probability(each.score, 0.0, fit)
        hits.append(Hit(line, each.score, sure, _words_of(line, each.reading, names), each.reading.span, alone))
    return hits


def mean(one: Reading, other: Reading) -> Reading:
    """The mean of two readers' logits, and the words of the surer one."""
    return Reading((one.logit + other.logit) / 2, max(one, other, key=lambda reading: reading.logit).span)


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


def _words_of(line: Line, reading: Reading, names: dict[str, str]) -> str:
    if reading.span is None:
        return names.get(line.speaker, line.speaker) or line.text
    return line.text[reading.span[0] : reading.span[1]]
