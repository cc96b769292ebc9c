"""Questions about a moment or a speaker: what was shown when, what was said then, when something was said, what
somebody said. Pure.

English only; other questions are left to the reader.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from services.decoder.times import CLOCK, named_sample, split_span

# Longer questions ask for no moment and no picture: what looks for one takes time with the cube of their length.
MAX_CHARS = 300
_SCREEN = r"(?:screen|slide|slides|display|presentation|page|picture)"
# "about when it starts", "as the price" and "at the fair" name no moment of the meeting.
_AT_MOMENT = (
    r"(?:(?<!about )when|while|at(?=\s+(?:\d|minute\b|the\s+(?:time|moment|point)\b))"
    rf"|(?:around|near|about|in|during)(?=\s+{CLOCK})"
    r"|as(?=\s.*\b(?:spoke|said|talk\w*|ask\w*|mention\w*|discuss\w*|explain\w*|present\w*|began|started)\b))"
)
_ON_SCREEN = re.compile(
    rf"\b(?:on\s+(?:the\s+|his\s+|her\s+|their\s+)?(?:shared\s+)?{_SCREEN}"
    rf"|{_SCREEN}\b.*?\b(?:show\w*|display\w*|say|said|visible)"
    rf"|(?:was|were|is|being)\s+(?:shown|displayed|presented|shared|visible))\b"
    rf".*?\b{_AT_MOMENT}\s+(?P<moment>.+?)\s*\??$",
    re.IGNORECASE,
)
_ON_SCREEN_NOW = re.compile(
    rf"^what(?:'s|\s+is|\s+was)?\s+(?:there\s+|being\s+)?(?:shown\s+|visible\s+|displayed\s+)?(?:last\s+)?"
    rf"(?:on|does)\s+the\s+(?:shared\s+)?{_SCREEN}(?:\s+show)?"
    r"(?:\s+(?:now|right now|at the moment|at the end))?\s*\??$",
    re.IGNORECASE,
)
# The moment of a question that names none.
NOW = "now"
_SAID_WHEN = re.compile(
    r"^(?:when|at (?:what|which) (?:time|minute|moment|point)) (?:did|was|were|has|have|does|do) .*"
    r"\b(?:say|said|mention\w*|talk\w*|speak\w*|spoken|discuss\w*|bring up|brought up|raised?|come up|ask\w*"
    r"|announce\w*)\b",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"\b(?:say|says|said|thinks?|thought|mention\w*|suggest\w*|propos\w*|recommend\w*|opinion|view|feels?|promis\w*"
    r"|comment\w*|remark\w*|complain\w*|according|point|talk\w*|tells?|told|reports?|reported|announce\w*|believes?)\b",
    re.IGNORECASE,
)
# All of a question about a time, but for the time.
_THEY = r"(?:they|we|you|people|everyone|everybody|the (?:team|group|speakers?|participants))"
_SAID_THEN = re.compile(
    r"(?:(?:and|so|okay|ok|now|please) )*(?:"
    r"what (?:was|were|is|has been) (?:being )?(?:said|discussed|talked about|mentioned|going on|happening)"
    rf"|what (?:did|have) {_THEY} (?:all )?(?:say|said|talk(?:ed)? about|discuss(?:ed)?)"
    rf"|what (?:was|were) {_THEY} (?:saying|talking about|discussing)"
    r"|what (?:has )?happened|what (?:did|have) i miss(?:ed)?|(?:catch me up|fill me in)(?: on)?"
    r"|who (?:was|is) (?:speaking|talking)|who (?:spoke|talked|said what)"
    r"|(?:summari[sz]e|recap|repeat|quote|(?:show|tell|give) me|read)(?: (?:what (?:was said|happened)|everything|it))?"
    r"(?: (?:the )?(?:transcript|words|meeting|discussion))?)",
    re.IGNORECASE,
)
_SAY_THEN = re.compile(
    r"what (?:did|was|has) .+? (?:been )?(?:say|said|saying|talk(?:ing|ed)? about|mention(?:ed)?|ask(?:ed)?)",
    re.IGNORECASE,
)

# Names that questions hold as other words.
_NAMES_AND_WORDS = frozenset(
    "will may mark bill rich art grant rob sue pat drew chase hope joy grace faith rose dawn june april august summer "
    "frank guy jack miles page chip dean don gene ray wade heath sky star penny max major".split()
)
_NO_FIRST_NAMES = frozenset("the dr mr mrs ms prof professor doctor speaker guest user host team meeting room".split())


def on_screen_when(question: str) -> str | None:
    """What happened while the screen showed what is asked for, NOW for the newest picture; None for other questions."""
    asked = " ".join(question.split())
    if len(asked) > MAX_CHARS:
        return None
    if _ON_SCREEN_NOW.match(asked):
        return NOW
    found = _ON_SCREEN.search(asked)
    return found["moment"] if found else None


@dataclass(frozen=True, slots=True)
class Window:
    """A time of which all lines are asked for: what was shown, or what was said, by one `speaker` or by all ("")."""

    start_sample: int
    end_sample: int
    kind: str
    speaker: str = ""


def window_asked(question: str, names: Mapping[str, str], end_sample: int) -> Window | None:
    """The time of "What was said around 2:40?", of which the session may have nothing; None for other questions."""
    asked = " ".join(question.split()).rstrip("?.! ")
    if len(asked) > MAX_CHARS:
        return None
    if (moment := on_screen_when(asked)) is not None and re.fullmatch(CLOCK, moment, re.IGNORECASE):
        at = moment_sample(moment) or 0
        return Window(at, at, "screen")
    rest, span = split_span(asked, end_sample)
    if span is None:
        return None
    rest = " ".join(rest.replace(",", " ").split())
    if "happened" in rest and span[0] > end_sample:
        # people may have told what happened at that time of the day
        return None
    if _SAID_THEN.fullmatch(rest):
        return Window(*span, "speech")
    if _ON_SCREEN_NOW.match(rest):
        return Window(*span, "screen")
    if _SAY_THEN.fullmatch(rest) and (who := speaker_asked(question, names)) is not None:
        return Window(*span, "speech", who)
    return None


def asks_when_said(question: str) -> bool:
    """True when the answer is the moment of the talk, not a date in it."""
    return _SAID_WHEN.search(question.strip()) is not None


def moment_sample(words: str) -> int | None:
    """The media sample of a moment that is named by a time, the last for NOW; None for others."""
    return sys.maxsize if words == NOW else named_sample(words)


def speaker_asked(question: str, names: Mapping[str, str]) -> str | None:
    """The speaker whose own words are asked for ("What did Priya say about it?"); None for other questions, and where
    a first name is that of two.
    """
    if question.strip().lower().startswith("who") or not _SAYS.search(question):
        return None
    places = {who: place for who, name in names.items() if (place := mention(question, name)) >= 0}
    first = [who for who, place in places.items() if place == min(places.values())]
    whole = [who for who in first if _place(question, names[who]) >= 0]
    likely = whole or first
    return likely[0] if len(likely) == 1 else None


def mention(question: str, name: str) -> int:
    """Where a question names somebody, by the whole name or the first of it; -1 where it does not.

    A name that is a word too ("Will") counts as it is written, and not at the beginning of the question.
    """
    places = (_place(question, part) for part in (name, _first_name(name)) if part)
    return next((place for place in places if place >= 0), -1)


def _place(question: str, name: str) -> int:
    is_word = name.lower() in _NAMES_AND_WORDS
    found = re.search(rf"\b{re.escape(name)}\b", question, 0 if is_word else re.IGNORECASE)
    return -1 if found is None or (is_word and not question[: found.start()].strip()) else found.start()


def _first_name(name: str) -> str:
    """Priya of "Priya Nair"; "" of "Speaker 2" and "The chair"."""
    first, *more = name.split() or [""]
    is_persons = more and all(part[0].isalpha() for part in more) and first.lower() not in _NO_FIRST_NAMES
    return first if is_persons and first[0].isupper() and len(first) > 2 else ""
