"""Minutes of a session: decisions, action items, open questions, what was shown. Pure; every line is one that was said.

Cues in English sentences, chosen for being right rather than complete: what no cue tells is left out, and nothing is
written that nobody said. Topics come from the decoder (services/decoder/topics.py). Cues were chosen on the
"development" meetings of tests/unit/gateway/minutes.txt.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from services.gateway.formats import escape_md, seconds, short_clock
from services.gateway.transcript import Document, Screen, Segment
from services.runtime.percept import SAMPLE_RATE, Word
from services.runtime.stage import MediaError

# A sentence goes on in the next segment of the same speaker after a pause of at most this.
MAX_PAUSE_SAMPLES = 3 * SAMPLE_RATE // 2
# A reply comes within so many sentences and so long.
REPLY_SENTENCES, REPLY_SAMPLES = 3, 30 * SAMPLE_RATE
MAX_SENTENCE_WORDS = 60
MAX_SCREEN_LINES = 8
# Screens that share this much of their lines are one, with something moving on it.
SAME_SCREEN = 0.6
LANGUAGE = "en"
FORMATS = {"md": "text/markdown", "json": "application/json"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something said in one go; `sources` are the utterances that it stands in."""

    text: str
    speaker: str
    start_sample: int
    end_sample: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A part of the meeting; `title` is copied from `evidence`, one of its sentences."""

    title: str
    start_sample: int
    end_sample: int
    evidence: Sentence


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the minutes. `owner` and `due` are copied words, "" where nobody said them; for action items only."""

    text: str
    evidence: tuple[Sentence, ...]
    owner: str = ""
    due: str = ""


@dataclass(frozen=True, slots=True)
class Minutes:
    """All lines in order of time."""

    document: Document
    topics: tuple[Topic, ...]
    decisions: tuple[Item, ...]
    actions: tuple[Item, ...]
    questions: tuple[Item, ...]
    screens: tuple[Screen, ...]
    # What everybody who spoke said first.
    first_words: tuple[Sentence, ...] = ()

    def owner_named(self, words: str) -> str | None:
        """Who is meant by a name, or by a part of it that is one person's alone; None for nobody."""
        owners = (item.owner for item in self.actions if item.owner)
        return _people(tuple(dict.fromkeys((*self.document.speakers, *owners)))).get(words.lower())


def is_read(document: Document) -> bool:
    """Whether the cues know the language of the talk."""
    return not document.language or document.language.startswith(LANGUAGE)


def minutes_of(document: Document, said: Sequence[Sentence], topics: Sequence[Topic]) -> Minutes:
    """Minutes of a document whose `sentences` are `said`."""
    people = _people(document.speakers)
    read = said if is_read(document) else ()
    actions = tuple(_actions(read, people))
    taken = {sentence for item in actions for sentence in item.evidence}
    questions = tuple(_questions(read))
    taken |= {sentence for item in questions for sentence in item.evidence}
    return Minutes(
        document,
        tuple(topics),
        tuple(_decisions(read, taken)),
        actions,
        questions,
        tuple(_screens(document.screens)),
        _first_words(said),
    )


def _first_words(said: Sequence[Sentence]) -> tuple[Sentence, ...]:
    found: dict[str, Sentence] = {}
    for sentence in said:
        if sentence.speaker:
            found.setdefault(sentence.speaker, sentence)
    return tuple(found.values())


# -- sentences --------------------------------------------------------------------------------------

_END = re.compile(r"[.?!\u3002\uff1f\uff01][\"')\]]*$")
_ABBREVIATION = re.compile(r"^(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|approx)\.$")


def sentences(document: Document) -> list[Sentence]:
    """The speech of a document, cut at the ends of sentences, joined where a segment ends within one."""
    found: list[Sentence] = []
    words: list[tuple[Word, Segment]] = []

    def close() -> None:
        if words:
            spaced = not words[0][1].language.startswith(("zh", "ja", "th"))
            text = (" " if spaced else "").join(word.text for word, _ in words)
            sources = tuple(dict.fromkeys(segment.utterance_id for _, segment in words))
            ends = words[0][0].start_sample, max(word.end_sample for word, _ in words)
            found.append(Sentence(text, words[0][1].speaker, *ends, sources))
            words.clear()

    for segment in document.segments:
        if words:
            last, before = words[-1]
            if before.speaker != segment.speaker or segment.start_sample - last.end_sample > MAX_PAUSE_SAMPLES:
                close()
        for word in segment.words:
            words.append((word, segment))
            is_end = _END.search(word.text) and not _ABBREVIATION.match(word.text)
            if is_end or len(words) >= MAX_SENTENCE_WORDS:
                close()
    close()
    return found


# -- decisions --------------------------------------------------------------------------------------

_LEAD = r"^(?:(?:so|okay|ok|good|fine|great|alright|all right|right|well|then|and|yes|yeah)[,.]? )*"
_WHO_DECIDES = r"(?:we|we've|the (?:board|committee|team|group|council|management))"
# Verbs of what a group settles, in the present: "then we take the train".
_DO = (
    r"(?:go with|use|take|keep|drop|stick (?:with|to)|cancel|postpone|hire|buy|put|switch to|launch|choose|skip|adopt|"
    r"replace|introduce|stop|close|open|raise|lower|invite|build|plant|offer|remove|rent|stay with)"
)
# What a group says of its talk, or foresees, and does not decide.
_NOT_TALK = (
    r"(?!(?:see|have|need|talk|be|get|find|look|try|know|discuss|come|start|begin|continue|go (?!with\b)|move on|wait|"
    r"say|call|hope|meet|ask|check|think|turn|wrap|do (?:that|it|this)|hear|let|never|probably|not|also be|still|just|"
    r"lose|miss|fail|end|run|reach|arrive|finish|make sure|return|give|face|want|"
    r"take (?:a (?:look|break)|this|that|it)|hand|pause|leave|"
    r"remember|recap|stay in touch|figure|learn|notice|catch|jump|focus|quickly|first|then|all)\b)"
)
_DECISIONS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_WHO_DECIDES}(?: have| has| all| just| now)* "
        r"(?:decided|agreed|agrees?|approved?|approves|settled on|chose|voted|accepts?|accepted)\b"
        r"(?! with (?:you|him|her|them|me|that|this)\b)",
        r"\bthe decision is\b",
        r"\bit(?:'s| is) (?:decided|settled|agreed)\b",
        rf"{_LEAD}let(?:'s| us) {_NOT_TALK}\w+ (?:\S+ )*\S+",
        rf"\bwe(?:'ll| will|'re going to| are going to|'re not going to| are not going to) {_NOT_TALK}\w+ (?:\S+ )*\S+",
        r"\bwe(?:'re| are) (?:going|sticking|staying) with\b",
        rf"\b(?:then|so|so from \S+),? we {_DO}\b",
        r"^(?:(?:okay|ok|fine|good|great|yes|sure|right|alright|all right)[\w' ]{0,15}, )?"
        r"(?!(?:as|what|how|that|whatever|so|where|who|here|there)\b)[\w' -]{3,40} it is[.!]$",
        r"^agreed[,:.] (?:\S+ ){2}",
        r"^(?:\S+ ){1,20}?\S+[,:] (?:then )?agreed[.!]$",
    )
]
# What somebody puts to the others, and how they take it up.
_TO_BEGIN = (
    r"(?:(?:start|begin|stop|go on|move on|continue|wait|talk|come)(?: (?:now|then|with \w+))?\W*$|see\b|hear\b|ask\b)"
)
_PROPOSAL = re.compile(
    rf"{_LEAD}(?:(?:shall|should|can|could) we (?:just |simply |maybe )?(?!{_TO_BEGIN}|(?:have|take) a)\w+|how about|"
    r"why don't we|what if we|(?:I|we) (?:would |'d )?(?:propose|suggest|recommend)|I'd (?:propose|suggest|say|rather)|"
    r"my (?:proposal|suggestion) is) (?:\S+ )*\S+",
    re.IGNORECASE,
)
_TAKEN_UP = re.compile(
    r"^(?:(?:yes|yeah|yep|okay|ok|good|fine|great|sure|right|alright|all right|then|perfect)[,.]? )*"
    r"(?:agreed|deal|(?:fine|okay|good|all right) (?:by|with|for) (?:me|us)|sounds good|works for (?:me|us)|good idea|"
    r"let's do (?:that|it|so)|we'll do (?:that|it)|I agree|(?:it's|that's|it is|that is) (?:settled|decided|agreed))"
    r"(?! (?:if|but|as long|only|that it)\b)[^?]*$",
    re.IGNORECASE,
)
# What takes the last decision back; it is told beside it.
_TAKEN_BACK = re.compile(
    rf"{_LEAD}(?:(?:no|wait|actually|oh|hm+|sorry)[,.]? )*(?:scratch|forget|strike|cancel|undo) (?:that|it)\b(?!.*\?$)",
    re.IGNORECASE,
)
_NO_DECISION = re.compile(
    r"\?$|\b(?:if|maybe|perhaps|might|could|should|would|unless|suppose|whether|hasn't|haven't|didn't|wasn't|not yet|"
    r"last (?:time|year|month|week|meeting|summer|winter|spring)|move on|offline|come back to)\b",
    re.IGNORECASE,
)


def _decisions(said: Sequence[Sentence], taken: Set[Sentence]) -> Iterator[Item]:
    """Sentences that say what was decided, proposals that the next speaker takes up, and what takes either back."""
    told: set[int] = set()
    for number, sentence in enumerate(said):
        if sentence in taken or number in told:
            continue
        places = [number]
        if not _is_decision(sentence.text):
            reply = _taken_up(said, number)
            if reply is None or said[reply] in taken:
                continue
            places.append(reply)
        back = _reply(said, places[-1], lambda later: _TAKEN_BACK.search(later.text) is not None)
        if back is not None:
            places.append(back)
        told.update(places)
        yield Item(sentence.text, tuple(said[place] for place in places))


def _taken_up(said: Sequence[Sentence], number: int) -> int | None:
    """The place of the sentence with which another takes up a proposal."""
    if not _PROPOSAL.search(said[number].text):
        return None
    reply = _reply(said, number, partial(_is_of_another, said[number].speaker))
    if reply is None or not _TAKEN_UP.search(said[reply].text) or re.search(r"\bbut\b", said[reply].text):
        return None
    return reply


def _is_decision(text: str) -> bool:
    return not _NO_DECISION.search(text) and any(cue.search(text) for cue in _DECISIONS)


# -- action items -----------------------------------------------------------------------------------

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_PART = r"(?: (?:morning|noon|afternoon|evening|night))?"
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)-(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|first|"
    r"second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|\w+teenth|twentieth|thirtieth)"
)
_DATE = (
    rf"(?:(?:next |this )?{_DAY}{_PART}(?: the {_ORDINAL})?|(?:the )?{_ORDINAL}(?: of {_MONTH})?|"
    rf"{_MONTH} {_ORDINAL}|{_MONTH} \d{{1,2}}|"
    rf"\d{{1,2}} {_MONTH}|(?:the )?end of (?:the |this |next )?(?:day|week|month|quarter|year|{_MONTH})|"
    rf"tomorrow{_PART}|today|tonight|noon|midnight|(?:next|this) (?:week|month|quarter|year|weekend)|the weekend|"
    r"christmas|easter|new year|\d{1,2}(?::\d\d)? ?(?:am|pm|o'clock))"
)
_DUE = re.compile(
    rf"\b(?:(?:by|before|until|till|no later than|on) {_DATE}|(?:next|this) (?:{_DAY}|week|month|quarter|weekend)|"
    rf"tomorrow{_PART}|today|tonight|this (?:morning|afternoon|evening)|by (?:\w+ )?{_MONTH})\b",
    re.IGNORECASE,
)
# What people say they will do in the meeting itself, or say without meaning to do anything.
_IDLE = (
    r"(?:be|say|see|let|have|start|begin|show|share|admit|stop|repeat|leave|wait|think|go|come|know|try|hand|pass|add|"
    r"just|give you|tell you|do (?:that|it|this)|mention|explain|walk|quickly|never|not|probably|always|assume|guess)"
)
_PROMISE = re.compile(
    rf"\b(?:I'll|I will|I'm going to|I am going to) (?!{_IDLE}\b)(?:then |also |now )?\w+", re.IGNORECASE
)
_PROMISE_WITH_DATE = re.compile(rf"\bI (?:can|need to|have to|must|should) (?!{_IDLE}\b)\w+", re.IGNORECASE)
# "I'll go through it" begins a talk, unless it is for later.
_LATER = re.compile(r"\bI(?:'ll| will) go (?:through|over) (?!.*\b(?:today|tonight|now|together)\b)\w+", re.IGNORECASE)
# What is put to all, and who takes it.
_CALL = re.compile(
    rf"{_LEAD}(?:but )?(?:somebody|someone) (?:(?:needs|has|ought) to|must|should) (?!be\b|have\b)\w+|"
    rf"{_LEAD}who (?:can|could|will|wants to|would like to) (?!(?:be|have|hear|see|tell|say|remember)\b)\w+ .*\?$",
    re.IGNORECASE,
)
_TAKES = re.compile(
    r"^(?:(?:yes|yeah|okay|ok|sure|well)[,.]? )*(?:I can|I could|I'll|I will)"
    r"(?: (?:do|take|handle) (?:that|it|this)| take care of (?:that|it|this))?(?:[.!]|, (?!if\b|but\b|unless\b)[^?]*)$",
    re.IGNORECASE,
)
_WE_MUST = re.compile(
    r"\bwe (?:need to|have to|must) (?!be\b|have\b|find out|decide|know|talk|think|see\b)\w+", re.IGNORECASE
)
_MARKED = re.compile(r"\b(?:action (?:item|point)|to-?do) (?:for|on) (\w+)\b", re.IGNORECASE)
_HEDGE = re.compile(r"\?$|\b(?:if|maybe|perhaps|might|unless|suppose|wish|was going to)\b", re.IGNORECASE)
_YES = re.compile(
    r"^(?:yes|yeah|yep|sure|of course|okay|ok|will do|no problem|gladly|happy to|on it|certainly|absolutely|I'll|"
    r"I will|all right|alright|fine)\b",
    re.IGNORECASE,
)
_NO = re.compile(r"^(?:no|nope|sorry|unfortunately|I can't|I cannot|I won't|not me|I'm afraid)\b", re.IGNORECASE)


def _people(speakers: Sequence[str]) -> dict[str, str]:
    """Who is meant by a name in lower case: whole names, and the parts of them that one person has alone."""
    found = {speaker.lower(): speaker for speaker in speakers}
    parts = [(part.lower(), speaker) for speaker in speakers for part in speaker.split() if part[:1].isupper()]
    times = Counter(part for part, _ in parts)
    for part, speaker in parts:
        if times[part] == 1:
            found.setdefault(part, speaker)
    return found


def _actions(said: Sequence[Sentence], people: dict[str, str]) -> Iterator[Item]:
    names = "|".join(re.escape(name) for name in sorted(people, key=len, reverse=True)) or r"(?!)"
    request = re.compile(
        rf"{_LEAD}(?P<a>{names}),? (?:(?P<asks>(?:can|could|will|would) you)|please) (?P<what>\w+)|"
        rf"^(?:can|could|will|would) you (?:please )?\w.*, (?P<b>{names})\?$",
        re.IGNORECASE,
    )
    third = re.compile(
        rf"{_LEAD}(?P<a>{names}) (?:will|is going to|needs to|has to|takes care of|is responsible for|owns) "
        r"(?!be\b|have\b|not\b|never\b)\w+",
        re.IGNORECASE,
    )
    taken: set[int] = set()
    for number, sentence in enumerate(said):
        text = sentence.text
        if number in taken:
            continue
        if (match := request.search(text)) is not None:
            due = _due(text, match.start())
            owner = people[(match["a"] or match["b"]).lower()]
            reply = _reply(said, number, partial(_is_said_by, owner))
            answer = said[reply] if reply is not None else None
            is_asked = match["a"] is None or match["asks"] is not None
            if answer is not None and _YES.search(answer.text) and not re.search(r"\bbut\b", answer.text):
                taken.add(reply or 0)
                yield Item(text, (sentence, answer), owner, due or _due(answer.text, 0))
            elif not is_asked and (answer is None or not _NO.search(answer.text)):
                yield Item(text, (sentence,), owner, due)
            continue
        if _CALL.search(text) is not None:
            reply = _reply(said, number, lambda later: _TAKES.search(later.text) is not None)
            if reply is not None and said[reply].speaker:
                taken.add(reply)
                due = _due(text, 0) or _due(said[reply].text, 0)
                yield Item(text, (sentence, said[reply]), said[reply].speaker, due)
            continue
        if (marked := _MARKED.search(text)) is not None:
            who = marked[1].lower()
            owner = sentence.speaker if who == "me" else people.get(who, marked[1])
            yield Item(text, (sentence,), owner, _due(text, marked.end()))
        elif _HEDGE.search(text):
            continue
        elif (match := _PROMISE.search(text)) is not None:
            yield Item(text, (sentence,), sentence.speaker, _due(text, match.end()))
        elif (match := _PROMISE_WITH_DATE.search(text)) is not None and (due := _due(text, match.end())):
            yield Item(text, (sentence,), sentence.speaker, due)
        elif (match := _LATER.search(text)) is not None and (date := _DUE.search(text, match.end())):
            yield Item(text, (sentence,), sentence.speaker, date[0])
        elif (match := third.search(text)) is not None:
            yield Item(text, (sentence,), people[match["a"].lower()], _due(text, match.end()))
        elif (match := _WE_MUST.search(text)) is not None and (due := _due(text, match.end())):
            yield Item(text, (sentence,), "", due)


def _is_said_by(speaker: str, sentence: Sentence) -> bool:
    return sentence.speaker == speaker


def _is_of_another(speaker: str, sentence: Sentence) -> bool:
    return sentence.speaker != speaker


def _due(text: str, after: int) -> str:
    """The first date after a place, else the one that the sentence begins with; others belong to other clauses."""
    lead = re.match(_LEAD, text, re.IGNORECASE)
    match = _DUE.search(text, after) or _DUE.match(text, lead.end() if lead else 0)
    return match[0] if match else ""


# -- open questions ---------------------------------------------------------------------------------

_SOCIAL = re.compile(
    r"^(?:any (?:other )?questions|right|okay|ok|agreed|ready|shall we|how are|"
    r"(?:can|could) (?:you|everybody|everyone) (?:hear|see))\b|, (?:right|okay|ok|yes|no|agreed)\?$",
    re.IGNORECASE,
)
_NOT_KNOWN = re.compile(
    r"\b(?:(?:don't|do not|doesn't) (?:really )?know|no idea|no clue|not sure|hard to (?:say|tell)|"
    r"(?:can't|cannot|couldn't) (?:tell|say|find)|(?:nobody|no one|who) knows|still open|"
    r"(?:is|it's|that's) (?:still )?(?:open|unclear|undecided)|come back to|find out|look into (?:that|it)|"
    r"(?:haven't|have not) (?:decided|heard)|"
    r"to be (?:decided|confirmed|determined))\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\bwe (?:still )?(?:need|have) to (?:find out|decide|figure out|clarify)\b|"
    r"\bwe (?:haven't|have not) (?:yet )?(?:decided|settled|agreed)\b|"
    r"\bwe (?:don't|do not) know (?:yet )?(?:if|whether|who|what|when|where|why|how|which)\b|"
    r"\b(?:is|are|remains?|it's) (?:still )?(?:open|unclear|undecided)\b|\bopen question\b",
    re.IGNORECASE,
)


def _questions(said: Sequence[Sentence]) -> Iterator[Item]:
    taken: set[int] = set()
    for number, sentence in enumerate(said):
        text = sentence.text
        if number in taken:
            continue
        if text.endswith("?") and len(text.split()) >= 3 and not _SOCIAL.search(text):
            reply = _reply(said, number, lambda s: s.text.endswith("?") or bool(_NOT_KNOWN.search(s.text)))
            if reply is not None and not said[reply].text.endswith("?") and _is_first_reply(said, number, reply):
                taken.add(reply)
                yield Item(text, (sentence, said[reply]))
        elif _OPEN.search(text) and not text.endswith("?"):
            yield Item(text, (sentence,))


def _is_first_reply(said: Sequence[Sentence], question: int, reply: int) -> bool:
    """Only a word or two may come between, such as "Good question."."""
    return all(len(sentence.text.split()) <= 3 for sentence in said[question + 1 : reply])


def _reply(said: Sequence[Sentence], number: int, fits: Callable[[Sentence], bool]) -> int | None:
    """The place of the first fitting sentence soon after one."""
    for place in range(number + 1, min(len(said), number + 1 + REPLY_SENTENCES)):
        if said[place].start_sample - said[number].end_sample > REPLY_SAMPLES:
            return None
        if fits(said[place]):
            return place
    return None


# -- screens ----------------------------------------------------------------------------------------


def _screens(screens: Sequence[Screen]) -> Iterator[Screen]:
    """Those with text, each once while it only changes in part; the newest picture stands for all of it."""
    shown: Screen | None = None
    for screen in screens:
        if not screen.lines:
            continue
        if shown is not None and _alike(shown, screen):
            shown = replace(screen, start_sample=shown.start_sample)
            continue
        if shown is not None:
            yield shown
        shown = screen
    if shown is not None:
        yield shown


def _alike(one: Screen, other: Screen) -> bool:
    a, b = set(one.lines), set(other.lines)
    return len(a & b) >= SAME_SCREEN * min(len(a), len(b))


def screen_title(screen: Screen) -> str:
    """The largest line, the upper one of two as large."""
    regions = [region for region in screen.regions if region.text]
    return max(regions, key=lambda r: (round(r.box[3] - r.box[1]), -r.box[1])).text if regions else ""


# -- as JSON and Markdown ---------------------------------------------------------------------------


def render(minutes: Minutes, name: str) -> str:
    """The minutes as "md" or "json"; the text ends with a newline. Raises MediaError for another format."""
    if name not in FORMATS:
        raise MediaError(f"format is {name!r}, must be one of {', '.join(FORMATS)}")
    if name == "json":
        return json.dumps(minutes_json(minutes), ensure_ascii=False, indent=1) + "\n"
    return minutes_md(minutes)


def minutes_json(minutes: Minutes) -> dict[str, Any]:
    """The minutes as one JSON object; times in seconds, null for what nobody said."""
    document = minutes.document
    return {
        "session": document.session_id,
        "title": document.title,
        "duration_s": seconds(document.end_sample),
        "language": document.language,
        "topics": [
            {
                "title": topic.title,
                "start_s": seconds(topic.start_sample),
                "end_s": seconds(topic.end_sample),
                "evidence": [_evidence_json(topic.evidence)],
            }
            for topic in minutes.topics
        ],
        "decisions": [_item_json(item) for item in minutes.decisions],
        "actions": [{**_item_json(i), "owner": i.owner or None, "due": i.due or None} for i in minutes.actions],
        "questions": [_item_json(item) for item in minutes.questions],
        "screens": [
            {
                "title": screen_title(screen),
                "start_s": seconds(screen.start_sample),
                "end_s": seconds(screen.end_sample),
                "frame_id": screen.frame_id or None,
                "lines": list(screen.lines),
            }
            for screen in minutes.screens
        ],
    }


def _item_json(item: Item) -> dict[str, Any]:
    first = item.evidence[0]
    return {
        "text": item.text,
        "speaker": first.speaker or None,
        "start_s": seconds(first.start_sample),
        "end_s": seconds(item.evidence[-1].end_sample),
        "evidence": [_evidence_json(sentence) for sentence in item.evidence],
    }


def _evidence_json(sentence: Sentence) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "speaker": sentence.speaker or None,
        "start_s": seconds(sentence.start_sample),
        "end_s": seconds(sentence.end_sample),
        "utterances": list(sentence.sources),
    }


def minutes_md(minutes: Minutes) -> str:
    """The minutes as CommonMark; every line ends with its speaker and time. Parts without lines are left out."""
    document = minutes.document
    lines = [f"# Minutes: {escape_md(document.title or document.session_id)}", ""]
    lines += [f"Length {short_clock(document.end_sample)}", ""]
    parts = (
        ("Topics", [f"{_span(t.start_sample, t.end_sample)} {escape_md(t.title)}" for t in minutes.topics]),
        ("Decisions", [_item_md(item) for item in minutes.decisions]),
        ("Action items", [_action_md(item) for item in minutes.actions]),
        ("Open questions", [_item_md(item) for item in minutes.questions]),
        ("Shown on the screen", [_screen_md(screen) for screen in minutes.screens]),
    )
    for name, items in parts:
        if items:
            lines += [f"## {name}", "", *(f"- {item}" for item in items), ""]
    return "\n".join(lines)


def _span(start: int, end: int) -> str:
    return f"{short_clock(start)} to {short_clock(end)}"


def _item_md(item: Item) -> str:
    replies = "".join(f" / {escape_md(s.speaker or 'Somebody')}: {escape_md(s.text)}" for s in item.evidence[1:])
    return f"{escape_md(item.text)}{replies} ({_from(item)})"


def _action_md(item: Item) -> str:
    due = f", {escape_md(item.due)}" if item.due else ""
    return f"**{escape_md(item.owner or 'Nobody named')}{due}**: {_item_md(item)}"


def _from(item: Item) -> str:
    first = item.evidence[0]
    return f"{escape_md(first.speaker or 'Somebody')}, {short_clock(first.start_sample)}"


def _screen_md(screen: Screen) -> str:
    shown = [escape_md(line) for line in screen.lines[:MAX_SCREEN_LINES]]
    more = f" and {len(screen.lines) - MAX_SCREEN_LINES} lines more" if len(screen.lines) > MAX_SCREEN_LINES else ""
    when = _span(screen.start_sample, screen.end_sample)
    return f"{when} **{escape_md(screen_title(screen))}**: {' / '.join(shown)}{more}"
