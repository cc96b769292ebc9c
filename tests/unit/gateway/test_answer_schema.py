"""Answers in the shape of a JSON Schema: every accepted one is met, whatever was found."""

import json
import random
from typing import Any

import jsonschema
import pytest

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.answer_schema import MAX_FIELDS, compiled
from services.gateway.minutes import Minutes, minutes_of, sentences
from services.gateway.openai_wire import FieldError
from services.gateway.transcript import Document, Segment
from services.runtime.percept import Word

S = 16_000
LINE = pb.Evidence(
    kind="speech",
    text="We ship on Friday.",
    speaker="S1",
    speaker_name="Priya",
    start_sample=61 * S + S // 2,
    end_sample=63 * S,
    score=0.9,
)
FOUND = pb.Answer(text="Friday.", confidence=0.9, evidence=[LINE])
NOTHING = pb.Answer(text="I did not hear that.", abstained=True, confidence=0.8)
PLAN = "Extract the plan."


def _of(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    strict = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **strict, **more}


def _line(words: str, text: str = "", *, score: float = 0.9, second: int = 1, speaker: str = "Priya") -> pb.Evidence:
    return pb.Evidence(
        kind="speech",
        text=text or words,
        words=words,
        speaker="S1",
        speaker_name=speaker,
        score=score,
        start_sample=second * S,
        source_id=f"u{second}",
    )


def _filled(schema: dict[str, Any], lines: dict[str, Any], minutes: Minutes | None = None) -> tuple[Any, pb.Answer]:
    """The JSON for what the decoder found under each path, checked against the schema."""
    form = compiled(schema, PLAN)
    fields = []
    for field in form.fields:
        found = lines.get(field.path, [])
        choices = [1.0, *[0.0] * (len(field.choices) - 1)] if found else []
        fields.append(pb.FieldAnswer(path=field.path, evidence=found, choices=choices if field.choices else []))
    answer = form.filled(PLAN, pb.Answer(text="Quoted.", fields=fields), minutes)
    value = json.loads(answer.text)
    jsonschema.validate(value, schema)
    return value, answer


# -- from the answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "filled"),
    [
        (_of({"answer": {"type": "string"}}), {"answer": "Friday."}),
        (
            _of({"speaker": {"type": ["string", "null"]}, "time": {"type": "string"}}),
            {"speaker": "Priya", "time": "0:01:01"},
        ),
        (
            _of({"start_s": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "abstained": {"type": "boolean"}}),
            {"start_s": 61.5, "abstained": False},
        ),
        (_of({"lines": {"type": "array", "items": {"type": "string"}}}), {"lines": ["We ship on Friday."]}),
        (
            _of(
                {"evidence": {"type": "array", "items": {"$ref": "#/$defs/Line"}}},
                **{"$defs": {"Line": _of({"text": {"type": "string"}, "time": {"type": "number"}})}},
            ),
            {"evidence": [{"text": "We ship on Friday.", "time": 61.5}]},
        ),
    ],
)
def test_names_of_the_answer_are_filled_from_it_and_its_evidence(schema: dict[str, Any], filled: Any) -> None:
    form = compiled(schema, "When?")
    assert not form.fields and not form.needs_minutes
    assert json.loads(form.filled("When?", FOUND).text) == filled
    for answer in (FOUND, NOTHING):
        jsonschema.validate(json.loads(form.filled("When?", answer).text), schema)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (None, "schema: it must be an object"),
        ({"type": "array"}, "its type must be object"),
        (_of({"mood": {"type": "integer", "minimum": float("inf")}}), "a number that JSON does not have"),
        (_of({"start_s": {"type": "number"}}), r"schema\.start_s: it may be unknown: allow null"),
        (_of({"answer": {"type": "integer"}}), r"schema\.answer: its type must be string"),
        (_of({"answer": {"type": "string", "enum": ["yes", "no"]}}), r"schema\.answer: its type .* without limits"),
        (_of({"mood": {"type": "string", "pattern": "a+"}}), r"schema\.mood: pattern cannot be promised"),
        (_of({"mood": {"type": "string", "format": "date"}}), r"schema\.mood: of formats only date .* null is allowed"),
        (_of({"mood": {"type": "array", "items": {}, "minItems": 1}}), r"schema\.mood: minItems cannot be promised"),
        (_of({"mood": {"type": "number", "minimum": 3, "maximum": 2}}), "minimum 3 is above maximum 2"),
        (_of({"mood": {"type": "string", "enum": [1]}}), "enum must be a list of 1 to 256 values of its type"),
        (_of({"mood": {"type": "colour"}}), "its type 'colour' is none of JSON's"),
        (_of({"mood": {"type": "array", "items": {"type": "array"}}}), "a value of type 'array' cannot be filled"),
        (_of({"mood": {"anyOf": [{"type": "string"}], "type": "string"}}), "type beside anyOf cannot be promised"),
        (_of({f"field {i}": {"type": "string"} for i in range(MAX_FIELDS + 1)}), "more than 64 values"),
        (_of({"answer": {"$ref": "#/$defs/Gone"}}), "leads nowhere"),
        (_of({"answer": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": {"$ref": "#/$defs/A"}}}), "leads nowhere"),
        (_of({"x": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": _of({"x": {"$ref": "#/$defs/A"}})}}), "deeper than 20"),
        (
            _of({"x": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": _of({n: {"$ref": "#/$defs/A"} for n in "xyz"})}}),
            "deeper than 20",
        ),
        (_of({"x": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}] * 9}}}), "deep"),
        (_of({"evidence": {"type": "array", "items": _of({"mood": {}})}}), r"schema\.evidence\[\]\.mood: nothing"),
    ],
)
def test_a_schema_that_cannot_be_promised_is_refused_with_the_place(schema: Any, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        compiled(schema, PLAN)


# -- asked for ------------------------------------------------------------------------------------

USUAL = _of(
    {
        "owner": {"type": "string", "description": "Who is responsible"},
        "due_date": {"type": "string"},
        "amount": {"type": "number", "minimum": 0},
        "decided": {"type": "boolean", "description": "Whether it was decided"},
        "status": {"type": "string", "enum": ["open", "in_progress", "done", "unknown"]},
    }
)


def test_every_other_field_is_a_question_of_its_own() -> None:
    asked = {field.path: field for field in compiled(USUAL, "Extract the details of the crane.").fields}
    assert list(asked) == list(USUAL["properties"])
    assert all("the crane" in field.question and field.question.endswith("?") for field in asked.values())
    assert list(asked["status"].choices) == ["open", "in progress", "done"]


def test_values_are_copied_parsed_or_chosen_and_say_what_they_stand_on() -> None:
    value, answer = _filled(
        USUAL,
        {
            "owner": [_line("I", "I'll do it.")],
            "due_date": [_line("Friday,", "By Friday, as always."), _line("May", score=0.6)],
            "amount": [_line("forty-two thousand euros", "It costs forty-two thousand euros.", score=0.8)],
            "decided": [_line("approved", "No, that is not approved yet.")],
            "status": [_line("open")],
        },
    )
    assert value == {"owner": "Priya", "due_date": "Friday", "amount": 42_000, "decided": False, "status": "open"}
    told = {one.path: one for one in answer.fields}
    assert [line.words for line in told["due_date"].evidence] == ["Friday,", "May"]
    assert told["amount"].confidence == pytest.approx(0.8) and told["amount"].value == "42000"
    assert not answer.abstained and 0.8 < answer.confidence < 0.95


def test_what_nobody_told_is_null_or_empty_and_says_so() -> None:
    weak = {"owner": [_line("Ben", score=0.2)], "amount": [_line("Friday")], "decided": [], "status": []}
    value, answer = _filled(USUAL, weak)
    assert value == {"owner": "", "due_date": "", "amount": 0, "decided": False, "status": "unknown"}
    assert all(one.abstained and one.value == "null" and not one.evidence for one in answer.fields)
    assert answer.abstained and answer.fields[0].confidence == pytest.approx(0.8)
    free = {name: {"type": [part["type"], "null"]} for name, part in USUAL["properties"].items()}
    assert set(_filled(_of(free), weak)[0].values()) == {None}


def test_how_sure_a_form_is_can_be_one_of_its_fields() -> None:
    parts = {"owner": {"type": "string"}, "confidence": {"type": "number"}, "abstained": {"type": "boolean"}}
    value, _ = _filled(_of(parts), {"owner": [_line("Ben", score=0.75)]})
    assert value == {"owner": "Ben", "confidence": 0.75, "abstained": False}


def test_numbers_outside_their_bounds_and_days_without_a_year_are_not_known() -> None:
    parts = {
        "count": {"type": ["integer", "null"], "maximum": 10},
        "share": {"type": ["integer", "null"]},
        "day": {"type": ["string", "null"], "format": "date"},
        "date": {"type": ["string", "null"], "format": "date"},
    }
    lines = {
        "count": [_line("eleven")],
        "share": [_line("2.5 percent")],
        "day": [_line("the 3rd of May")],
        "date": [_line("the 3rd of May, 2027"), _line("May")],
    }
    value, _ = _filled(_of(parts), lines)
    assert value == {"count": None, "share": None, "day": None, "date": "2027-05-03"}


def test_lists_hold_what_several_lines_say_in_order_of_time_and_once() -> None:
    parts = {
        "risks": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "costs": {"type": "array", "items": _of({"item": {"type": "string"}, "amount": {"type": ["number", "null"]}})},
    }
    lines = {
        "risks": [
            _line("rain", second=9),
            _line("frost", second=2),
            _line("Frost.", second=5),
            _line("wind", second=11),
        ],
        "costs": [_line("the tent costs 300", second=4), _line("the band", second=3)],
        "costs.item": [_line("the band", second=3), _line("the tent", second=4), _line("the hall", second=8)],
        "costs.amount": [_line("300", second=4)],
    }
    value, answer = _filled(_of(parts), lines)
    assert value["risks"] == ["frost", "rain"]
    assert value["costs"] == [{"item": "the band", "amount": None}, {"item": "the tent", "amount": 300}]
    assert [line.start_sample // S for line in answer.fields[0].evidence] == [2, 9]


def _minutes() -> Minutes:
    def said(number: int, speaker: str, text: str) -> Segment:
        words = tuple(Word(word, number * 5 * S + i, number * 5 * S + i + 1) for i, word in enumerate(text.split()))
        return Segment(f"u{number}", number * 5 * S, (number + 1) * 5 * S, speaker, words, "en", None)

    texts = (("Priya", "I will send the offer by Friday."), ("Ben", "We agreed to take the smaller hall."))
    document = Document(segments=tuple(said(i, who, text) for i, (who, text) in enumerate(texts)))
    return minutes_of(document, sentences(document), ())


def test_action_items_decisions_and_participants_come_from_the_minutes() -> None:
    person = _of({"name": {"type": "string"}, "role": {"type": ["string", "null"]}})
    task = {"task": {"type": "string"}, "assignee": person, "due_date": {"type": ["string", "null"]}}
    texts = {"type": "array", "items": {"type": "string"}}
    schema = _of(
        {
            "action_items": {"type": "array", "items": _of({**task, "priority": {"type": "string"}})},
            "decisions": texts,
            "attendees": texts,
            "openQuestions": texts,
        }
    )
    value, answer = _filled(schema, {}, _minutes())
    assert value == {
        "action_items": [
            {
                "task": "I will send the offer by Friday.",
                "assignee": {"name": "Priya", "role": None},
                "due_date": "by Friday",
                "priority": "",
            }
        ],
        "decisions": ["We agreed to take the smaller hall."],
        "attendees": ["Priya", "Ben"],
        "openQuestions": [],
    }
    assert answer.fields[0].evidence[0].source_id == "u0" and not answer.fields[0].HasField("confidence")


# -- whatever was found ---------------------------------------------------------------------------


def _schema(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """Some schema, often with one of the keywords that limit a value."""
    names = rng.sample("owner due_date amount items answer risks tasks speaker status confidence time".split(), 4)
    kinds = ["string", "number", "integer", "boolean", "enum", "const", "anyOf", "array", "free", "null"]
    parts: dict[str, Any] = {}
    for name in names:
        kind = rng.choice([*kinds, *["object"] * (depth < 2)])
        match kind:
            case "object":
                parts[name] = _schema(rng, depth + 1)
            case "array":
                item = _schema(rng, 2) if rng.random() < 0.4 else {"type": rng.choice(kinds[:4])}
                parts[name] = {"type": "array", "items": item, "maxItems": rng.randint(0, 3)}
            case "enum":
                parts[name] = {"enum": rng.sample(["a", "b c", 3, None, True, 1.5], rng.randint(1, 4))}
            case "const":
                parts[name] = {"const": rng.choice(["a", 3, None])}
            case "anyOf":
                bounds = {"minimum": rng.randint(-3, 3), "maximum": rng.randint(-2, 5)}
                parts[name] = {"anyOf": [{"type": "number", **bounds}, {"type": rng.choice(["null", "integer"])}]}
            case "free":
                parts[name] = {}
            case _:
                parts[name] = {"type": kind if rng.random() < 0.7 or kind == "null" else [kind, "null"]}
                if kind in ("number", "integer") and rng.random() < 0.5:
                    parts[name]["minimum"] = rng.choice([-2, 0.5, 7])
    return {**_of(parts), "required": rng.sample(names, rng.randint(0, 4))}


def test_the_json_fits_every_schema_that_is_not_refused_and_is_the_same_again() -> None:
    rng, accepted = random.Random(5), 0
    texts = ("nine hundred", "I", "-4.5", "no, never", "the 3rd of May 2027", "b c", "", '\ud7ff\u2028"quoted"')
    for _ in range(600):
        schema = _schema(rng)
        try:
            form = compiled(schema, PLAN)
        except FieldError:
            continue
        accepted += 1
        for answer in (FOUND, NOTHING):
            whole = pb.Answer()
            whole.CopyFrom(answer)
            for field in form.fields:
                lines = [_line(rng.choice(texts), score=rng.random(), second=i) for i in range(rng.randint(0, 3))]
                chances = [rng.random() for _ in field.choices] if lines else []
                whole.fields.append(pb.FieldAnswer(path=field.path, evidence=lines, choices=chances))
            once = form.filled(PLAN, whole, _minutes())
            jsonschema.validate(json.loads(once.text), schema)
            again = compiled(schema, PLAN).filled(PLAN, whole, _minutes())
            assert once.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    assert accepted > 150
