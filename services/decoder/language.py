"""Whether a question is in English, told by the small words that every sentence has. Pure."""

import re
from collections.abc import Sequence

from services.runtime.language import CODES, letters_of, small_words

# What begins an English question, and is no word of these languages.
_ASKS_IN_ENGLISH = frozenset("what who when where why how which did does has".split())
_WORD = re.compile(r"[^\W_]+")
# After the last Latin letter with a mark.
_LAST_LATIN = "\u024f"


def foreign(question: str) -> tuple[str, str] | None:
    """Name and code of a question's language where that is not English, ("", "") in another script; None for English,
    and for what is too short to tell.
    """
    words = letters_of(question)
    if words and words[0] in _ASKS_IN_ENGLISH:
        return None
    if _is_other_script(words):
        return "", ""
    counts = small_words(words)
    # the first of those with as many: English
    best = max(counts, key=lambda name: counts[name])
    return (best, CODES[best]) if best != "English" and counts[best] >= 2 else None


def can_answer(question: str, line: str) -> bool:
    """Whether a line that was found can answer a question for the words of both.

    The encoder and the reader know Latin letters only, and are sure of some line for what they cannot read. So a
    question in another script needs a line in another script, or one that shares a word; one without words has none.
    """
    asked = _WORD.findall(question.lower())
    if not asked:
        return False
    if not _is_other_script(letters_of(question)):
        return True
    told = _WORD.findall(line.lower())
    return any(word[0] > _LAST_LATIN for word in told) or not set(asked).isdisjoint(told)


def _is_other_script(words: Sequence[str]) -> bool:
    return sum(word[0] > _LAST_LATIN for word in words) > len(words) / 2
