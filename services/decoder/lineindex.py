"""All lines of one session and the first step of finding: BM25 and MiniLM over everything said and shown.

A word of the question that no line holds is listened for in the sound (services/decoder/listening.py), where the
session has that: where it was likely said it counts as written, elsewhere it moves lines forward and makes none surer.
The score of a line is
    fit = cosine of the sentence embeddings + LEXICAL x BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75), as a
          share of the most that the question's words could reach
    + FOLLOWS x fit of the line before it when that is a question, CONTINUES x when not
    + EARLIER x the best fit of the utterances two and three before it, for the wide reader
    + HEADED x fit of the topmost line of its picture
    + SPEAKER when the question names who said it, OWN_WORDS when it asks for that person's words
    +- ANSWER_TYPE as it holds what the question asks for (a number, a time, a reason, a name) or not
    - QUESTION when it is a question itself.
The words of a line are there at once, its meaning, a hundred times dearer, when it is embedded: until then its cosine
is 0, but of those lines the READ_NOW that score best without it are embedded for the question.
Its aim is to have the right line among the first ten; services/decoder/retrieval.py reads those.
"""

import bisect
import heapq
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.decoder.lines import Line
from services.decoder.listening import Listener, likelihood_ratio
from services.decoder.moments import mention, speaker_asked
from services.decoder.postings import Postings
from services.decoder.vectors import Vectors
from services.runtime.sentence import SentenceEncoder

LEXICAL, ANSWER_TYPE, QUESTION, FOLLOWS, CONTINUES, HEADED = 0.6, 0.1, 0.1, 0.3, 0.1, 0.3
EARLIER = 0.3
SPEAKER, OWN_WORDS = 0.25, 0.5
# Utterances before one that the wide reader sees.
_WIDE = 3
MAX_LINES = 40_000
_FORGOTTEN_AT_ONCE = 1_000
# Lines not embedded yet that a question embeds: some .2 s.
READ_NOW = 32
# Lines that are looked at closely, best by fit.
_CANDIDATES = 64
_K1, _B = 1.2, 0.75
Float = NDArray[np.float32]
# Utterances in which a word that nobody wrote may have been said: of more, most have it not. As likely as this it is
# read as if it had been written.
_HEARD, _LIKELY = 5, 0.7
# Words of one question that are listened for: each takes time, and a pasted page would take minutes of it.
_LISTENED = 12
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,:]\d+)*")
_STOP = frozenset(
    "a an the is are was were be been do does did has have had will would can could should i you he she "
    "it we they me him her us them my your our their this that these those of in on at to for from by "
    "with about and or but not no what which who whom whose when where why how much many long any as so "
    "if then there here now s ll re ve t m d".split()
)
# The share of the words of a line that are those of a question, when the line repeats it.
ECHO = 0.75
_OPENING = re.compile(r"(?:okay|ok|so|well|right|sorry|hey|hmm|good|now|next)[,.!]?", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_ABOUT_ASKING = re.compile(
    r"\b(?:ask\w*|questions?|want\w*|mention\w*|sa(?:y|ys|id)|suggest\w*|propos\w*|wonder\w*|rais(?:e|ed|es)"
    r"|br(?:ing|ought) up|c[ao]me up|talk\w*|discuss\w*|speak\w*|spoke\w*)\b",
    re.IGNORECASE,
)
# Words about the talk, not of it: nobody listens for them.
_ASKING = frozenset(
    "mention mentions mentioned say says said tell tells told talk talks talked talking speak speaks spoke speaking "
    "discuss discusses discussed discussing hear hears heard anyone anybody someone somebody everyone everybody".split()
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A line that may answer: the line before it, and how well its words (BM25) and its meaning (cosine) fit.

    `wide` are the words of several lines before it. `heard` are words of the question that its
    sound likely holds, though nobody wrote them.
    """

    line: Line
    before: str
    wide: str
    score: float
    cosine: float
    lexical: float
    heard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """How well every row fits a question by itself, (rows,) each: by meaning, by its words, and by words that were
    perhaps said there; `heard` are the words that were likely said in some rows.
    """

    similar: Float
    lexical: Float
    perhaps: Float
    heard: dict[int, list[str]]


class LineIndex:
    """All lines of one session. Not thread-safe; memory is bounded by MAX_LINES, the oldest go first."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._lines: dict[str, Line] = {}
        self._rows: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._vectors = Vectors(encoder.dimension)
        # Rows that are not embedded yet, in the order in which they came.
        self._unread: dict[int, None] = {}
        self._lengths = np.zeros(64, np.float32)
        self._postings = Postings()
        self._of_source: dict[str, list[str]] = {}
        self._asks = np.zeros(64, np.bool_)
        self._said_by: dict[str, set[int]] = {}
        self._spoken: list[tuple[int, str]] = []
        self._shown: list[tuple[int, float, float, str]] = []
        self._previous: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None = None
        self.listener = Listener()

    def __len__(self) -> int:
        return len(self._lines)

    def embed(self, count: int) -> int:
        """Embed the next lines that are not; returns how many are left."""
        self._embed(list(itertools.islice(self._unread, count)))
        return len(self._unread)

    def _embed(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._vectors.put(row, self._encoder.encode([self._lines[self._ids[row] or ""].text])[0])
            del self._unread[row]

    def replace(self, source: str, lines: Iterable[Line], *, embed: bool = True) -> None:
        """Put the lines of one source ("speech:" or "screen:" and its id) in the place of its old ones.

        `embed`: at once, else `embed()` does it later.
        """
        new = {line.line_id: line for line in lines if line.text}
        for line_id in self._of_source.pop(source, []):
            # the same words need no new embedding; a new speaker or time is only noted
            if line_id in new and new[line_id].text == self._lines[line_id].text:
                self._move(new.pop(line_id), source)
            else:
                self._remove(line_id)
        for line in new.values():
            self._add(line, source)
        if embed:
            self.embed(len(self._unread))
        if len(self._lines) > MAX_LINES:
            self._forget()

    def spoken_after(self, line: Line, count: int) -> list[str]:
        """The ids of the lines of speech that come next after one."""
        place = bisect.bisect_right(self._spoken, (line.start_sample, line.line_id))
        return [line_id for _, line_id in self._spoken[place : place + count]]

    def candidates(self, question: str, names: dict[str, str], *, is_wide: bool = False) -> list[Candidate]:
        """The lines that may answer, likeliest first by words and meaning alone; at most _CANDIDATES.

        `is_wide`: also those whose subject came two or three utterances before.
        """
        return self.ranked(self.fit(question, names), question, names, is_wide=is_wide) if self._lines else []

    def fit(self, question: str, names: dict[str, str]) -> Fit:
        """How well the lines, at least one, fit a question by themselves; embeds READ_NOW of those that are not."""
        words = [word for word in _TOKEN.findall(question.lower()) if word not in _STOP]
        asked = self._encoder.encode([question])[0]
        lexical, perhaps, heard = self._lexical(words)
        similar = self._vectors.near(asked, len(self._ids))
        if self._unread:
            scores = self._scores(similar + LEXICAL * lexical, question, names, is_wide=False)
            waiting = np.fromiter(self._unread, np.int64)
            self._embed(waiting[np.argsort(-scores[waiting], kind="stable")[:READ_NOW]].tolist())
            similar = self._vectors.near(asked, len(self._ids))
        return Fit(similar, lexical, perhaps, heard)

    def ranked(self, fit: Fit, question: str, names: dict[str, str], *, is_wide: bool) -> list[Candidate]:
        """As `candidates`, of lines that fit so."""
        scores = self._scores(fit.similar + LEXICAL * fit.lexical, question, names, is_wide=is_wide)
        # a freed row has a zero vector and no postings: it scores 0 and is skipped by its id
        order = scores + LEXICAL * fit.perhaps
        rows = np.argsort(-order, kind="stable")[: _CANDIDATES + len(self._free)]
        wanted = answer_type(question)
        found = []
        for row in rows:
            line_id = self._ids[row]
            if line_id is None:
                continue
            line, kind = self._lines[line_id], 0.0
            if line.text.endswith("?"):
                kind -= QUESTION
            if wanted is not None:
                kind += ANSWER_TYPE if wanted.search(line.text) else -ANSWER_TYPE
            fits = (float(scores[row]) + kind, float(fit.similar[row]), float(fit.lexical[row]))
            candidate = Candidate(line, *self._before(row), *fits, tuple(fit.heard.get(row, ())))
            found.append((float(order[row]) + kind, candidate))
        found.sort(key=lambda each: (-each[0], each[1].line.start_sample, each[1].line.line_id))
        return [candidate for _, candidate in found[:_CANDIDATES]]

    def _scores(self, fits: Float, question: str, names: dict[str, str], *, is_wide: bool) -> Float:
        """The score of every row with the rows before it and its speaker."""
        before, heading, further = self._rows_before()
        # what is said after a fitting question answers it, whatever its own words
        scores = fits + np.where(before >= 0, fits[before], 0) * np.where(self._asks[before], FOLLOWS, CONTINUES)
        if is_wide:
            scores += EARLIER * np.where(further >= 0, fits[further], 0).max(axis=0)
        # what stands under a fitting heading need not repeat it
        scores += np.where(heading >= 0, fits[heading], 0) * HEADED
        whose = speaker_asked(question, names)
        for who, name in names.items():
            if mention(question, name) >= 0:
                scores[list(self._said_by.get(who, ()))] += OWN_WORDS if who == whose else SPEAKER
        found: Float = scores
        return found

    def shown_at(self, sample: int) -> list[Line]:
        """The lines of the last picture that came at or before a sample, in reading order."""
        end = bisect.bisect_right(self._shown, (sample, math.inf))
        if not end:
            return []
        start = bisect.bisect_left(self._shown, (self._shown[end - 1][0],))
        return [self._lines[line_id] for *_, line_id in self._shown[start:end]]

    def _lexical(self, words: list[str]) -> tuple[Float, Float, dict[int, list[str]]]:
        """BM25 of every row as a share of the most that these words could give, what words that were perhaps said there
        would add, and the words that were likely said in some rows.
        """
        total, perhaps = np.zeros((2, len(self._ids)), np.float32)
        heard: dict[int, list[str]] = {}
        most, count, listened = 0.0, len(self._lines), 0
        average = float(self._lengths[: len(self._ids)].sum()) / count
        for word in words:
            rows, times = self._postings.of(_stem(word))
            is_sure = np.ones(len(rows), np.bool_)
            if not len(rows) and word not in _ASKING and listened < _LISTENED:
                # a word that stands nowhere may have been said and written otherwise
                listened += 1
                likely = self._heard(word)
                rows, times = np.fromiter(likely, np.int64), np.ones(len(likely), np.int64)
                is_sure = np.array([odds >= _LIKELY for odds in likely.values()], np.bool_)
                for row in rows[is_sure].tolist():
                    heard.setdefault(row, []).append(word)
            idf = math.log(1 + (count - len(rows) + 0.5) / (len(rows) + 0.5))
            most += idf * (_K1 + 1)
            norm = _K1 * (1 - _B + _B * self._lengths[rows].astype(np.float64) / average)
            gain = (idf * times * (_K1 + 1) / (times + norm)).astype(np.float32)
            total[rows[is_sure]] += gain[is_sure]
            perhaps[rows[~is_sure]] += gain[~is_sure]
        return total / (most or 1), perhaps / (most or 1), heard

    def _heard(self, word: str) -> dict[int, float]:
        """Rows of the lines in whose sound a word is found most clearly, and how likely it was said there.

        Unheard, it is as likely to have been said in one of all utterances as not at all.
        """
        # the rows of an utterance that was taken back stay, and answer nothing
        found = {name: score for name, score in self.listener.find(word).items() if f"speech:{name}" in self._of_source}
        odds: dict[str, float] = {}
        for utterance_id in heapq.nlargest(_HEARD, found, key=found.__getitem__):
            text = " ".join(self._lines[line_id].text for line_id in self._of_source.get(f"speech:{utterance_id}", ()))
            odds[utterance_id] = likelihood_ratio(word, found[utterance_id], text) / len(self.listener)
        total = 1 + sum(odds.values())
        return {
            self._rows[line_id]: each / total
            for utterance_id, each in odds.items()
            for line_id in self._of_source.get(f"speech:{utterance_id}", ())
        }

    def _rows_before(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """For every row that of the line before it (what was said before, or what stands above), that of the topmost
        line of its picture, if that is another, and (_WIDE - 1, rows) those of the utterances two, three ... before
        it; -1 for none.
        """
        if self._previous is None:
            before, heading = np.full((2, len(self._ids)), -1, np.int64)
            for order in (self._spoken, self._shown):
                rows = np.array([self._rows[line_id] for *_, line_id in order], np.int64)
                before[rows[1:]] = rows[:-1]
            for _, picture in itertools.groupby(self._shown, key=lambda shown: shown[0]):
                top, *others = (self._rows[line_id] for *_, line_id in picture)
                heading[others] = top
            spoken = np.array([self._rows[line_id] for _, line_id in self._spoken], np.int64)
            further = np.full((_WIDE - 1, len(self._ids)), -1, np.int64)
            for step in range(2, _WIDE + 1):
                further[step - 2, spoken[step:]] = spoken[:-step]
            self._previous = before, heading, further
        return self._previous

    def _before(self, row: int) -> tuple[str, str]:
        """The words that a line may continue: of the line before, and of the _WIDE utterances before; on the screen
        both are of the line above and the topmost of its picture.
        """
        previous, line = self._rows_before()[0], self._lines[self._ids[row] or ""]
        above: list[Line] = []
        place = int(previous[row])
        while place >= 0 and len(above) < _WIDE:
            above.append(self._lines[self._ids[place] or ""])
            place = int(previous[place])
        if not above:
            return "", ""
        if line.kind == "speech":
            return above[0].text, " ".join(other.text for other in reversed(above))
        if above[0].start_sample != line.start_sample:
            return "", ""
        top = self._lines[self._shown[bisect.bisect_left(self._shown, (line.start_sample,))][-1]]
        words = above[0].text if top is above[0] else f"{top.text} / {above[0].text}"
        return words, words

    def _add(self, line: Line, source: str) -> None:
        row = self._free.pop() if self._free else self._new_row()
        words = [_stem(word) for word in _TOKEN.findall(line.text.lower())]
        self._postings.add(row, Counter(words))
        self._ids[row], self._rows[line.line_id] = line.line_id, row
        self._lengths[row] = len(words)
        self._vectors.put(row, np.zeros(self._encoder.dimension, np.float32))
        self._unread[row] = None
        self._lines[line.line_id] = line
        self._of_source.setdefault(source, []).append(line.line_id)
        self._asks[row] = line.text.endswith("?")
        self._said_by.setdefault(line.speaker, set()).add(row)
        self._place(line)

    def _place(self, line: Line) -> None:
        if line.kind == "speech":
            bisect.insort(self._spoken, (line.start_sample, line.line_id))
        else:
            bisect.insort(self._shown, _reading_order(line))
        self._previous = None

    def _displace(self, line: Line) -> None:
        if line.kind == "speech":
            self._spoken.remove((line.start_sample, line.line_id))
        else:
            self._shown.remove(_reading_order(line))
        self._previous = None

    def _move(self, line: Line, source: str) -> None:
        old = self._lines[line.line_id]
        self._displace(old)
        self._place(line)
        row = self._rows[line.line_id]
        self._said_by[old.speaker].discard(row)
        self._said_by.setdefault(line.speaker, set()).add(row)
        self._lines[line.line_id] = line
        self._of_source.setdefault(source, []).append(line.line_id)

    def _remove(self, line_id: str) -> None:
        line, row = self._lines.pop(line_id), self._rows.pop(line_id)
        self._postings.remove(row, {_stem(word) for word in _TOKEN.findall(line.text.lower())})
        self._ids[row] = None
        self._unread.pop(row, None)
        self._vectors.put(row, np.zeros(self._encoder.dimension, np.float32))
        self._lengths[row] = 0
        self._asks[row] = False
        self._said_by[line.speaker].discard(row)
        self._free.append(row)
        self._displace(line)

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
                self.listener.forget(line.source_id)

    def _new_row(self) -> int:
        self._ids.append(None)
        if len(self._ids) > len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._asks = np.concatenate([self._asks, np.zeros_like(self._asks)])
        return len(self._ids) - 1


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


def is_echo(question: str, text: str) -> bool:
    """Whether a line only asks what the question asks, and so tells nothing: its words are those of the question.

    A question about what was asked or mentioned may be answered by such a line.
    """
    if _ABOUT_ASKING.search(question):
        return False
    asked = _content(question)
    *before, last = [part for part in _SENTENCE.split(text) if not _OPENING.fullmatch(part)] or [""]
    words = _content(last)
    return not before and last.endswith("?") and bool(words) and len(words & asked) >= ECHO * len(words)


def _content(text: str) -> set[str]:
    return {_stem(word) for word in _TOKEN.findall(text.lower()) if word not in _STOP | _ASKING}


def _reading_order(line: Line) -> tuple[int, float, float, str]:
    left, top = (line.box[0], line.box[1]) if line.box is not None else (0.0, 0.0)
    return (line.start_sample, top, left, line.line_id)


def _stem(word: str) -> str:
    for ending in ("ing", "edly", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
