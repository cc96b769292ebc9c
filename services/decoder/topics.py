"""A transcript cut into topics, each with a title copied from one of its lines. Pure, but for the sentence encoder.

TextTiling (Hearst 1997) over MiniLM instead of word counts: where the lines before and after a gap are less alike
than around it, and where somebody says that the next point begins. A title is a run of words of one line: what the
first ones announce ("Next, the mobile app."), or else what is nearest to all that the topic says (as KeyBERT does).
Settings were chosen on the "development" meetings of tests/unit/gateway/minutes.txt.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.runtime.sentence import SentenceEncoder

MAX_LINES, MAX_LINE_CHARS = 40_000, 10_000
# More lines than this are read in groups: two hours of talk.
MAX_UNITS = 1_500
# Lines on either side of a gap that are compared, and the least that a topic has; both grow with a long meeting.
WINDOW, MIN_LINES = 4, 5
LONG_WINDOW, LONG_TOPICS = 40, 30
# How deep a valley must be, and what it counts that somebody says that the next point begins.
MIN_DEPTH, SAID_SO = 0.3, 0.3
MAX_CANDIDATES = 16
# What a title gains with each word that is said again in the topic.
AGAIN = 0.05
# ... when the topic begins with it as what comes next, in one of so many lines, or begins with nothing but its name.
ANNOUNCED, NAMED = 0.5, 0.3
MAX_OPENING = 3
MAX_NAME_WORDS = 4

Float = NDArray[np.float32]
_FILLERS = (
    r"(?:(?:so|okay|ok|good|fine|great|alright|all right|right|well|then|and|now|thanks|wonderful|excellent|hello|hi|"
    r"morning|(?:a )?quick)[,.]? )*"
)
_BEGINS = re.compile(
    _FILLERS + r"(?:next\b|now (?:the|for|to|about|let)|last(?:ly)?[, ]|second(?:ly)?[, ]|third(?:ly)?[, ]|finally\b|"
    r"another (?:thing|point|topic)|one more|moving on|"
    r"let(?:'s|us) (?:talk about|turn to|look at|start with|begin with|go (?:on|over)|move on|continue with|discuss)|"
    r"the (?:next|last|second|third|other) (?:point|thing|item|topic|one|question)|what about the)",
    re.IGNORECASE,
)
# A sentence that does nothing but say what comes: "Last point, the budget for the test devices." "Windows."
_ANNOUNCES = re.compile(
    _FILLERS + r"(?P<said>(?:"
    r"(?:let['\u2019]s|let us|let me|i['\u2019]d like to|i want to|we should|shall we|can we) (?:first |now |also )?"
    r"(?:talk about|speak about|turn to|look at|start with|begin with|go over|go on with|go on to|go through|"
    r"move on to|continue with|come to|discuss|check|share|walk you through)|"
    r"(?:my|our|the) (?:next|last|first|second|third|fourth|other|final) (?:point|thing|item|topic|one|question)"
    r"(?: on (?:the|our|my) (?:agenda|list))?(?: is|,|:)|"
    r"(?:item|point|topic|number) \w+(?: is|,|:)|"
    r"(?:first|second|third|last|next|another|one more|final) (?:point|thing|item|topic|question)(?: is|,|:)|"
    r"(?:this|it|today) is about|(?:what|how) about|moving on to|on to|as for|about|look at|"
    r"(?:then|next) (?:there(?: is| are|['\u2019]s)|we have)|next(?: is| up|,)|"
    r"(?:first|second|third|last|final)(?:ly)?(?: of all)?,|first|to|for) )?"
    r"(?:(?:the|our|an?|this|that|these|those|my|your) )?"
    r"(?P<title>\w[\w'\u2019-]*(?: \w[\w'\u2019-]*){0,7}?)"
    r"(?:,? (?:then|first|please|again|now|next|quickly|today))?[.?!:]*",
    re.IGNORECASE,
)
# What is announced is named, not told: these would make it a sentence of its own.
_TELLS = frozenset(
    "am are be been can could did do does had has have he her him i is it may me might must shall she should that them "
    "there they us was we were what when where which who why will would you".split()
)
_SENTENCE_END = re.compile(r"(?<=[.?!]) ")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_STOP = frozenset(
    "a about actually after again all almost already alright also always am an and another any anybody are as at "
    "back be because been before begin being both but by came can can't case clear come could day days did didn't "
    "do does doesn't doing don't done down during each either else enough even ever every everybody everyone few "
    "fine first for friday from get getting give given go goes going good got great had has have haven't having he "
    "hear hello her here him his how i i'd i'll i'm i've idea if in into is isn't it it's its just keep kind know "
    "last least less let let's like little look lot lots made make many may maybe me mean might mine monday month "
    "months more morning most much must my need needs never new next no nobody nor not nothing now of off oh ok "
    "okay on once one only open or other others our out over own part point put question really right said same "
    "saturday say says second see should since so some somebody someone something soon start still such sunday sure "
    "take talk tell than thank thanks that that's the their them then there there's they they're thing things think "
    "third this those three through thursday time to today told tomorrow too took tuesday twice two uh um under "
    "until up us use very wait want was wasn't way we we'll we're we've wednesday week weeks welcome well were what "
    "what's when where which while who whole why will with without won't would yeah year years yes yet you you'll "
    "you're your".split()
)


@dataclass(frozen=True, slots=True)
class Topic:
    """Lines [first, end); `title` is copied from line `title_line`."""

    first: int
    end: int
    title: str
    title_line: int


def topics(lines: Sequence[str], encoder: SentenceEncoder) -> Iterator[Topic | None]:
    """The topics of lines in order of time; between steps of some milliseconds None, so that others get a turn."""
    if not lines:
        return
    size = -(-len(lines) // MAX_UNITS)
    units = [range(at, min(at + size, len(lines))) for at in range(0, len(lines), size)]
    vectors = np.zeros((len(units), encoder.dimension), np.float32)
    for number, unit in enumerate(units):
        vectors[number] = encoder.encode([" ".join(lines[i] for i in unit)])[0]
        yield None
    weights = np.array([sum(1 for i in unit for _ in content(lines[i])) for unit in units], np.float32)
    begins = np.array([bool(_BEGINS.match(lines[unit[0]])) for unit in units])
    bounds = [0, *boundaries(vectors, weights, begins), len(units)]
    for first, end in pairwise(bounds):
        covered = range(units[first][0], units[end - 1][-1] + 1)
        centre = centroid(vectors[first:end], weights[first:end])
        candidates = _candidates([lines[i] for i in covered])
        scores = []
        for candidate in candidates:
            scores.append(float(encoder.encode([candidate.words])[0] @ centre) + candidate.bonus)
            yield None
        best = candidates[int(np.argmax(scores))] if scores else _Candidate(0, lines[covered[0]], 0.0)
        yield Topic(covered[0], covered[-1] + 1, best.words, covered[0] + best.place)


def boundaries(vectors: Float, weights: Float, begins: NDArray[np.bool_]) -> list[int]:
    """Where a topic begins, beside the first: (n, d) unit vectors, (n,) weights, (n,) somebody says so."""
    count = len(vectors)
    window, least = max(WINDOW, count // LONG_WINDOW), max(MIN_LINES, count // LONG_TOPICS)
    if count < 2 * least:
        return []
    alike = np.ones(count + 1, np.float32)
    for gap in range(1, count):
        before = slice(max(0, gap - window), gap)
        after = slice(gap, gap + window)
        alike[gap] = centroid(vectors[before], weights[before]) @ centroid(vectors[after], weights[after])
    depth = np.zeros(count, np.float32)
    for gap in range(1, count):
        near = slice(max(1, gap - window), gap + 1)
        later = slice(gap, min(count, gap + window + 1))
        depth[gap] = alike[near].max() + alike[later].max() - 2 * alike[gap]
    depth += SAID_SO * begins
    found: list[int] = []
    for gap in np.argsort(-depth, kind="stable"):
        if depth[gap] < MIN_DEPTH:
            break
        if all(abs(int(gap) - other) >= least for other in (0, count, *found)):
            found.append(int(gap))
    return sorted(found)


def centroid(vectors: Float, weights: Float) -> Float:
    """Weighted mean of unit vectors, of length 1 again."""
    mean: Float = (vectors * (weights[:, None] + 0.1)).sum(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length else mean


def content(line: str) -> Iterator[str]:
    """The words of a line that say what it is about, in lower case."""
    for word in _WORD.findall(line):
        if word.lower() not in _STOP and len(word) > 1:
            yield word.lower()


def announced(line: str) -> list[tuple[str, bool]]:
    """What a line only names because it comes next, in its own words, and whether it says that it comes next."""
    found = []
    for sentence in _SENTENCE_END.split(line):
        if (match := _ANNOUNCES.fullmatch(sentence)) is None:
            continue
        words = [word.lower() for word in match["title"].split()]
        is_said = match["said"] is not None
        is_heading = is_said or (len(words) <= MAX_NAME_WORDS and not sentence.endswith(("?", "!")))
        if is_heading and not _TELLS.intersection(words) and any(content(match["title"])):
            found.append((match["title"], is_said))
    return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Words of a topic's line number `place` that may be its title, and what they gain."""

    place: int
    words: str
    bonus: float


def _candidates(lines: Sequence[str]) -> list[_Candidate]:
    """Possible titles: what the first lines announce, and runs of up to four words with a meaning."""
    times = Counter(word for line in lines for word in content(line))
    found: dict[str, _Candidate] = {}
    for place, line in enumerate(lines[:MAX_OPENING]):
        for words, is_said in announced(line):
            # named alone it may be an answer: only in the very first line it is taken for a heading
            if is_said or place == 0:
                found.setdefault(words.lower(), _Candidate(place, words, ANNOUNCED if is_said else NAMED))
    for place, line in enumerate(lines):
        for run in _runs(line):
            again = sum(times[word.lower()] > 1 for word in _WORD.findall(run))
            found.setdefault(run.lower(), _Candidate(place, run, AGAIN * again))
    return sorted(found.values(), key=lambda each: (-each.bonus, -len(each.words), each.place))[:MAX_CANDIDATES]


def _runs(line: str) -> Iterator[str]:
    """Neighbouring words that all have a meaning, with nothing but a space between, as they are written."""
    start = end = None
    count = 0
    for word in _WORD.finditer(line):
        has_meaning = word[0].lower() not in _STOP and len(word[0]) > 1
        if has_meaning and end is not None and line[end : word.start()] == " " and count < 4:
            end, count = word.end(), count + 1
            continue
        if start is not None and end is not None:
            yield line[start:end]
        start, end, count = (word.start(), word.end(), 1) if has_meaning else (None, None, 0)
    if start is not None and end is not None:
        yield line[start:end]
