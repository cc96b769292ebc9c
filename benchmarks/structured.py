"""Forms filled from invented meetings: values that are right, and those left empty that nobody told.

`python -m benchmarks.structured` asks 24 meetings made from seeds (tools/train_decoder, split "test") for forms about
the things that came up in them: facts that were told, under names and descriptions of fields that nothing was chosen
on, and as many that nobody told. A value is right when it stands in a line that tells the fact and shares its words,
or is its number, its choice, its yes or no. `--split dev` is for choosing.
"""

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engines.fetch import fetch
from protos.decoder.v1 import decoder_pb2 as pb
from services.decoder import fields as fielding
from services.decoder.retrieval import READ, Hit, Index
from services.gateway.answer_schema import compiled
from services.gateway.spelled_numbers import numbers
from services.runtime.sentence import SentenceEncoder
from tools.train_decoder.groups import filled, readers
from tools.train_decoder.meetings import Fact, Meeting, make

MADE_MEETINGS = 24
# Of what a form asks for: type, then names with descriptions; those at even places are for dev, at odd ones for test.
_WORDED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "due.date": (
        "string",
        [
            ("due_date", ""),
            ("deadline", ""),
            ("due", "The day by which it has to be finished"),
            ("needed_by", "When it is needed"),
            ("deadline", "Latest date of delivery"),
            ("dueDate", "Due date, as it was said"),
        ],
    ),
    "event.date": (
        "string",
        [
            ("date", ""),
            ("day", "The day on which it takes place"),
            ("when", "Date of the event"),
            ("date", "When it happens"),
            ("scheduled_for", ""),
            ("event_date", ""),
        ],
    ),
    "start.time": (
        "string",
        [
            ("start_time", ""),
            ("starts_at", "The time at which it begins"),
            ("begin", "Time of the beginning"),
            ("startTime", ""),
            ("start", "When it starts, time of day"),
            ("time_of_start", ""),
        ],
    ),
    "owner.P": (
        "string",
        [
            ("owner", ""),
            ("assignee", ""),
            ("owner", "Who will do it"),
            ("responsible", "Person who is responsible for the task"),
            ("assigned_to", "Name of the person"),
            ("who", "Who takes care of it"),
        ],
    ),
    "cost.money": (
        "number",
        [
            ("cost", ""),
            ("price", "How much it costs"),
            ("amount", "Amount of money"),
            ("cost", "What it costs, without the currency"),
            ("price", ""),
            ("total_cost", ""),
        ],
    ),
    "where.place": (
        "string",
        [
            ("location", ""),
            ("place", "Where it is"),
            ("where", "Place where it can be found"),
            ("location", "Where one finds it"),
            ("whereabouts", ""),
            ("place", ""),
        ],
    ),
    "problem.wrong": (
        "string",
        [
            ("problem", ""),
            ("issue", ""),
            ("problem", "What is wrong with it"),
            ("defect", "What does not work"),
            ("issue", "Description of the problem"),
            ("fault", "What the trouble with it is"),
        ],
    ),
    "problem": (
        "boolean",
        [
            ("has_problem", ""),
            ("is_broken", "Whether there is a problem with it"),
            ("has_issue", "Whether something is wrong with it"),
            ("problem", "True if somebody reported a problem"),
            ("faulty", "If it has a problem"),
            ("has_defect", ""),
        ],
    ),
    "status.state": (
        "choice",
        [
            ("status", ""),
            ("state", ""),
            ("status", "How far it is"),
            ("status", "Current status"),
            ("progress", "What state it is in"),
            ("current_state", "Where it stands"),
        ],
    ),
    "code.code": (
        "string",
        [
            ("number", "Its reference number"),
            ("reference", ""),
            ("code", ""),
            ("ticket", "Number or code under which it is filed"),
            ("id", "Its identifier"),
            ("code", "Reference code"),
        ],
    ),
    "duration.duration": (
        "string",
        [
            ("duration", ""),
            ("time_needed", "How long it takes"),
            ("effort", "Time that is needed"),
            ("duration", "How much time it takes"),
            ("how_long", ""),
            ("estimated_time", ""),
        ],
    ),
    "firm.firm": (
        "string",
        [
            ("supplier", ""),
            ("company", "Company that delivers it"),
            ("vendor", "Who supplies it"),
            ("supplier", "Which company it comes from"),
            ("supplied_by", ""),
            ("firm", "The company responsible"),
        ],
    ),
    "often.often": (
        "string",
        [
            ("frequency", ""),
            ("interval", "How often it happens"),
            ("how_often", ""),
            ("frequency", "How often it takes place"),
            ("rhythm", "How often it is held"),
            ("recurrence", ""),
        ],
    ),
    "contact.phone": (
        "string",
        [
            ("phone", ""),
            ("phone_number", ""),
            ("phone", "Number under which to reach the person"),
            ("extension", "Phone number"),
            ("telephone", ""),
            ("contact", "Number to call"),
        ],
    ),
    "away.date": (
        "string",
        [
            ("back_on", "When the person is back"),
            ("absent_until", ""),
            ("away_until", "Until when the person is away"),
            ("returns", "Day of return"),
            ("return_date", ""),
            ("back", "Day on which the person is back"),
        ],
    ),
}
_HEADINGS = (
    "Extract the details of {x}.",
    "What do we know about {x}?",
    "Tell me everything about {x}.",
    "Fill in the form for {x}.",
    "{x}",
    "Collect all that was said about {x}.",
)
_TASK_HEADINGS = ("Extract the action item: {x}.", "Who will {x}?", "The task is to {x}.", "Fill in this task: {x}")


@dataclass(frozen=True)
class Asked:
    """One field: its relation, the facts that answer it (none: nobody told it), and its name, description and type."""

    relation: str
    facts: tuple[Fact, ...]
    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """How one field came out."""

    relation: str
    is_told: bool
    is_filled: bool
    is_right: bool
    confidence: float


def forms(meeting: Meeting, seed: int) -> Iterator[tuple[str, list[Asked]]]:
    """A heading and the fields of each form that a meeting is asked to fill."""
    rng = random.Random(f"forms-{meeting.split}-{seed}")  # noqa: S311  # not for secrets
    about: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in meeting.facts:
        if fact.lines and any(name.partition(".")[0] == fact.relation for name in _WORDED):
            about[fact.key, fact.slots[fact.key]].append(fact)
    odd = meeting.split == "test"
    for (key, entity), facts in about.items():
        if key == "P" and not entity[1:].isalpha():
            continue
        told = {fact.relation: fact for fact in facts}
        same_key = [name for name in _WORDED if _key_of(name.partition(".")[0]) == key]
        asked: dict[str, Asked] = {}
        for name in same_key:
            relation = name.partition(".")[0]
            # what a meeting may tell in other words is not asked for where it was not told
            if relation not in told and (rng.random() < 0.5 or _is_near(relation, told)):
                continue
            kind, worded = _WORDED[name]
            title, description = rng.choice(worded[odd::2])
            if title in asked:
                continue
            schema: dict[str, Any] = {"type": [kind, "null"]}
            if kind == "choice":
                schema = {"enum": _choices(told.get(relation), rng)}
            if description:
                schema["description"] = description
            asked[title] = Asked(name, (told[relation],) if relation in told else (), title, schema)
        if asked:
            headings = (_TASK_HEADINGS if key == "task" else _HEADINGS)[odd::2]
            yield rng.choice(headings).format(x=entity), list(asked.values())


def _key_of(relation: str) -> str:
    return {"event": "event", "start": "event", "often": "event", "owner": "task", "contact": "P", "away": "P"}.get(
        relation, "thing"
    )


def _is_near(relation: str, told: dict[str, Fact]) -> bool:
    near = ({"due", "duration", "status", "problem"}, {"event", "start", "often"}, {"where", "firm"})
    return any(relation in group and not group.isdisjoint(told) for group in near)


def _choices(fact: Fact | None, rng: random.Random) -> list[str | None]:
    states = ["finished", "on hold", "blocked", "approved", "rejected", "still broken", "cancelled", "being tested"]
    true = [fact.slots["state"]] if fact is not None else []
    chosen = true + rng.sample([state for state in states if state not in true], 3)
    rng.shuffle(chosen)
    return [*(state.replace(" ", "_") for state in chosen), None]


def found(index: Index, encoder: SentenceEncoder, names: dict[str, str], field: pb.Field) -> pb.FieldAnswer:
    """What the decoder gives for a field (services/decoder/asking.py)."""
    hits = index.search(field.question, names, READ if field.is_list else 5)
    if field.is_list:
        hits = [replace(hit, probability=hit.alone) for hit in hits]
    answer = pb.FieldAnswer(path=field.path, evidence=[_evidence(hit, names) for hit in hits])
    if hits and field.choices:
        answer.choices.extend(fielding.weigh(encoder, hits[0], field.choices))
    return answer


def _evidence(hit: Hit, names: dict[str, str]) -> pb.Evidence:
    line = hit.line
    return pb.Evidence(
        kind=line.kind, text=line.text, speaker=line.speaker, start_sample=line.start_sample, source_id=line.source_id,
        score=hit.probability, speaker_name=names.get(line.speaker, ""), words=hit.answer,
    )  # fmt: skip


def ask(meeting: Meeting, index: Index, encoder: SentenceEncoder, heading: str, asked: Sequence[Asked]) -> list[Filled]:
    """Fill one form."""
    schema = {
        "type": "object",
        "properties": {one.name: one.schema for one in asked},
        "required": [one.name for one in asked],
        "additionalProperties": False,
    }
    form = compiled(schema, heading)
    answer = pb.Answer(fields=[found(index, encoder, meeting.speakers, field) for field in form.fields])
    whole = form.filled(heading, answer)
    value = json.loads(whole.text)
    told = {one.path: one for one in whole.fields}
    return [_filled(meeting, one, value[one.name], told[one.name]) for one in asked]


def _filled(meeting: Meeting, asked: Asked, value: Any, told: pb.FieldAnswer) -> Filled:
    kind = _WORDED[asked.relation][0]
    is_told = bool(asked.facts)
    if kind == "boolean":
        # nobody says of most things that nothing is wrong with them
        is_filled = value is True
    else:
        is_filled = value is not None
    is_right = is_filled and any(_is_right(meeting, asked, fact, value, told) for fact in asked.facts)
    return Filled(asked.relation, is_told, is_filled, is_right, told.confidence)


def _is_right(meeting: Meeting, asked: Asked, fact: Fact, value: Any, told: pb.FieldAnswer) -> bool:
    kind = _WORDED[asked.relation][0]
    if kind == "boolean":
        return value is True
    slot = asked.relation.partition(".")[2]
    if kind == "number":
        return numbers(fact.slots[slot])[:1] == [value]
    if kind == "choice":
        return bool(value == fact.slots[slot].replace(" ", "_"))
    line = next((i for i in fact.lines if str(i) == told.evidence[0].source_id), None)
    if line is None:
        return False
    if fact.mine and slot == "P":
        return bool(value == fact.slots["P"])
    piece = meeting.lines[line]
    said = [
        piece.text[a:b] for name, a, b in piece.spans if {"on_date": "date"}.get(n := name.partition("@")[0], n) == slot
    ]
    return any(_shares(str(value), one) for one in said) or _shares(str(value), fact.slots[slot])


def _shares(value: str, truth: str) -> bool:
    """Whether a value has most of the words of a truth, and few others."""
    a, b = (re.findall(r"\w+", text.lower()) for text in (value, truth))
    common = sum((Counter(a) & Counter(b)).values())
    return common > 0 and 2 * common / (len(a) + len(b)) >= 0.6


def run(split: str, seeds: Sequence[int]) -> list[Filled]:
    """Fill the forms of some meetings."""
    encoder, reader = readers()
    out = []
    for seed in seeds:
        meeting = make(split, seed)
        index = filled(Index(encoder, reader), meeting)
        for heading, asked in forms(meeting, seed):
            out += ask(meeting, index, encoder, heading, asked)
    return out


def summary(of: Sequence[Filled]) -> dict[str, float]:
    """Of fields that were told: right, wrong, left empty; of others: left empty."""
    told, others = [one for one in of if one.is_told], [one for one in of if not one.is_told]
    return {
        "fields": len(of),
        "told": len(told),
        "right": sum(one.is_right for one in told) / max(1, len(told)),
        "wrong": sum(one.is_filled and not one.is_right for one in told) / max(1, len(told)),
        "left empty": sum(not one.is_filled for one in told) / max(1, len(told)),
        "rightly left empty": sum(not one.is_filled for one in others) / max(1, len(others)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured", description=__doc__)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--meetings", type=int, default=MADE_MEETINGS)
    flags = parser.parse_args()
    fetch(["minilm", "reader"])
    begun = time.process_time()
    of = run(flags.split, range(flags.meetings))
    print({name: round(value, 3) for name, value in summary(of).items()})
    for relation in sorted({one.relation for one in of}):
        print(
            f"  {relation:20}", {k: round(v, 2) for k, v in summary([o for o in of if o.relation == relation]).items()}
        )
    print(f"processor ms a field {1000 * (time.process_time() - begun) / len(of):.0f}")


if __name__ == "__main__":
    main()
