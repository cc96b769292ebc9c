"""Lists of a form that the minutes hold: action items, decisions, open questions, topics, participants. Pure.

Names of lists and of their parts are English.
"""

import re
from collections.abc import Iterator
from typing import Any

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.field_questions import words_of
from services.gateway.formats import seconds, short_clock
from services.gateway.minutes import Item, Minutes, Sentence

# What lists are called, and what the parts of their objects are; the first that fits counts.
_LISTS = (
    ("actions", re.compile(r"\b(?:actions?|tasks?|to ?dos?|follow ?ups?|next steps?|assignments?)\b")),
    ("decisions", re.compile(r"\b(?:decisions?|resolutions?|agreements?)\b")),
    ("questions", re.compile(r"\b(?:open|unresolved|unanswered) (?:questions?|issues?|points?)\b|^questions?$")),
    ("topics", re.compile(r"\b(?:topics?|agenda|subjects|themes?)\b")),
    ("people", re.compile(r"\b(?:attendees?|participants?|speakers?|people present)\b")),
)
_PARTS = (
    ("start_s", re.compile(r"^start s$")),
    ("end_s", re.compile(r"^end s$")),
    ("time", re.compile(r"^(?:time|timestamp)$")),
    ("speaker", re.compile(r"\b(?:speaker|said by|raised by|asked by|decided by|made by)\b")),
    ("owner", re.compile(r"\b(?:owner|assignee|assigned to|assigned|responsible|who|person)\b")),
    ("due", re.compile(r"\b(?:due|deadline|date|when|until)\b")),
    (
        "text",
        re.compile(
            r"\b(?:text|task|action|item|title|description|what|content|name|decision|question|topic|summary|point)\b"
        ),
    ),
)


def minutes_list(name: str) -> str:
    """The part of the minutes that a list of this name means; "" for none."""
    return next((kind for kind, pattern in _LISTS if pattern.search(words_of(name))), "")


def minutes_part(name: str) -> str:
    """What of an item of the minutes a field of this name means; "" for nothing that an item has."""
    return next((part for part, pattern in _PARTS if pattern.search(words_of(name))), "")


def items(minutes: Minutes, kind: str) -> Iterator[tuple[dict[str, Any], list[pb.Evidence]]]:
    """The items of one part: what each of `minutes_part` is, None where nobody said it, and the lines."""
    match kind:
        case "people":
            for name in minutes.document.speakers:
                yield {"text": name, "speaker": name}, []
        case "topics":
            for topic in minutes.topics:
                yield _item(Item(topic.title, (topic.evidence,)))
        case _:
            lists = {"actions": minutes.actions, "decisions": minutes.decisions, "questions": minutes.questions}
            for item in lists[kind]:
                yield _item(item)


def _item(item: Item) -> tuple[dict[str, Any], list[pb.Evidence]]:
    first, last = item.evidence[0], item.evidence[-1]
    known = {
        "text": item.text,
        "owner": item.owner or None,
        "due": item.due or None,
        "speaker": first.speaker or None,
        "start_s": seconds(first.start_sample),
        "end_s": seconds(last.end_sample),
        "time": short_clock(first.start_sample),
    }
    return known, [evidence_line(sentence) for sentence in item.evidence]


def evidence_line(sentence: Sentence) -> pb.Evidence:
    """A sentence of the minutes as what an answer stands on."""
    return pb.Evidence(
        kind="speech",
        text=sentence.text,
        speaker=sentence.speaker,
        start_sample=sentence.start_sample,
        end_sample=sentence.end_sample,
        source_id=next(iter(sentence.sources), ""),
    )
