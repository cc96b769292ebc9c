"""Phrases a caller expects: which of them to tell Whisper, and which of its words to believe then. Pure.

Whisper writes what stands in its prompt more readily, right or wrong. So an utterance is read with and
without it, and the prompted reading gives only listed phrases, where the other reading sounds like them.
Where there is no prompted reading, or it missed one, unsure English words are set right by their sound.
Where two recognisers heard different words, the one that is listed or stands on the screen is taken.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import Correction, Word
from services.runtime.phrases import Phrase, compact

# Tokens of the decoder's context that go to phrases: the rest is for the text itself.
MAX_PROMPT_TOKENS = 220
# A phrase is told to Whisper when some words of the first reading are as like it as this (0 to 1).
MIN_RELEVANCE = 0.4
# Prompted words replace others that sound like them at least as much as this (0 to 1).
MIN_LIKENESS = 0.4
# Words become the phrase they sound like at least this much, where the recogniser was not surer of them than
# this. In shorter words one sound is another word: "pound" and "pint", "will" and "Willie".
MIN_SNAP_LIKENESS, MAX_SNAP_CONFIDENCE, MIN_SNAP_CHARS = 0.85, 0.8, 5
# So many words may stand for a phrase when nothing but their sound tells, and so many phrases are tried for them.
_RUN, _TRIED = 3, 3
# Words of a reading that may stand for one phrase, beyond those of the phrase.
_EXTRA_WORDS = 2


def phonetic_key(text: str) -> str:
    """What is left of a text when what is often misheard or misspelt is made the same."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", compact(text)) if not unicodedata.combining(c))
    for pattern, sound in _SOUNDS:
        plain = pattern.sub(sound, plain)
    return plain


_SOUNDS = [
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"ph", "f"),
        (r"tch|ch|sh|zh|ti(?=on)|j", "S"),
        (r"dg", "S"),
        (r"c(?=[eiy])", "s"),
        (r"ck|c|q", "k"),
        (r"x", "ks"),
        (r"gh", "g"),
        (r"z", "s"),
        (r"v", "f"),
        (r"th|d", "t"),
        (r"b", "p"),
        (r"g", "k"),
        (r"(?<=.)[hwy]", "a"),
        (r"[aeiouy]+", "a"),
        (r"(.)\1+", r"\1"),
    )
]


def likeness(one: str, other: str) -> float:
    """How like two texts sound, 0 to 1: the mean of their letters' and their phonetic keys' edit similarity."""
    letters = _edit_similarity(compact(one), compact(other))
    return (letters + _edit_similarity(phonetic_key(one), phonetic_key(other))) / 2


def _edit_similarity(one: str, other: str) -> float:
    previous = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
        previous = row
    return 1 - previous[-1] / max(len(one), len(other), 1)


class Listed:
    """Texts that may take the place of words that sound like them."""

    def __init__(self, texts: Sequence[str]) -> None:
        plain = {compact(text) for text in texts}
        # Their plurals and possessives are as good.
        self._compact = plain | {text + "s" for text in plain if len(text) > 3}
        self._longest = max(map(len, self._compact), default=0)
        self._most_words = max((len(text.split()) for text in texts), default=0) + _EXTRA_WORDS

    def __contains__(self, run: str) -> bool:
        """Whether words, compact, spell one of them."""
        return run in self._compact

    def merge(self, words: Sequence[Word], others: Sequence[Word]) -> tuple[Word, ...]:
        """`words` with what another reading has of the list in the place of what sounds like it."""
        old, new = [compact(word.text) for word in words], [compact(word.text) for word in others]
        pairs = [
            (block.a + k, block.b + k)
            for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            for k in range(block.size)
        ]
        same = {j for _, j in pairs}
        result: list[Word] = []
        done = 0
        for start, end in self._occurrences(new):
            if same.issuperset(range(start, end)):
                continue
            low = max([done, *(i + 1 for i, j in pairs if j < start)])
            high = min([len(old), *(i for i, j in pairs if j >= end)])
            place = self._place("".join(new[start:end]), old, low, high)
            if place is not None:
                result += [*words[done : place[0]], *_fit(others[start:end], words[place[0] : place[1]])]
                done = place[1]
        return (*result, *words[done:])

    def _occurrences(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Runs of words that spell a listed phrase, the longest at each place."""
        found: list[tuple[int, int]] = []
        start = 0
        while start < len(texts):
            run, best = "", start
            for end in range(start, len(texts)):
                run += texts[end]
                if len(run) > self._longest:
                    break
                if texts[end] and run in self._compact:
                    best = end + 1
            if best > start:
                found.append((start, best))
            start = max(best, start + 1)
        return found

    def _place(self, phrase: str, texts: Sequence[str], low: int, high: int) -> tuple[int, int] | None:
        """The run within [low, high) that sounds most like the phrase; None when none does or it is a phrase itself."""
        best, place = (MIN_LIKENESS, 0), None
        for start in range(low, high):
            for end in range(start + 1, min(high, start + self._most_words) + 1):
                run = "".join(texts[start:end])
                if run in self._compact:
                    return None
                # letters as many more or fewer cannot be that like
                if len(run) < MIN_LIKENESS * len(phrase):
                    continue
                if len(phrase) < MIN_LIKENESS * len(run):
                    break
                # of two as like, the one as long
                if (like := (likeness(phrase, run), -abs(len(run) - len(phrase)))) > best:
                    best, place = like, (start, end)
        return place


class PhraseBook:
    """The phrases of one stream, prepared for looking them up, and what else its screen shows."""

    def __init__(self, phrases: Sequence[Phrase], seen: Sequence[Phrase] = ()) -> None:
        self._phrases = phrases
        self._listed = Listed([phrase.text for phrase in phrases])
        self._known = Listed([phrase.text for phrase in (*phrases, *seen)])
        grams = [_grams(phrase.text) for phrase in phrases]
        self._columns = {gram: i for i, gram in enumerate(sorted(set().union(*grams)))}
        self._rows = np.stack([self._row(g) for g in grams]) if grams else np.zeros((0, 0), np.float32)

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def _row(self, grams: set[str]) -> NDArray[np.float32]:
        """Membership of every known gram, scaled to length 1, unknown grams counted."""
        row = np.zeros(len(self._columns), np.float32)
        row[[self._columns[gram] for gram in grams if gram in self._columns]] = len(grams) ** -0.5
        return row

    def relevance(self, words: Sequence[str]) -> NDArray[np.float32]:
        """How like some run of these words each phrase is, (phrases,) 0 to 1, by cosine of letter pairs."""
        runs = sorted({"".join(words[i:j]) for i, j in _runs(len(words))})
        best: NDArray[np.float32] = self._relevance(runs).max(axis=1, initial=0)
        return best

    def _relevance(self, runs: Sequence[str]) -> NDArray[np.float32]:
        """(phrases, runs)."""
        rows = np.zeros((len(runs), len(self._columns)), np.float32)
        for i, run in enumerate(runs):
            rows[i] = self._row(_grams(run))
        product: NDArray[np.float32] = self._rows @ rows.T
        return product

    def prompt(self, words: Sequence[str], count_tokens: Callable[[str], int]) -> str:
        """The phrases most like a first reading, the likest last, in MAX_PROMPT_TOKENS; "" when none is like it."""
        relevance = self.relevance(words)
        order = sorted(
            (i for i in range(len(self._phrases)) if relevance[i] >= MIN_RELEVANCE),
            key=lambda i: (-relevance[i] * self._phrases[i].weight, i),
        )
        chosen: list[str] = []
        left = MAX_PROMPT_TOKENS
        for i in order:
            left -= count_tokens(f" {self._phrases[i].text},")
            if left < 0:
                break
            chosen.append(self._phrases[i].text)
        return ", ".join(reversed(chosen))

    def merge(self, words: Sequence[Word], prompted: Sequence[Word]) -> tuple[Word, ...]:
        """`words` with the listed phrases of the `prompted` reading in the place of what sounds like them."""
        return self._listed.merge(words, prompted)

    def choose(self, words: Sequence[Word], others: Sequence[Word]) -> tuple[Word, ...]:
        """`words` with what another recogniser heard in the place of what sounds like it, where that is listed or seen.

        Nothing comes in that nobody heard, so everyday words may do so too.
        """
        return self._known.merge(words, others)

    def snap(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """`words` with listed phrases in the place of unsure words that sound like them."""
        texts = [compact(word.text) for word in words]
        places = [(i, j) for i, j in _runs(len(words)) if self._is_unsure(words[i:j], texts[i:j])]
        relevance = self._relevance(["".join(texts[i:j]) for i, j in places])
        found: list[tuple[float, int, int, int]] = []
        for column, (start, end) in enumerate(places):
            for phrase in np.argsort(-relevance[:, column], kind="stable")[:_TRIED].tolist():
                text = self._phrases[phrase].text
                like = likeness(text, "".join(texts[start:end]))
                if like >= MIN_SNAP_LIKENESS and len(compact(text)) >= MIN_SNAP_CHARS:
                    found.append((-like, start, end, phrase))
        result = list(words)
        taken: set[int] = set()
        chosen: list[tuple[int, int, int]] = []
        for _, start, end, phrase in sorted(found):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                chosen.append((start, end, phrase))
        for start, end, phrase in sorted(chosen, reverse=True):
            confidence = _confidence(words[start:end])
            spelt = [Word(text, 0, 0, confidence) for text in self._phrases[phrase].text.split()]
            result[start:end] = _fit(spelt, words[start:end])
        return tuple(result)

    def _is_unsure(self, words: Sequence[Word], texts: Sequence[str]) -> bool:
        run = "".join(texts)
        if len(run) < MIN_SNAP_CHARS or run in self._listed or any(text in self._listed for text in texts):
            return False
        return _confidence(words) <= MAX_SNAP_CONFIDENCE


def _runs(count: int) -> list[tuple[int, int]]:
    """Runs of one to _RUN of `count` words."""
    return [(i, j) for i in range(count) for j in range(i + 1, min(count, i + _RUN) + 1)]


def _confidence(words: Sequence[Word]) -> float:
    """Mean; a word without counts as sure."""
    return float(np.mean([1.0 if word.confidence is None else word.confidence for word in words]))


def _grams(text: str) -> set[str]:
    """Pairs of neighbouring letters, ends included, and the same of the phonetic key."""
    plain, key = f"^{compact(text)}$", f"^{phonetic_key(text)}$"
    return {plain[i : i + 2] for i in range(len(plain) - 1)} | {"/" + key[i : i + 2] for i in range(len(key) - 1)}


def _ended(text: str, like: str) -> str:
    """`text` with the punctuation at the end of `like`."""
    return re.sub(r"\W*$", "", text) + like[len(re.sub(r"\W*$", "", like)) :]


def _fit(words: Sequence[Word], places: Sequence[Word]) -> list[Word]:
    """`words` over the time of `places`, shared by length, with their last punctuation: no neighbour changes."""
    words = [*words[:-1], replace(words[-1], text=_ended(words[-1].text, places[-1].text))]
    heard = " ".join(place.text if place.correction is None else place.correction.heard for place in places).strip()
    start, end = places[0].start_sample, places[-1].end_sample
    lengths = np.cumsum([0, *(max(1, len(word.text)) for word in words)])
    edges = [start + round((end - start) * length / lengths[-1]) for length in lengths.tolist()]
    return [
        replace(word, start_sample=a, end_sample=b, correction=Correction("" if i else heard))
        for i, (word, a, b) in enumerate(zip(words, edges, edges[1:], strict=False))
    ]
