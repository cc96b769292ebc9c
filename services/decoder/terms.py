"""Rare words on the screen, for the recogniser to listen for: what it never heard of is most often misheard. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from services.runtime.percept import SAMPLE_RATE, BoxXyxy, ScreenState, TextRegion

# Text that is read less surely than this is as often a misreading as a word.
MIN_CONFIDENCE = 0.85
MIN_CHARS, MAX_CHARS = 4, 30
MAX_TERMS = 200
# What is no longer shown is worth half as much after each of so many seconds, and forgotten below the last weight.
HALF_LIFE_S, LEAST_WEIGHT = 60, 1 / 8
# Letters of the Latin script, joined by digits, apostrophes, hyphens or underscores.
_TOKEN = re.compile(r"[A-Za-zÀ-ɏ][\w'’-]*")
_PART = re.compile(r"[A-ZÀ-Þ]?[a-zß-ɏ]+|[A-ZÀ-Þ]+(?![a-z])")
_VOWEL = re.compile(r"[aeiouyà-ɏ]")
_ENDINGS = ("'s", "s", "es", "ed", "d", "ing", "ly", "er", "ers", "ies", "al", "ment", "ness")


@dataclass(frozen=True, slots=True)
class ContextTerm:
    """A word as it is written on the screen; `source_id`, `box` and `frame_id` say where it was seen last."""

    text: str
    source_id: str
    box: BoxXyxy
    frame_id: str
    weight: float = 1.0


class ContextTerms:
    """The rare words of one session's screen, those that are shown now before those that were."""

    def __init__(self, is_common: Callable[[str], bool]) -> None:
        """`is_common` knows everyday words, lower-case."""
        self._is_common = is_common
        self._terms: dict[str, ContextTerm] = {}
        # When each was last shown; those that are shown now are not in it.
        self._gone_sample: dict[str, int] = {}
        self._told: tuple[ContextTerm, ...] = ()

    def show(self, state: ScreenState) -> None:
        """Take what the screen shows from now on."""
        shown = {}
        for region in state.regions:
            for text in self._rare(region):
                shown[text.casefold()] = ContextTerm(text, region.region_id, region.box, state.frame_id)
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
            weighed.append((int(gone_s // HALF_LIFE_S), is_gone, gone_s, key, term))
        weighed.sort(key=lambda entry: entry[:4])
        kept = [(key, term, 0.5**halves) for halves, _, _, key, term in weighed if 0.5**halves >= LEAST_WEIGHT][
            :MAX_TERMS
        ]
        self._terms = {key: term for key, term, _ in kept}
        self._gone_sample = {key: gone for key, gone in self._gone_sample.items() if key in self._terms}
        terms = tuple(replace(term, weight=weight) for _, term, weight in kept)
        if [(term.text, term.weight) for term in terms] == [(term.text, term.weight) for term in self._told]:
            return None
        self._told = terms
        return terms

    def _rare(self, region: TextRegion) -> Iterator[str]:
        if region.confidence is not None and region.confidence < MIN_CONFIDENCE:
            return
        for match in _TOKEN.finditer(region.text):
            text = re.sub(r"['’]s$", "", match[0]).strip("'’-_")
            if MIN_CHARS <= len(text) <= MAX_CHARS and any(map(self._is_rare, _PART.findall(text))):
                yield text

    def _is_rare(self, part: str) -> bool:
        word = part.casefold()
        if len(word) < MIN_CHARS or not _VOWEL.search(word):
            return False
        stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
        return not any(self._is_common(stem) for stem in (word, *stems, *(stem + "e" for stem in stems)) if stem)
