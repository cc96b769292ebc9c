"""Numbers in English words and in digits. Pure."""

import re
from collections.abc import Sequence

# What is larger is no number that anybody said.
MAX_NUMBER = 1e15
_ONES = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_TENS = {w: 10 * i for i, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SHORT = {"k": 1_000, "m": 1_000_000, "bn": 1_000_000_000}
NUMBER_WORDS = (*_ONES, *_TENS, *_SCALES)
_WORD = "|".join((*_ONES, *_TENS))
_SCALE = "|".join(_SCALES)
_SPELLED = rf"\b(?:{_WORD}|a(?= (?:{_SCALE})\b))(?:[ -](?:and )?(?:{_WORD}|{_SCALE})(?:s\b)?)*\b"
_DIGITS = (
    # not within a code, a time, a date or an ordinal
    r"(?<![\w.:/-])(?P<sign>[-\u2212])?[$\u20ac\u00a3]?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"(?P<short>k|m|bn)?(?![\w:/-]|[.,]\d)(?: (?P<scale>{_SCALE})\b)?"
)
_NUMBER = re.compile(rf"{_DIGITS}|(?P<spelled>{_SPELLED})", re.IGNORECASE)


def numbers(text: str) -> list[float]:
    """The numbers of a text in order: "1,200", "$18k", "1.2 million", "forty-two thousand five hundred"."""
    found = []
    for match in _NUMBER.finditer(text):
        if match["spelled"]:
            found.append(float(_spelled(re.findall(r"[a-z]+", match["spelled"].lower()))))
            continue
        value = float(match["digits"].replace(",", ""))
        value *= _SHORT[match["short"].lower()] if match["short"] else 1
        value *= _SCALES[match["scale"].lower()] if match["scale"] else 1
        found.append(-value if match["sign"] else value)
    return [value for value in found if abs(value) < MAX_NUMBER]


def _spelled(words: Sequence[str]) -> int:
    total = part = 0
    for word in words:
        if word in _SCALES and _SCALES[word] > 100:
            total, part = total + max(part, 1) * _SCALES[word], 0
        elif word == "hundred":
            part = max(part, 1) * 100
        else:
            part += _ONES.get(word, 0) + _TENS.get(word, 0) + (word == "a")
    return total + part
