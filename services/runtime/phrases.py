"""Phrases that callers expect, as services exchange them: one a line, a tab and a weight if wanted."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.runtime.stage import MediaError

MAX_PHRASES, MAX_CHARS, MAX_WEIGHT = 1_000, 100, 100.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """One expected phrase; a larger weight goes first into the prompt where there are too many."""

    text: str
    weight: float = 1.0


def parse_phrases(text: str) -> tuple[Phrase, ...]:
    """Read lines of a phrase and, after a tab if wanted, its weight; lines without letters say nothing.

    Raises MediaError for too many or too long phrases and for a weight that is no number in range.
    """
    found: dict[str, Phrase] = {}
    for number, line in enumerate(text.splitlines(), 1):
        phrase, _, weight = line.partition("\t")
        phrase = " ".join(phrase.split())
        if len(phrase) > MAX_CHARS:
            raise MediaError(f"phrase {number} has {len(phrase)} characters, may have {MAX_CHARS}")
        if key := compact(phrase):
            found.setdefault(key, Phrase(phrase, _weight(number, weight)))
        if len(found) > MAX_PHRASES:
            raise MediaError(f"there are more than {MAX_PHRASES} phrases; leave out those that are everyday words")
    return tuple(found.values())


def _weight(number: int, text: str) -> float:
    try:
        weight = float(text) if text.strip() else 1.0
    except ValueError:
        weight = math.nan
    if not 0 < weight <= MAX_WEIGHT:
        raise MediaError(f"phrase {number} has the weight {text!r}; must be above 0 and at most {MAX_WEIGHT:g}")
    return weight


def compact(text: str) -> str:
    """Letters and digits only, without case: how texts are compared."""
    return re.sub(r"[\W_]", "", text.casefold())


def phrase_lines(phrases: Iterable[tuple[str, float]]) -> str:
    """What `parse_phrases` reads; a weight of 0 stands for the default."""
    return "\n".join(f"{text}\t{weight:g}" if weight else text for text, weight in phrases)
