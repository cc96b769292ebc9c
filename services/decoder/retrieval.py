"""Finding the lines that answer a question: BM25 and MiniLM over everything said and shown.

The score of a line is
    cosine of the sentence embeddings
    + LEXICAL x BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75), as a share of the most
      that the question's words could reach
    + ANSWER_TYPE when it holds what the question asks for (a number, a time, a reason, a name),
      - ANSWER_TYPE when it does not
    - QUESTION when it is a question itself
    + FOLLOWS x cosine of the line before it, when that is a question.
`probability` of the best score is a logistic curve; weights and curve were chosen on the
"development" meetings of tests/unit/decoder/meetings.json, with and without 59 unrelated lines.
"""

import bisect
import heapq
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from services.decoder.lines import Line
from services.decoder.sentence import SentenceEncoder

LEXICAL, ANSWER_TYPE, QUESTION, FOLLOWS = 0.6, 0.1, 0.2, 0.2
# Where the best line is as likely as not to be the answer, and how fast that changes.
EVEN_SCORE, STEEPNESS = 0.48, 8.0
MAX_LINES = 40_000
_FORGOTTEN_AT_ONCE = 1_000
# Only these many lines, best by cosine and BM25, are looked at closely.
_CANDIDATES = 64
_K1, _B = 1.2, 0.75
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,:]\d+)*")
_STOP = frozenset(
    "a an the is are was were be been do does did has have had will would can could should i you he she "
    "it we they me him her us them my your our their this that these those of in on at to for from by "
    "with about and or but not no what which who whom whose when where why how much many long any as so "
    "if then there here now s ll re ve t m d".split()
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A found line, its score and the probability that it answers the question."""

    line: Line
    score: float
    probability: float


class Index:
    """All lines of one session. Not thread-safe; memory is bounded by MAX_LINES, the oldest go first."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._lines: dict[str, Line] = {}
        self._rows: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._vectors = np.zeros((64, encoder.dimension), np.float32)
        self._lengths = np.zeros(64, np.float32)
        self._postings: dict[str, dict[int, int]] = {}
        self._of_source: dict[str, list[str]] = {}
        self._spoken: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._lines)

    def replace(self, source: str, lines: Iterable[Line]) -> None:
        """Put the lines of one source ("speech:" or "screen:" and its id) in the place of its old ones."""
        new = {line.line_id: line for line in lines if line.text}
        for line_id in self._of_source.pop(source, []):
            # the same words need no new embedding; a new speaker or time is only noted
            if line_id in new and new[line_id].text == self._lines[line_id].text:
                self._move(new.pop(line_id), source)
            else:
                self._remove(line_id)
        for line in new.values():
            self._add(line, source)
        if len(self._lines) > MAX_LINES:
            self._forget()

    def search(self, question: str, names: dict[str, str], count: int = 5) -> list[Hit]:
        """The best lines for a question, best first. `names` are what the speakers are called."""
        if not self._lines:
            return []
        terms = [_stem(word) for word in _TOKEN.findall(question.lower()) if word not in _STOP]
        similar = self._vectors[: len(self._ids)] @ self._encoder.encode([question])[0]
        scores = similar + LEXICAL * self._lexical(terms)
        # a freed row has a zero vector and no postings: it scores 0 and is skipped by its id
        rows = np.argsort(-scores, kind="stable")[: _CANDIDATES + len(self._free)]
        wanted = answer_type(question)
        about = {who for who, name in names.items() if _mentions(question, name)}
        hits = []
        for row in rows:
            line_id = self._ids[row]
            if line_id is None:
                continue
            line, score = self._lines[line_id], float(scores[row])
            if line.text.endswith("?"):
                score -= QUESTION
            if wanted is not None:
                score += ANSWER_TYPE if wanted.search(line.text) else -ANSWER_TYPE
            if line.speaker in about:
                score += ANSWER_TYPE
            score += FOLLOWS * self._question_before(line, similar)
            hits.append(Hit(line, score, probability(score)))
        hits.sort(key=lambda hit: (-hit.score, hit.line.start_sample, hit.line.line_id))
        return hits[:count]

    def _lexical(self, terms: list[str]) -> np.ndarray:
        """BM25 of every row as a share of the most that these terms could give."""
        total = np.zeros(len(self._ids), np.float32)
        most, count = 0.0, len(self._lines)
        average = float(self._lengths[: len(self._ids)].sum()) / count
        for term in terms:
            posting = self._postings.get(term, {})
            idf = math.log(1 + (count - len(posting) + 0.5) / (len(posting) + 0.5))
            most += idf * (_K1 + 1)
            for row, times in posting.items():
                norm = _K1 * (1 - _B + _B * float(self._lengths[row]) / average)
                total[row] += idf * times * (_K1 + 1) / (times + norm)
        return total / most if most else total

    def _question_before(self, line: Line, similar: np.ndarray) -> float:
        if line.kind != "speech":
            return 0.0
        place = bisect.bisect_left(self._spoken, (line.start_sample, line.line_id))
        if place == 0:
            return 0.0
        before = self._lines[self._spoken[place - 1][1]]
        return float(similar[self._rows[before.line_id]]) if before.text.endswith("?") else 0.0

    def _add(self, line: Line, source: str) -> None:
        row = self._free.pop() if self._free else self._new_row()
        words = [_stem(word) for word in _TOKEN.findall(line.text.lower())]
        for word, times in Counter(words).items():
            self._postings.setdefault(word, {})[row] = times
        self._ids[row], self._rows[line.line_id] = line.line_id, row
        self._lengths[row] = len(words)
        self._vectors[row] = self._encoder.encode([line.text])[0]
        self._lines[line.line_id] = line
        self._of_source.setdefault(source, []).append(line.line_id)
        if line.kind == "speech":
            bisect.insort(self._spoken, (line.start_sample, line.line_id))

    def _move(self, line: Line, source: str) -> None:
        old = self._lines[line.line_id]
        if line.kind == "speech" and line.start_sample != old.start_sample:
            self._spoken.remove((old.start_sample, old.line_id))
            bisect.insort(self._spoken, (line.start_sample, line.line_id))
        self._lines[line.line_id] = line
        self._of_source.setdefault(source, []).append(line.line_id)

    def _remove(self, line_id: str) -> None:
        line, row = self._lines.pop(line_id), self._rows.pop(line_id)
        for word in {_stem(word) for word in _TOKEN.findall(line.text.lower())}:
            del self._postings[word][row]
            if not self._postings[word]:
                del self._postings[word]
        self._ids[row] = None
        self._vectors[row] = 0
        self._lengths[row] = 0
        self._free.append(row)
        if line.kind == "speech":
            self._spoken.remove((line.start_sample, line_id))

    def _forget(self) -> None:
        oldest = heapq.nsmallest(
            _FORGOTTEN_AT_ONCE, self._lines.values(), key=lambda line: (line.end_sample, line.line_id)
        )
        for line in oldest:
            self._remove(line.line_id)
            source = f"{line.kind}:{line.source_id}"
            self._of_source[source].remove(line.line_id)
            if not self._of_source[source]:
                del self._of_source[source]

    def _new_row(self) -> int:
        self._ids.append(None)
        if len(self._ids) > len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
        return len(self._ids) - 1


def probability(score: float) -> float:
    """How likely a best line with this score is to answer the question."""
    return 1 / (1 + math.exp(-STEEPNESS * (score - EVEN_SCORE)))


_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d|\b((mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|january|february|march|april|"
    r"may|june|july|august|september|october|november|december|today|tomorrow|yesterday|tonight|morning|"
    r"noon|evening|week|month|year|quarter|first|second|third|later|soon|before|after)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(because|since|due to|so that|as|reason|insists?|not)\b", re.IGNORECASE)
_PERSON = re.compile(r"(?<![.?!:] )(?<!^)\b[A-Z][a-z]+|\bI\b")
_PLACE = re.compile(r"(?<![.?!:] )(?<!^)\b[A-Z][a-z]+")
_ASKS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"^(when|what time|which (day|date)|what (day|date))\b"), _TIME),
    (re.compile(r"^why\b"), _REASON),
    (re.compile(r"^who\b"), _PERSON),
    (re.compile(r"^where\b"), _PLACE),
    (
        re.compile(r"\bhow (many|much|long|old|tall|fast|far|big)\b|\b(number|price|rate|cost|percent)\b"),
        _NUMBER,
    ),
)


def answer_type(question: str) -> re.Pattern[str] | None:
    """What an answer to an English question should contain; None when anything may answer it."""
    asked = question.strip().lower()
    return next((wanted for asks, wanted in _ASKS if asks.search(asked)), None)


def _mentions(question: str, name: str) -> bool:
    return bool(name) and re.search(rf"\b{re.escape(name)}\b", question, re.IGNORECASE) is not None


def _stem(word: str) -> str:
    for ending in ("ing", "edly", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
