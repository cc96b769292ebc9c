"""An answer in the shape that a JSON Schema asks for: filled with what was said or shown, never made up. Pure.

Names of ANSWER_FIELDS are filled from the answer and its lines, lists of action items, decisions and the like from the
minutes (services/gateway/form_minutes.py), and every other field by a question of its own to the decoder
(services/gateway/field_questions.py), of whose lines the words are copied (services/gateway/field_values.py). A schema
is checked before anything is asked: what nobody here can promise is refused with its place.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.answers import answer_json
from services.gateway.field_questions import question_of, sought, words_of
from services.gateway.field_values import Leaf, empty_choice, likely, meant
from services.gateway.form_minutes import items, minutes_list, minutes_part
from services.gateway.formats import seconds
from services.gateway.minutes import Minutes
from services.gateway.openai_wire import FieldError

PARAM = "response_format"
MAX_DEPTH, MAX_FIELDS, MAX_CHOICES, MAX_ITEMS = 20, 64, 256, 1_000
# Schemas within a schema; one that leads back to itself has no end.
MAX_SCHEMAS = 1_000
# A text of one line fills the field that it is likeliest for, and those for which it is less likely by this at most.
AS_LIKELY = 0.05
# Keywords that promise nothing.
_NOTES = {"title", "description", "default", "examples", "$defs", "$schema", "$id", "$comment"}
_LIMITS = {"enum", "const", "format", "minimum", "maximum", "maxItems"}
_KEYWORDS = {"type", "properties", "required", "items", "additionalProperties", "anyOf", "$ref", *_NOTES, *_LIMITS}
Schema = Mapping[str, Any]
Known = Mapping[str, tuple[str, bool]]
# What a line of evidence can fill, and what the whole answer can: the kind of JSON, and whether it may be unknown.
LINE_FIELDS: Known = {
    "text": ("string", False),
    "kind": ("string", False),
    "speaker": ("string", True),
    "start_s": ("number", False),
    "end_s": ("number", False),
    "time": ("time", False),
    "box": ("box", True),
    "confidence": ("number", False),
}
ANSWER_FIELDS: Known = {
    "answer": ("string", False),
    "text": ("string", False),
    "question": ("string", False),
    "abstained": ("boolean", False),
    "confidence": ("number", False),
    "speaker": ("string", True),
    "kind": ("string", True),
    "start_s": ("number", True),
    "end_s": ("number", True),
    "time": ("time", True),
    "box": ("box", True),
    "evidence": ("lines", False),
    "lines": ("lines", False),
}
# An object with one of these, or with ANSWER_FIELDS alone, is about the answer.
_ANSWER = {"answer", "evidence", "lines"}
# What else means the answer in any object, or all of its fields where none is about the answer.
_HOW_SURE = {"abstained", "confidence"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
# Which kind of value is filled where a schema allows several.
_ORDER = ("const", "choice", "object", "array", "string", "", "number", "integer", "boolean", "null")


@dataclass(slots=True)
class Given:
    """What a form is filled from; `told` becomes the values with what they stand on."""

    facts: Mapping[str, Any]
    found: Mapping[str, pb.FieldAnswer] = field(default_factory=dict)
    minutes: Minutes | None = None
    told: list[pb.FieldAnswer] = field(default_factory=list)

    def lines(self, path: str) -> list[pb.Evidence]:
        """The likely lines of a field, best first."""
        return likely(self.found.get(path, pb.FieldAnswer()))

    def tell(self, path: str, value: object, lines: Sequence[pb.Evidence], confidence: float | None) -> None:
        """Note a value, None for an unknown one."""
        text = json.dumps(value, ensure_ascii=False)
        told = pb.FieldAnswer(path=path, evidence=lines, value=text, abstained=value is None, confidence=confidence)
        self.told.append(told)


Fill = Callable[[Given], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """A checked schema: the `fields` to ask the decoder for, and how JSON is made of what comes.

    `copied` are the paths of texts and numbers, which are words of one line.
    """

    fields: tuple[pb.Field, ...]
    copied: frozenset[str]
    needs_minutes: bool
    is_about_answer: bool
    _fill: Fill

    def filled(self, question: str, answer: pb.Answer, minutes: Minutes | None = None) -> pb.Answer:
        """The answer with JSON as its text and a value in each of its fields."""
        found = _once(answer.fields, self.copied)
        result = pb.Answer()
        result.CopyFrom(answer)
        del result.fields[:]
        if not self.is_about_answer:
            told = self._run(question, result, found, minutes)[1]
            sure = [one.confidence for one in told if one.HasField("confidence")]
            result.abstained = all(one.abstained for one in told)
            result.confidence = sum(sure) / len(sure) if sure else 0.0
        value, told = self._run(question, result, found, minutes)
        result.text = json.dumps(value, ensure_ascii=False)
        result.fields.extend(told)
        return result

    def _run(
        self, question: str, answer: pb.Answer, found: Mapping[str, pb.FieldAnswer], minutes: Minutes | None
    ) -> tuple[Any, list[pb.FieldAnswer]]:
        given = Given(_facts(question, answer), found, minutes)
        return self._fill(given), given.told


def compiled(schema: object, question: str) -> Form:
    """A form whose fields are about a question. Raises FieldError for a schema that cannot be promised."""
    if not isinstance(schema, dict):
        raise _refused("schema", "it must be an object")
    try:
        json.dumps(schema, allow_nan=False)
    except ValueError as error:
        raise _refused("schema", "it holds a number that JSON does not have") from error
    compiler = _Compiler(schema.get("$defs", {}), question)
    fill = compiler.whole(schema, _Place("schema"), ANSWER_FIELDS)
    is_asked = bool(compiler.fields) or compiler.needs_minutes
    is_about_answer = not is_asked or not _ANSWER.isdisjoint(schema.get("properties", {}))
    return Form(tuple(compiler.fields), frozenset(compiler.copied), compiler.needs_minutes, is_about_answer, fill)


def parse_form(text: str, question: str) -> Form | None:
    """The form of a JSON Schema as text; None for none. Raises FieldError."""
    if not text:
        return None
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused("schema", "it is not JSON") from error
    return compiled(schema, question)


def _refused(where: str, why: str) -> FieldError:
    return FieldError(f"{where}: {why}", PARAM, "invalid_json_schema")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the schema (`where`) and in the JSON (`path`), what that is called, and what it is a part of."""

    where: str
    path: str = ""
    name: str = ""
    parents: tuple[str, ...] = ()

    def part(self, name: str) -> "_Place":
        """A property of this object."""
        parents = (*self.parents, self.name) if self.name else self.parents
        if len(parents) > MAX_DEPTH:
            raise _refused(self.where, f"it is deeper than {MAX_DEPTH}")
        return _Place(f"{self.where}.{name}", f"{self.path}.{name}" if self.path else name, name, parents)

    def item(self) -> "_Place":
        """The items of this list."""
        return _Place(f"{self.where}[]", self.path, self.name, self.parents)


class _Compiler:
    """Turns schemas into what fills them; collects what must be asked."""

    def __init__(self, defs: object, question: str) -> None:
        self.fields: list[pb.Field] = []
        self.copied: set[str] = set()
        self.needs_minutes = False
        self._schemas = 0
        self._defs = defs
        self._question = question

    def whole(self, schema: object, place: _Place, known: Known) -> Fill:
        """An object; its fields of `known` names come from the facts, where it is about them."""
        parts = self._parts(schema, place)
        if _ANSWER.isdisjoint(parts) and not parts.keys() <= known.keys():
            known = {name: kind for name, kind in known.items() if name in _HOW_SURE}
        fills = {
            name: self._fact(name, part, place.part(name), known[name])
            if name in known
            else self._asked(part, place.part(name))
            for name, part in parts.items()
        }
        return lambda given: {name: fill(given) for name, fill in fills.items()}

    # -- asked for --------------------------------------------------------------------------------

    def _asked(self, schema: object, place: _Place) -> Fill:
        chosen, may_be_null = self._chosen(schema, place.where)
        match _kind(chosen):
            case "const":
                return lambda given: chosen["const"]
            case "null":
                return lambda given: None
            case "object":
                return self.whole(chosen, place, {})
            case "array":
                return self._list(chosen, place)
        leaf = _leaf(chosen, may_be_null, place)
        self._ask(leaf, chosen, place)
        if leaf.kind not in ("boolean", "choice"):
            self.copied.add(place.path)

        def fill(given: Given) -> Any:
            answer, lines = given.found.get(place.path, pb.FieldAnswer()), given.lines(place.path)
            read = leaf.read(lines, answer.choices)
            if read.line is None:
                best = max((line.score for line in answer.evidence), default=0.0)
                given.tell(place.path, None, [], 1 - best)
                return leaf.empty
            given.tell(place.path, read.value, [read.line, *(x for x in lines if x is not read.line)], read.confidence)
            return read.value

        return fill

    def _ask(self, leaf: Leaf, schema: Schema, place: _Place, *, is_list: bool = False) -> None:
        if len(self.fields) == MAX_FIELDS:
            raise _refused(place.where, f"it asks for more than {MAX_FIELDS} values; ask for fewer at once")
        asked = question_of(place.name, place.parents, _description(schema, place), leaf.kind, self._question)
        choices = [words_of(str(choice)) or str(choice) for choice in leaf.choices]
        self.fields.append(pb.Field(path=place.path, question=asked, choices=choices, is_list=is_list))

    def _list(self, schema: Schema, place: _Place) -> Fill:
        most = schema.get("maxItems", MAX_ITEMS)
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise _refused(place.where, f"maxItems is {most!r}, must be a number of items")
        item, _ = self._chosen(schema.get("items", {"type": "string"}), place.where)
        if (part := minutes_list(place.name)) and _kind(item) in ("string", "object"):
            return self._of_minutes(part, item, place, most)
        self._ask(Leaf("string"), schema, place, is_list=True)
        if _kind(item) == "object":
            return self._records(item, place, most)
        leaf = _leaf(item, True, place.item())

        def fill(given: Given) -> Any:
            values: dict[str, Any] = {}
            used = []
            for line in _in_order(given.lines(place.path)):
                read = leaf.read([line])
                if read.line is not None and words_of(str(read.value)) not in values and len(values) < most:
                    values[words_of(str(read.value))] = read.value
                    used.append(line)
            given.tell(place.path, list(values.values()) or None, used, _mean(used))
            return list(values.values())

        return fill

    def _records(self, schema: Schema, place: _Place, most: int) -> Fill:
        """Objects, one for each line that fits the list; each part was asked for by itself and must stand there too."""
        empty = self._known(schema, place.item(), "")
        leaves: dict[str, Leaf] = {}
        for name, part in self._parts(schema, place.item()).items():
            at = place.part(name)
            chosen, may_be_null = self._chosen(part, at.where)
            if _kind(chosen) not in ("const", "null", "array", "object"):
                leaves[name] = _leaf(chosen, may_be_null, at)
                self._ask(leaves[name], chosen, at, is_list=True)

        def fill(given: Given) -> Any:
            records = []
            used = _in_order(given.lines(place.path))[:most]
            for line in used:
                record = empty({})
                for name, leaf in leaves.items():
                    beside = [one for one in given.lines(f"{place.path}.{name}") if _id(one) == _id(line)]
                    read = leaf.read(beside)
                    if read.line is not None:
                        record[name] = read.value
                records.append(record)
            given.tell(place.path, records or None, used, _mean(used))
            return records

        return fill

    def _of_minutes(self, part: str, item: Schema, place: _Place, most: int) -> Fill:
        """The items of one part of the minutes, as texts or as objects of what an item has."""
        self.needs_minutes = True
        one = self._known(item, place.item(), "" if _kind(item) == "object" else "text")

        def fill(given: Given) -> Any:
            found = list(items(given.minutes, part))[:most] if given.minutes is not None else []
            values = [one(known) for known, _ in found]
            given.tell(place.path, values or None, [line for _, lines in found for line in lines], None)
            return values

        return fill

    def _known(self, schema: object, place: _Place, part: str) -> Callable[[Mapping[str, Any]], Any]:
        """A value that is one `part` of what is known already, or empty; the name of an owner is what "owner" is."""
        chosen, may_be_null = self._chosen(schema, place.where)
        match _kind(chosen):
            case "const":
                return lambda known: chosen["const"]
            case "null":
                return lambda known: None
            case "array":
                return lambda known: []
            case "object":
                own = {name: minutes_part(name) for name in self._parts(chosen, place)}
                fills = {
                    name: self._known(schema, place.part(name), part if part and own[name] == "text" else own[name])
                    for name, schema in self._parts(chosen, place).items()
                }
                return lambda known: {name: fill(known) for name, fill in fills.items()}
        leaf = _leaf(chosen, may_be_null, place)
        return lambda known: leaf.fitting(known.get(part))

    # -- from the answer --------------------------------------------------------------------------

    def _fact(self, name: str, schema: object, place: _Place, known: tuple[str, bool]) -> Fill:
        kind, may_be_unknown = known
        where = place.where
        options = self._alternatives(schema, where)
        types = {option["type"] for option in options}
        if kind == "lines":
            return self._lines(name, [option for option in options if option["type"] in ("array", "")], place)
        is_free = "" in types
        if kind == "box":
            boxes = [option for option in options if option["type"] == "array"]
            if boxes and self._resolved(boxes[0].get("items", {}), where).get("type", "number") != "number":
                raise _refused(where, "a box is a list of numbers")
        wanted = {"time": ("number", "string"), "box": ("array",)}.get(kind, (kind,))
        if (not is_free and not types & set(wanted)) or any(not _LIMITS.isdisjoint(option) for option in options):
            raise _refused(where, f"its type must be {' or '.join(wanted)}, without limits")
        if may_be_unknown and not is_free and not types & {"null", "string"}:
            raise _refused(where, "it may be unknown: allow null")
        as_clock = kind == "time" and not is_free and "number" not in types

        def fill(given: Given) -> Any:
            facts = given.facts
            value = facts["clock"] if as_clock else facts["start_s"] if kind == "time" else facts[name]
            return "" if value is None and not is_free and "null" not in types else value

        return fill

    def _lines(self, name: str, options: list[Schema], place: _Place) -> Fill:
        if not options:
            raise _refused(place.where, "its type must be array, of strings or of objects")
        item = self._resolved(options[0].get("items", {"type": "string"}), place.where)
        if item.get("type", "string") == "string":
            return lambda given: [line["text"] for line in given.facts[name]]
        parts = self._parts(item, place.item())
        if unknown := sorted(parts.keys() - LINE_FIELDS.keys()):
            why = f"nothing here can fill it; what can be: {', '.join(LINE_FIELDS)}"
            raise _refused(f"{place.where}[].{unknown[0]}", why)
        fills = {key: self._fact(key, part, place.item().part(key), LINE_FIELDS[key]) for key, part in parts.items()}
        return lambda given: [{key: fill(Given(line)) for key, fill in fills.items()} for line in given.facts[name]]

    # -- schemas ----------------------------------------------------------------------------------

    def _resolved(self, schema: object, where: str) -> dict[str, Any]:
        """The schema behind its $ref, with keywords that are known here."""
        self._schemas += 1
        if self._schemas > MAX_SCHEMAS:
            raise _refused(where, f"there are more than {MAX_SCHEMAS} schemas up to here; ask for less at once")
        seen = 0
        while isinstance(schema, dict) and "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            target = self._defs.get(name) if isinstance(self._defs, dict) else None
            if not isinstance(target, dict) or seen > MAX_DEPTH:
                raise _refused(where, f"$ref {schema['$ref']!r} leads nowhere; define it under $defs")
            schema, seen = {**target, **_beside(schema, "$ref", where)}, seen + 1
        if not isinstance(schema, dict):
            raise _refused(where, "it must be an object")
        if unknown := sorted(set(schema) - _KEYWORDS):
            raise _refused(where, f"{unknown[0]} cannot be promised; leave it out and check the answer")
        return schema

    def _alternatives(self, schema: object, where: str, depth: int = 0) -> list[Schema]:
        """The schemas of which one is to fit, each of one type ("" for any)."""
        whole = self._resolved(schema, where)
        if "anyOf" not in whole:
            types = whole.get("type", "")
            return [{**whole, "type": str(one)} for one in (types if isinstance(types, list) else [types])]
        if not isinstance(whole["anyOf"], list) or not whole["anyOf"] or depth > MAX_DEPTH:
            raise _refused(where, f"anyOf must be a list of schemas, and at most {MAX_DEPTH} deep")
        beside = _beside(whole, "anyOf", where)
        return [{**beside, **one} for part in whole["anyOf"] for one in self._alternatives(part, where, depth + 1)]

    def _chosen(self, schema: object, where: str) -> tuple[Schema, bool]:
        """The one of the alternatives that is filled, and whether null may stand there."""
        options = self._alternatives(schema, where)
        if unknown := [option["type"] for option in options if option["type"] not in _ORDER]:
            raise _refused(where, f"its type {unknown[0]!r} is none of JSON's")
        if any("const" in option and not _allowed(option) for option in options):
            raise _refused(where, "its const is not of its type")
        # other limits are for numbers, texts and lists
        may_be_null = any(
            None in _allowed(option) if {"enum", "const"} & option.keys() else option["type"] in ("", "null")
            for option in options
        )
        return min(options, key=lambda option: _ORDER.index(_kind(option))), may_be_null

    def _parts(self, schema: object, place: _Place) -> dict[str, object]:
        """The schemas of an object's properties, those that are only required among them."""
        whole = self._resolved(schema, place.where)
        properties, required = whole.get("properties", {}), whole.get("required", [])
        if whole.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
            raise _refused(place.where, "its type must be object, with properties and a list of those required")
        return {name: properties.get(name, {}) for name in dict.fromkeys((*properties, *map(str, required)))}


def _beside(schema: Schema, keyword: str, where: str) -> dict[str, Any]:
    """What stands beside a keyword that says all else. Raises FieldError where that is more than notes."""
    beside = {key: value for key, value in schema.items() if key != keyword}
    if more := sorted(beside.keys() - _NOTES):
        raise _refused(where, f"{more[0]} beside {keyword} cannot be promised; put it inside")
    return beside


def _allowed(schema: Schema) -> list[Any]:
    """The values that an enum or a const names, without those of another type."""
    named = [schema["const"]] if "const" in schema else schema.get("enum", [])
    types = _TYPES.get(schema["type"], (object,))
    is_number = schema["type"] in ("number", "integer")
    return [v for v in named if isinstance(v, types) and not (is_number and isinstance(v, bool))]


def _kind(schema: Schema) -> str:
    return "const" if "const" in schema else "choice" if "enum" in schema else str(schema["type"])


def _description(schema: Schema, place: _Place) -> str:
    description = schema.get("description", "")
    if not isinstance(description, str):
        raise _refused(place.where, "its description must be a text")
    return description


def _leaf(schema: Schema, may_be_null: bool, place: _Place) -> Leaf:
    """A value without parts. Raises FieldError for one that cannot be promised."""
    kind, where = _kind(schema) or "string", place.where
    description = _description(schema, place)
    if kind == "choice":
        if not isinstance(schema["enum"], list) or not 1 <= len(_allowed(schema)) <= MAX_CHOICES:
            raise _refused(where, f"enum must be a list of 1 to {MAX_CHOICES} values of its type")
        choices = _allowed(schema)
        return Leaf(
            kind, choices=meant(choices), empty=None if None in choices or may_be_null else empty_choice(choices)
        )
    if kind not in ("string", "number", "integer", "boolean"):
        raise _refused(where, f"a value of type {kind!r} cannot be filled here")
    if "format" in schema:
        if kind != "string" or schema["format"] != "date" or not may_be_null:
            raise _refused(where, "of formats only date can be promised, and only where null is allowed")
        return Leaf("date")
    least, most = (schema.get(name) for name in ("minimum", "maximum"))
    for bound in (least, most):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
            raise _refused(where, f"a bound is {bound!r}, must be a number")
    if kind == "integer":
        least, most = math.ceil(least) if least is not None else None, math.floor(most) if most is not None else None
    if least is not None and most is not None and least > most:
        raise _refused(where, f"minimum {least} is above maximum {most}")
    zero = least if least is not None and least > 0 else most if most is not None and most < 0 else 0
    empty = {"string": "", "boolean": False}.get(kind, zero)
    about = f"{words_of(place.name)} {description}"
    return Leaf(
        kind,
        about,
        sought(place.name, description),
        least=least,
        most=most,
        empty=None if may_be_null else empty,
    )


# -- what is known ----------------------------------------------------------------------------------


def _facts(question: str, answer: pb.Answer) -> dict[str, Any]:
    """What ANSWER_FIELDS are filled with."""
    told = answer_json(answer)
    lines = [
        {**line, "clock": _clock(item.start_sample), "confidence": round(item.score, 4)}
        for line, item in zip(told["evidence"], answer.evidence, strict=True)
    ]
    unknown = dict.fromkeys(("kind", "speaker", "start_s", "end_s", "clock", "box"))
    best = lines[0] if lines else unknown
    return {
        **{name: best[name] for name in unknown},
        "answer": told["answer"],
        "text": told["answer"],
        "question": question,
        "abstained": told["abstained"],
        "confidence": round(answer.confidence, 4),
        "evidence": lines,
        "lines": lines,
    }


def _once(found: Sequence[pb.FieldAnswer], copied: Collection[str]) -> dict[str, pb.FieldAnswer]:
    """The fields by path; of those that are `copied` the same words fill one alone, unless others are as likely."""
    claimed: dict[tuple[object, ...], float] = {}
    for one in found:
        if one.path in copied and one.evidence:
            best = one.evidence[0]
            claimed[*_id(best), best.words] = max(best.score, claimed.get((*_id(best), best.words), 0.0))
    result = {}
    for one in found:
        kept = pb.FieldAnswer(path=one.path, choices=one.choices)
        for line in one.evidence:
            claim = claimed.get((*_id(line), line.words), 0.0) if one.path in copied else 0.0
            if line.score >= claim - AS_LIKELY:
                kept.evidence.append(line)
        result[one.path] = kept
    return result


def _clock(sample: int) -> str:
    minutes, second = divmod(int(seconds(sample)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _in_order(lines: Sequence[pb.Evidence]) -> list[pb.Evidence]:
    return sorted(lines, key=_id)


def _id(line: pb.Evidence) -> tuple[int, str, str]:
    return line.start_sample, line.kind, line.source_id


def _mean(lines: Sequence[pb.Evidence]) -> float | None:
    return sum(line.score for line in lines) / len(lines) if lines else None
