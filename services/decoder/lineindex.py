"""All lines of one session and the first step of finding: BM25 and MiniLM over everything said and shown.

A word of the question that no line holds is listened for in the sound (services/decoder/listening.py), where the
session has that: where it was likely said it counts as written, elsewhere it moves lines forward and makes none surer.
The score of a line is
    fit = cosine of the sentence embeddings + LEXICAL x BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75), as a
          share of the most that the question's words could reach
    + FOLLOWS x fit of the line before it when that is a question, CONTINUES x when not
    + EARLIER x the best fit of the utterances two and three before it
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
import marshal
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.decoder.kept import File, Order, Records, oldest, put
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
Rows = NDArray[np.int32]
# Where the words are in what is kept of a line, which is all but its id.
_TEXT = Line.__slots__.index("text") - 1
# Who says a line that is gone.
_NOBODY = -1
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
# Words that the screen must repeat to be a caption.
CAPTION = 4
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
        self._file = File()
        # Lines by their ids, and the rows of each source's lines.
        self._lines, self._sources = Records(self._file), Records(self._file)
        self._vectors = Vectors(encoder.dimension, self._file)
        # Rows that are not embedded yet, in the order in which they came.
        self._unread: dict[int, None] = {}
        self._postings = Postings()
        # Of every row: its words, whether it is a question, who says it, when it ends.
        self._lengths, self._asks, self._speakers, self._ends = array("f"), array("b"), array("i"), array("q")
        self._speaker_numbers: dict[str, int] = {}
        self._spoken, self._shown = Order(self._lines.name), Order(lambda row: _place_on_screen(self._line(row)))
        self._previous: tuple[Rows, Rows, Rows] | None = None
        self.listener = Listener()

    def __len__(self) -> int:
        return len(self._lines)

    def embed(self, count: int) -> int:
        """Embed the next lines that are not; returns how many are left."""
        self._embed(list(itertools.islice(self._unread, count)))
        return len(self._unread)

    def _embed(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._vectors.put(row, self._encoder.encode([self._line(row).text])[0])
            del self._unread[row]

    def replace(self, source: str, lines: Iterable[Line], *, embed: bool = True) -> None:
        """Put the lines of one source ("speech:" or "screen:" and its id) in the place of its old ones.

        `embed`: at once, else `embed()` does it later.
        """
        new = {line.line_id: line for line in lines if line.text}
        kept = array("i")
        for row in self._rows_of(source):
            old = self._line(row)
            # the same words need no new embedding; a new speaker or time is only noted
            if old.line_id in new and new[old.line_id].text == old.text:
                self._move(old, new.pop(old.line_id), row)
                kept.append(row)
            else:
                self._remove(old)
        kept.extend(self._add(line) for line in new.values())
        self._set_rows(source, kept)
        if embed:
            self.embed(len(self._unread))
        if len(self._lines) > MAX_LINES:
            self._forget()

    def spoken_after(self, line: Line, count: int) -> list[str]:
        """The ids of the lines of speech that come next after one."""
        place = self._spoken.place(line.start_sample, line.line_id)
        after = (self._lines.name(row) for row in self._spoken.rows[place : place + count + 1])
        return [line_id for line_id in after if line_id != line.line_id][:count]

    def candidates(self, question: str, names: dict[str, str]) -> list[Candidate]:
        """The lines that may answer, likeliest first by words and meaning alone; at most _CANDIDATES."""
        return self._ranked(self._fit(question, names), question, names) if len(self) else []

    def _fit(self, question: str, names: dict[str, str]) -> Fit:
        """How well the lines, at least one, fit a question by themselves; embeds READ_NOW of those that are not."""
        words = [word for word in _TOKEN.findall(question.lower()) if word not in _STOP]
        asked = self._encoder.encode([question])[0]
        lexical, perhaps, heard = self._lexical(words)
        similar = self._vectors.near(asked, self._lines.rows)
        if self._unread:
            scores = self._scores(similar + LEXICAL * lexical, question, names)
            waiting = np.fromiter(self._unread, np.int64)
            self._embed(waiting[np.argsort(-scores[waiting], kind="stable")[:READ_NOW]].tolist())
            similar = self._vectors.near(asked, self._lines.rows)
        return Fit(similar, lexical, perhaps, heard)

    def _ranked(self, fit: Fit, question: str, names: dict[str, str]) -> list[Candidate]:
        """As `candidates`, of lines that fit so."""
        scores = self._scores(fit.similar + LEXICAL * fit.lexical, question, names)
        # a freed row has a zero vector and no postings: it scores 0 and is skipped
        order = scores + LEXICAL * fit.perhaps
        rows = _best(order, _CANDIDATES + self._lines.free)
        wanted = answer_type(question)
        found = []
        for row in rows.tolist():
            if not self._lines.has(row):
                continue
            line, kind = self._line(row), 0.0
            if line.text.endswith("?"):
                kind -= QUESTION
            if wanted is not None:
                kind += ANSWER_TYPE if wanted.search(line.text) else -ANSWER_TYPE
            fits = (float(scores[row]) + kind, float(fit.similar[row]), float(fit.lexical[row]))
            candidate = Candidate(line, *self._before(row, line), *fits, tuple(fit.heard.get(row, ())))
            found.append((float(order[row]) + kind, candidate))
        found.sort(key=lambda each: (-each[0], each[1].line.start_sample, each[1].line.line_id))
        return without_captions([candidate for _, candidate in found[:_CANDIDATES]])

    def _scores(self, fits: Float, question: str, names: dict[str, str]) -> Float:
        """The score of every row with the rows before it and its speaker."""
        before, heading, further = self._rows_before()
        # what is said after a fitting question answers it, whatever its own words
        follows = np.where(np.asarray(self._asks)[before], FOLLOWS, CONTINUES)
        scores = fits + np.where(before >= 0, fits[before], 0) * follows
        # its subject may have come two or three utterances before
        scores += EARLIER * np.where(further >= 0, fits[further], 0).max(axis=0)
        # what stands under a fitting heading need not repeat it
        scores += np.where(heading >= 0, fits[heading], 0) * HEADED
        whose = speaker_asked(question, names)
        for who, name in names.items():
            if mention(question, name) >= 0:
                said = np.asarray(self._speakers) == self._speaker_numbers.get(who, _NOBODY)
                scores[said] += OWN_WORDS if who == whose else SPEAKER
        found: Float = scores
        return found

    def shown_at(self, sample: int) -> list[Line]:
        """The lines of the last picture that came at or before a sample, in reading order."""
        samples = self._shown.samples
        end = bisect.bisect_right(samples, sample)
        if not end:
            return []
        return [self._line(row) for row in self._shown.rows[bisect.bisect_left(samples, samples[end - 1]) : end]]

    def _lexical(self, words: list[str]) -> tuple[Float, Float, dict[int, list[str]]]:
        """BM25 of every row as a share of the most that these words could give, what words that were perhaps said there
        would add, and the words that were likely said in some rows.
        """
        total, perhaps = np.zeros((2, self._lines.rows), np.float32)
        heard: dict[int, list[str]] = {}
        most, count, listened, lengths = 0.0, len(self._lines), 0, np.asarray(self._lengths)
        average = float(lengths.sum()) / count
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
            norm = _K1 * (1 - _B + _B * lengths[rows].astype(np.float64) / average)
            gain = (idf * times * (_K1 + 1) / (times + norm)).astype(np.float32)
            total[rows[is_sure]] += gain[is_sure]
            perhaps[rows[~is_sure]] += gain[~is_sure]
        return total / (most or 1), perhaps / (most or 1), heard

    def _heard(self, word: str) -> dict[int, float]:
        """Rows of the lines in whose sound a word is found most clearly, and how likely it was said there.

        Unheard, it is as likely to have been said in one of all utterances as not at all.
        """
        # the rows of an utterance that was taken back stay, and answer nothing
        found = {name: score for name, score in self.listener.find(word).items() if self._rows_of(f"speech:{name}")}
        odds: dict[str, float] = {}
        for utterance_id in heapq.nlargest(_HEARD, found, key=found.__getitem__):
            text = " ".join(self._line(row).text for row in self._rows_of(f"speech:{utterance_id}"))
            odds[utterance_id] = likelihood_ratio(word, found[utterance_id], text) / len(self.listener)
        total = 1 + sum(odds.values())
        return {
            row: each / total for utterance_id, each in odds.items() for row in self._rows_of(f"speech:{utterance_id}")
        }

    def _rows_before(self) -> tuple[Rows, Rows, Rows]:
        """For every row that of the line before it (what was said before, or what stands above), that of the topmost
        line of its picture, if that is another, and (_WIDE - 1, rows) those of the utterances two, three ... before
        it; -1 for none.
        """
        if self._previous is None:
            before, heading = np.full((2, self._lines.rows), -1, np.int32)
            spoken, shown = np.array(self._spoken.rows), np.array(self._shown.rows)
            for rows in (spoken, shown):
                before[rows[1:]] = rows[:-1]
            places = np.arange(len(shown))
            tops = np.maximum.accumulate(np.where(np.diff(self._shown.samples, prepend=-1) != 0, places, 0))
            heading[shown] = np.where(tops != places, shown[tops], -1)
            further = np.full((_WIDE - 1, self._lines.rows), -1, np.int32)
            for step in range(2, _WIDE + 1):
                further[step - 2, spoken[step:]] = spoken[:-step]
            self._previous = before, heading, further
        return self._previous

    def _before(self, row: int, line: Line) -> tuple[str, str]:
        """The words that a line may continue: of the line before, and of the _WIDE utterances before; on the screen
        both are of the line above and the topmost of its picture.
        """
        previous, heading, _ = self._rows_before()
        if line.kind == "screen":
            top, above = int(heading[row]), int(previous[row])
            if top < 0:
                return "", ""
            words = self._text(above) if top == above else f"{self._text(top)} / {self._text(above)}"
            return words, words
        said: list[str] = []
        place = int(previous[row])
        while place >= 0 and len(said) < _WIDE:
            said.append(self._text(place))
            place = int(previous[place])
        return (said[0], " ".join(reversed(said))) if said else ("", "")

    def _line(self, row: int) -> Line:
        line_id, rest = self._lines.item(row)
        return Line(line_id, *marshal.loads(rest))

    def _text(self, row: int) -> str:
        text: str = marshal.loads(self._lines.get(row))[_TEXT]
        return text

    def _rows_of(self, source: str) -> "array[int]":
        row = self._sources.row(source)
        return array("i", b"" if row is None else self._sources.get(row))

    def _set_rows(self, source: str, rows: "array[int]") -> None:
        if rows:
            self._sources.put(source, rows.tobytes())
        elif self._sources.row(source) is not None:
            self._sources.remove(source)

    def _add(self, line: Line) -> int:
        words = [_stem(word) for word in _TOKEN.findall(line.text.lower())]
        row = self._note(line)
        self._postings.add(row, Counter(words))
        put(self._lengths, row, len(words))
        put(self._asks, row, line.text.endswith("?"))
        self._vectors.put(row, np.zeros(self._encoder.dimension, np.float32))
        self._unread[row] = None
        return row

    def _note(self, line: Line) -> int:
        """Keep a line; its row."""
        _, *rest = (getattr(line, field) for field in line.__slots__)
        row = self._lines.put(line.line_id, marshal.dumps(rest))
        put(self._speakers, row, self._speaker_numbers.setdefault(line.speaker, len(self._speaker_numbers)))
        put(self._ends, row, line.end_sample)
        self._order(line).insert(line.start_sample, row)
        self._previous = None
        return row

    def _order(self, line: Line) -> Order:
        return self._spoken if line.kind == "speech" else self._shown

    def _move(self, old: Line, new: Line, row: int) -> None:
        self._order(old).remove(old.start_sample, row)
        self._note(new)

    def _remove(self, line: Line) -> None:
        row = self._lines.remove(line.line_id)
        self._order(line).remove(line.start_sample, row)
        self._postings.remove(row, {_stem(word) for word in _TOKEN.findall(line.text.lower())})
        self._unread.pop(row, None)
        self._vectors.put(row, np.zeros(self._encoder.dimension, np.float32))
        self._lengths[row], self._asks[row], self._speakers[row] = 0, False, _NOBODY
        self._previous = None

    def _forget(self) -> None:
        rows = self._lines.taken()
        for row, _ in oldest(rows, np.asarray(self._ends)[rows], _FORGOTTEN_AT_ONCE, self._lines.name):
            line = self._line(row)
            self._remove(line)
            source = f"{line.kind}:{line.source_id}"
            left = self._rows_of(source)
            left.remove(row)
            self._set_rows(source, left)
            if not left:
                self.listener.forget(line.source_id)


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


def without_captions(found: Sequence[Candidate]) -> list[Candidate]:
    """The lines but those with which the screen repeats one of them, word for word, after somebody had begun to say it.

    Captions would stand in the place of the utterance that they show, and of all others.
    """
    said = [(each.line.start_sample, _words_between(each.line.text)) for each in found if each.line.kind == "speech"]

    def is_caption(line: Line) -> bool:
        words = _words_between(line.text)
        is_long = words.count(" ") > CAPTION
        return is_long and any(begun <= line.start_sample and words in spoken for begun, spoken in said)

    return [each for each in found if each.line.kind == "speech" or not is_caption(each.line)]


def _words_between(text: str) -> str:
    return f" {' '.join(_TOKEN.findall(text.lower()))} "


def _content(text: str) -> set[str]:
    return {_stem(word) for word in _TOKEN.findall(text.lower()) if word not in _STOP | _ASKING}


def _best(scores: Float, count: int) -> NDArray[np.int64]:
    """The rows with the highest scores, (rows,), best first, of equal ones the lower row."""
    count = min(count, len(scores))
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    rows = np.flatnonzero(scores >= least)
    return rows[np.argsort(-scores[rows], kind="stable")][:count]


def _place_on_screen(line: Line) -> tuple[float, float, str]:
    """Lines of one picture in reading order."""
    left, top = (line.box[0], line.box[1]) if line.box is not None else (0.0, 0.0)
    return (top, left, line.line_id)


def _stem(word: str) -> str:
    for ending in ("ing", "edly", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
