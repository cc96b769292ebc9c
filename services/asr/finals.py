"""The finals of one stretch of speech that holds short pauses: each said early, corrected when all was heard."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from services.runtime.percept import Transcript, Word


def utterance_id(start_sample: int) -> str:
    """The name of the utterance that begins there."""
    return f"u{start_sample:012d}"


class Finals:
    """What was said of the stretch so far; a longer or better reading of all of it corrects and continues it."""

    def __init__(self) -> None:
        self._said: list[Transcript] = []

    @property
    def said(self) -> Sequence[Transcript]:
        """The finals so far, as they stand."""
        return tuple(self._said)

    @property
    def end_sample(self) -> int | None:
        """Where the last final ends; None before there is one."""
        return self._said[-1].end_sample if self._said else None

    def is_continued_by(self, whole: Transcript) -> bool:
        """Whether a reading of the stretch has words after the last final."""
        return self.end_sample is None or _middle(whole.words[-1]) >= self.end_sample

    def say(self, whole: Transcript, *, is_better: bool = False) -> list[Transcript]:
        """The finals that a reading of the stretch from its start adds, and those that it corrects.

        Words belong to the final in whose span their middle lies. A reading that leaves a final without
        words corrects none: its words lie elsewhere by mistake more likely than they were never said. What differs in
        times and confidence alone is said again only when the reading `is_better`.
        """
        borders = [final.end_sample for final in self._said]
        parts: list[list[Word]] = [[] for _ in (*borders, None)]
        for word in whole.words:
            parts[bisect_right(borders, _middle(word))].append(word)
        said: list[Transcript] = []
        if all(parts[:-1]):
            for i, (final, part) in enumerate(zip(self._said, parts, strict=False)):
                corrected = _final(whole, final.start_sample, final.end_sample, part)
                is_same = corrected == replace(final, revision=0) if is_better else _said_same(corrected, final)
                if not is_same:
                    self._said[i] = replace(corrected, revision=final.revision + 1)
                    said.append(self._said[i])
        if parts[-1]:
            start_sample = borders[-1] if borders else whole.start_sample
            self._said.append(_final(whole, start_sample, whole.end_sample, parts[-1]))
            said.append(self._said[-1])
        return said


def _middle(word: Word) -> int:
    return (word.start_sample + word.end_sample) // 2


def _said_same(one: Transcript, other: Transcript) -> bool:
    return (one.language, [w.text for w in one.words]) == (other.language, [w.text for w in other.words])


def _final(whole: Transcript, start_sample: int, end_sample: int, words: list[Word]) -> Transcript:
    inside = tuple(
        replace(word, start_sample=max(word.start_sample, start_sample), end_sample=min(word.end_sample, end_sample))
        for word in words
    )
    return replace(
        whole,
        utterance_id=utterance_id(start_sample),
        start_sample=start_sample,
        end_sample=end_sample,
        words=inside,
        stable_words=len(inside),
    )
