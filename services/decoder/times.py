"""Times that a question names in numbers, as places on the media clock. Pure; English only.

"2:40" is mm:ss from the beginning of the session, "1:02:03" is h:mm:ss; a time of the day ("9:15 am") is neither.
"""

import re

from services.runtime.percept import SAMPLE_RATE

# A named moment is as exact as people are.
AROUND_S = 30
_NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
    )
} | {"a": 1, "an": 1, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "half an": 0.5}
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_COUNT = rf"(?P<count>\d{{1,4}}(?:\.\d{{1,3}})?|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})?"
_LENGTH = rf"{_COUNT}\s*(?P<unit>s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?|rs?)?)\b"
# mm:ss, h:mm:ss or "minute 12".
CLOCK = r"(?:\d{1,2}:\d{2}(?::\d{2})?(?!\d|\s*(?:am|pm|a\.m|p\.m|o'clock))|(?:minute|min)\s\d{1,3}(?![\d:]))"
_BETWEEN = rf"\b(?:between\s+(?P<a>{CLOCK})\s+and|from\s+(?P<b>{CLOCK})\s+(?:to|until|till))\s+(?P<end>{CLOCK})"
_AT = rf"\b(?:(?:at|around|near|in|during)\s+|(?:at )?about\s+)(?P<at>{CLOCK})"
_SINCE = rf"\b(?:since|after|from)\s+(?P<since>{CLOCK})(?:\s+on)?"
_LAST = rf"\b(?:(?:in|over|during|within|for|of)\s+)?(?:the\s+)?(?:last|past|previous)\s+{_LENGTH}"
_FIRST = rf"\b(?:(?:in|over|during|within|for|of)\s+)?(?:the\s+)?first\s+{_LENGTH}"
_AGO = rf"\b(?:about\s+|around\s+)?{_LENGTH}\s+ago"
# What any question may name, and what more does where all of a question is about a time.
_NAMED = {kind: re.compile(words, re.IGNORECASE) for kind, words in
          {"between": _BETWEEN, "last": _LAST, "first": _FIRST, "at": _AT}.items()}  # fmt: skip
_ONLY = _NAMED | {kind: re.compile(words, re.IGNORECASE) for kind, words in {"since": _SINCE, "ago": _AGO}.items()}


def named_sample(words: str) -> int | None:
    """The media sample of the first "12:30", "1:02:03" or "minute 12"; None where no time is named."""
    found = re.search(rf"\b{CLOCK}", words, re.IGNORECASE)
    return None if found is None else _clock_s(found[0]) * SAMPLE_RATE


def named_span(question: str, end_sample: int) -> tuple[int, int] | None:
    """The span of time that a question names in numbers, on the media clock; None when it names none in the session.

    "The last five minutes" end with the session, at `end_sample`. A moment is AROUND_S to either side.
    """
    for kind, wording in _NAMED.items():
        found = wording.search(question)
        if found is not None and (span := _span(kind, found, end_sample)) is not None:
            return around(*span) if kind != "at" or span[0] <= end_sample else None
    return None


def split_span(question: str, end_sample: int) -> tuple[str, tuple[int, int] | None]:
    """A question without the words of the time it names, also of an open one ("since minute 20"), and that time.

    A moment is a span without length; it may lie behind the end of the session.
    """
    for kind, wording in _ONLY.items():
        found = wording.search(question)
        if found is not None and (span := _span(kind, found, end_sample)) is not None:
            return f"{question[: found.start()].strip()} {question[found.end() :].strip()}", span
    return question, None


def _span(kind: str, found: re.Match[str], end_sample: int) -> tuple[int, int] | None:
    match kind:
        case "between":
            start, end = sorted(_clock_s(place) * SAMPLE_RATE for place in (found["a"] or found["b"], found["end"]))
            return start, end
        case "since":
            since = _clock_s(found["since"]) * SAMPLE_RATE
            return since, max(since, end_sample)
        case "at":
            at = _clock_s(found["at"]) * SAMPLE_RATE
            # a minute is a minute long
            return at, at + (0 if ":" in found["at"] else 60 * SAMPLE_RATE)
    if not (length := _length(found)):
        return None
    if kind == "first":
        return 0, length
    back = max(0, end_sample - length)
    return back, end_sample if kind == "last" else back


def around(start_sample: int, end_sample: int) -> tuple[int, int]:
    """A moment with AROUND_S to either side; a span that has a length as it is."""
    if end_sample > start_sample:
        return start_sample, end_sample
    return max(0, start_sample - AROUND_S * SAMPLE_RATE), end_sample + AROUND_S * SAMPLE_RATE


def _length(found: re.Match[str]) -> int:
    """Samples of "five minutes"; "the last minute" is one, "the last minutes" no exact length."""
    count, unit = found["count"], found["unit"].lower()
    if not count and unit.endswith("s") and len(unit) > 1:
        return 0
    number = float(_NUMBERS[count.lower()]) if count and count.lower() in _NUMBERS else float(count or 1)
    return int(number * _UNIT_S[unit[0]] * SAMPLE_RATE)


def _clock_s(text: str) -> int:
    """Seconds of "2:40", "1:02:03", "minute 12"."""
    if ":" not in text:
        return 60 * int(text.split()[-1])
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds
