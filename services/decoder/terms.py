"""Words on the screen for the recogniser: rare ones to listen for, others to tell two readings apart. Pure.

What a recogniser never heard of is most often misheard. Everyday words it is not told to expect, it would hear them
everywhere; but where two recognisers heard different words, the one that the screen shows is more likely right.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

from services.runtime.percept import SAMPLE_RATE, BoxXyxy, ScreenState

# Text that is read less surely than this is as often a misreading as a word.
MIN_CONFIDENCE = 0.85
MIN_CHARS, MAX_CHARS = 4, 30
MAX_RARE, MAX_EVERYDAY = 200, 400
# Words before this place in the order of frequency stand on every screen, whatever is talked about.
_TELLING_RANK = 500
_MIN_PAIR_CHARS = 3
# What is no longer shown is worth half as much after each of so many seconds, and forgotten below the last weight.
HALF_LIFE_S, LEAST_WEIGHT = 60, 1 / 8
# Letters of the Latin script, joined by digits, apostrophes, hyphens or underscores.
_TOKEN = re.compile(r"[A-Za-zÀ-ɏ][\w'’-]*")
_PART = re.compile(r"[A-ZÀ-Þ]?[a-zß-ɏ]+|[A-ZÀ-Þ]+(?![a-z])")
_VOWEL = re.compile(r"[aeiouyà-ɏ]")
_ENDINGS = ("'s", "s", "es", "ed", "d", "ing", "ly", "er", "ers", "ies", "al", "ment", "ness")


@dataclass(frozen=True, slots=True)
class ContextTerm:
    """A word as it is written on the screen; `source_id`, `box` and `frame_id` say where it was seen last.

    `is_everyday`: one that is not listened for, or two of them side by side.
    """

    text: str
    source_id: str
    box: BoxXyxy
    frame_id: str
    weight: float = 1.0
    is_everyday: bool = False


class ContextTerms:
    """The words of one session's screen: rare before everyday, those that are shown now before those that were."""

    def __init__(self, rank: Callable[[str], int | None]) -> None:
        """`rank`: place of an everyday word, lower-case, in the order of frequency; None for any other."""
        self._rank = rank
        self._terms: dict[str, ContextTerm] = {}
        # When each was last shown; those that are shown now are not in it.
        self._gone_sample: dict[str, int] = {}
        self._told: tuple[ContextTerm, ...] = ()

    def show(self, state: ScreenState) -> None:
        """Take what the screen shows from now on."""
        shown = {}
        for region in state.regions:
            if region.confidence is not None and region.confidence < MIN_CONFIDENCE:
                continue
            for text, is_everyday in self._words(region.text):
                term = ContextTerm(text, region.region_id, region.box, state.frame_id, is_everyday=is_everyday)
                shown[text.casefold()] = term
        for key in self._terms:
            if key in shown:
                self._gone_sample.pop(key, None)
            else:
                self._gone_sample.setdefault(key, state.start_sample)
        self._terms |= shown

    def at(self, sample: int) -> tuple[ContextTerm, ...] | None:
        """The terms at this media time, the weightiest first; None when they are those of the last call."""
        weighed = []
        for key, term in self._terms.items():
            is_gone = key in self._gone_sample
            gone_s = max(0, sample - self._gone_sample[key]) / SAMPLE_RATE if is_gone else 0.0
            # in steps, so that time alone seldom changes them
            halves = int(gone_s // HALF_LIFE_S)
            if 0.5**halves >= LEAST_WEIGHT:
                weighed.append((halves, is_gone, gone_s, key, replace(term, weight=0.5**halves)))
        weighed.sort(key=lambda entry: entry[:4])
        kept = [(key, term) for *_, key, term in weighed if not term.is_everyday][:MAX_RARE]
        # Their order says nothing: one that does not change is no news.
        kept += sorted([(key, term) for *_, key, term in weighed if term.is_everyday][:MAX_EVERYDAY], key=itemgetter(0))
        self._terms = dict(kept)
        self._gone_sample = {key: gone for key, gone in self._gone_sample.items() if key in self._terms}
        terms = tuple(term for _, term in kept)
        if [(term.text, term.weight) for term in terms] == [(term.text, term.weight) for term in self._told]:
            return None
        self._told = terms
        return terms

    def _words(self, line: str) -> Iterator[tuple[str, bool]]:
        """Each word or pair of words of a line that is worth telling, and whether it is everyday."""
        before = ""
        for match in _TOKEN.finditer(line):
            text = re.sub(r"['’]s$", "", match[0]).strip("'’-_")
            is_telling = self._is_telling(text)
            if before and is_telling:
                yield f"{before} {text}", True
            before = text if is_telling and len(text) >= _MIN_PAIR_CHARS else ""
            if MIN_CHARS <= len(text) <= MAX_CHARS:
                if any(map(self._is_rare, _PART.findall(text))):
                    yield text, False
                elif is_telling:
                    yield text, True

    def _is_telling(self, text: str) -> bool:
        """Whether a word is not one of the most frequent."""
        rank = self._rank(text.casefold())
        return rank is None or rank >= _TELLING_RANK

    def _is_rare(self, part: str) -> bool:
        word = part.casefold()
        if len(word) < MIN_CHARS or not _VOWEL.search(word):
            return False
        stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
        return all(self._rank(stem) is None for stem in (word, *stems, *(stem + "e" for stem in stems)) if stem)
