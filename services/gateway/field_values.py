"""Values of a form's fields, read from the words that answer them: copied text, numbers, dates, yes or no. Pure.

Spelled numbers, months and denials are English.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.field_questions import words_of
from services.gateway.spelled_numbers import NUMBER_WORDS, numbers

# Below it a line gives no value; chosen on made meetings of the split "dev" (benchmarks/structured.py).
LEAST = 0.5
# Choices that stand for nobody knowing, the best first; those after the first five may also be what is meant.
_UNKNOWN = ("unknown", "not mentioned", "not specified", "unspecified", "n a", "none", "undecided", "open", "other")
_NEVER_MEANT = set(_UNKNOWN[:5])
# Words that only their speaker can say of himself.
_MYSELF = re.compile(r"^(?:I|I'll|I'm|I've|I'd|me|myself)$", re.IGNORECASE)
# Who says so does not mean himself.
_SOMEBODY = re.compile(r"\b(?:some|any)(?:body|one)\b|\bwho (?:can|could|will|would|wants)\b", re.IGNORECASE)
_NO = re.compile(r"^\W*(?:(?:um|uh|well|oh|so),? )*(?:no|nope|not|never|unfortunately not|nobody)\b", re.IGNORECASE)
_NOT = r"(?:\b(?:no|not|never|without|nobody|cannot)\b|n't\b)(?: \w+){0,2}? "
_UNDONE = re.compile(r"\b(?:rejected|refused|declined|turned down|cancelled|postponed|called off)\b", re.IGNORECASE)
# What a text must hold to be a code, a time, a length of time, and so on.
_UNIT = r"(?:second|minute|hour|day|week|month|quarter|year)"
_NUMBER = rf"(?:\d|\b(?:{'|'.join(NUMBER_WORDS)}|half|dozen)\b)"
_NO_MONEY = r"^(?!.*(?:[$\u20ac\u00a3]|\b(?:euros?|dollars?|pounds?|francs?)\b))"
_MONTH_NAMES = r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_MOMENT = r"\b(?:now|then|today|tonight|tomorrow|noon|midnight|morning|evening|weekend|soon|later|next|end|o'clock)\b"
_HOLDS = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        "code": rf"{_NO_MONEY}.*{_NUMBER}",
        # a number that is no part of a code
        "when": rf"{_NO_MONEY}.*(?:\b\d{{4}}-\d\d-\d\d\b|(?<![\w-])\d{{1,4}}(?![\w]*-)|day\b|{_MONTH_NAMES}|"
        rf"{_MOMENT}|\b{_UNIT}|\b(?:{'|'.join(NUMBER_WORDS)}|half)\b)",
        "long": rf"\b{_UNIT}s?\b|\b(?:long|forever)\b",
        "often": rf"\b(?:every|each|once|twice|times|per|often|always|never|\w+ly)\b|\b{_UNIT}",
        "much": _NUMBER,
        "many": _NUMBER,
        "who": r"^(?:\D+|S\d+)$",
        "which": rf"{_NO_MONEY}(?!.*\w-?\d).*[a-z]",
        "where": rf"{_NO_MONEY}(?!.*\w-\d).*[a-z]{{2}}",
    }.items()
}
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})\b",
        rf"\b{_DAY}(?: of)? {_MONTH},? (?P<year>\d{{4}})\b",
        rf"\b{_MONTH} (?:the )?{_DAY},? (?P<year>\d{{4}})\b",
    )
]


@dataclass(frozen=True, slots=True)
class Value:
    """What was read, None for nothing; the line that it stands in and the probability that it is right."""

    value: Any = None
    line: pb.Evidence | None = None
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts: what it may be, and what stands for one that nobody knows (`empty`).

    `kind` is "string", "number", "integer", "boolean", "date" or "choice"; numbers lie from `least` to `most`. `about`
    is the field's name and description, `sought` what these seek (services/gateway/field_questions.py).
    """

    kind: str
    about: str = ""
    sought: str = ""
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    empty: Any = None

    def read(self, lines: Sequence[pb.Evidence], chances: Sequence[float] = ()) -> Value:
        """The value that lines hold, best line first; `chances` of the choices, from the first line."""
        if self.kind == "choice":
            return self._chosen(lines[:1], chances)
        for line in lines:
            if (value := self._of(line)) is not None:
                return Value(value, line, line.score)
        return Value()

    def fitting(self, known: object) -> Any:
        """A known value where it may stand here, else `empty`."""
        value = known if self.kind == "string" else None
        if self.kind in ("number", "integer") and isinstance(known, (int, float)):
            value = self._in_bounds(float(known))
        return self.empty if value is None else value

    def _of(self, line: pb.Evidence) -> Any:
        match self.kind:
            case "boolean":
                return not is_denied(line.text, self.about)
            case "number" | "integer":
                return self._in_bounds(number_of(line))
            case "date":
                return date_of(line)
        text = text_of(line)
        if self.sought == "who" and text == line.speaker_name and _SOMEBODY.search(line.text):
            return None
        return text if self.sought not in _HOLDS or _HOLDS[self.sought].search(text) else None

    def _chosen(self, lines: Sequence[pb.Evidence], chances: Sequence[float]) -> Value:
        for line in lines:
            if chances:
                place = max(range(len(self.choices)), key=lambda i: chances[i])
                if chances[place] < 1 - sum(chances):
                    return Value()
                return Value(self.choices[place], line, line.score * chances[place])
            said = f" {words_of(line.text)} "
            for choice in self.choices:
                if f" {words_of(str(choice))} " in said:
                    return Value(choice, line, line.score)
        return Value()

    def _in_bounds(self, value: float | None) -> float | int | None:
        if value is None or (self.kind == "integer" and value != int(value)):
            return None
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            return None
        return int(value) if value == int(value) else value


def empty_choice(choices: Sequence[Any]) -> Any:
    """What stands for an unknown value among choices without null: one that says so, else the first."""
    named = {words_of(str(choice)): choice for choice in reversed(choices)}
    return next((named[word] for word in _UNKNOWN if word in named), choices[0])


def meant(choices: Sequence[Any]) -> tuple[Any, ...]:
    """The choices that a line can mean."""
    return tuple(choice for choice in choices if choice is not None and words_of(str(choice)) not in _NEVER_MEANT)


def likely(found: pb.FieldAnswer) -> list[pb.Evidence]:
    """The lines that are likely enough to hold the value, best first."""
    return [line for line in found.evidence if line.score >= LEAST]


def is_denied(text: str, about: str) -> bool:
    """Whether a line says no to what a field is about: "Not yet.", or "not" before a word of the field's own."""
    stems = [re.escape(word[:5]) for word in re.findall(r"[a-z]{4,}", about.lower())]
    if _NO.search(text):
        return True
    if stems and re.search(_NOT + rf"(?:{'|'.join(stems)})", text, re.IGNORECASE):
        return True
    undone = _UNDONE.search(text)
    return undone is not None and undone[0][:5].lower() not in about.lower()


def text_of(line: pb.Evidence) -> str:
    """The words that answer, or the name of who says "I"."""
    words = (line.words or line.text).strip(" .,;:!?\"'")
    if _MYSELF.match(words):
        return line.speaker_name or line.speaker or words
    return words


def number_of(line: pb.Evidence) -> float | None:
    """The first number among the words that answer, else the only one of the line; None without one."""
    if among := numbers(line.words):
        return among[0]
    around = numbers(line.text)
    return around[0] if len(around) == 1 else None


def date_of(line: pb.Evidence) -> str | None:
    """A day as YYYY-MM-DD where the words name day, month and year; None where any is missing."""
    for pattern in _DATES:
        if (found := pattern.search(line.words)) is not None:
            named = found.groupdict()
            month = int(named["number"]) if "number" in named else _MONTHS.index(named["month"].lower()) + 1
            try:
                return date(int(named["year"]), month, int(named["day"])).isoformat()
            except ValueError:
                return None
    return None
