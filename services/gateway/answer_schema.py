"""An answer in the shape that a JSON Schema asks for: filled from the answer and its evidence, never made up. Pure.

A schema is checked before anything is asked: one with a field that no answer could fill, or with a keyword that
nobody here can promise, is refused with the place of what is wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.gateway.openai_wire import FieldError

PARAM = "response_format"
MAX_DEPTH = 20
_KEYWORDS = {
    *("type", "properties", "required", "items", "additionalProperties", "anyOf", "$ref", "$defs", "$schema"),
    *("title", "description", "default", "examples"),
}
Facts = Mapping[str, Any]
Fill = Callable[[Facts], Any]
# What a line of evidence can fill, and what the whole answer can: the kind of JSON, and whether it may be unknown.
LINE_FIELDS = {
    "text": ("string", False),
    "kind": ("string", False),
    "speaker": ("string", True),
    "start_s": ("number", False),
    "end_s": ("number", False),
    "time": ("time", False),
    "box": ("box", True),
    "confidence": ("number", False),
}
ANSWER_FIELDS = {
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


def compiled(schema: object) -> Fill:
    """What turns facts (ANSWER_FIELDS, with lists of LINE_FIELDS for "lines") into a value that fits the schema.

    Raises FieldError for a schema that cannot be promised.
    """
    if not isinstance(schema, dict):
        raise _refused("schema", "it must be an object")
    return _object(schema, schema.get("$defs", {}), "schema", ANSWER_FIELDS, 0)


def _refused(where: str, why: str) -> FieldError:
    return FieldError(f"response_format: {where}: {why}", PARAM, "invalid_json_schema")


def _resolved(schema: object, defs: object, where: str) -> dict[str, Any]:
    """The schema behind its $ref, with keywords that are known here."""
    seen = 0
    while isinstance(schema, dict) and "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if not isinstance(defs, dict) or name not in defs or seen > MAX_DEPTH:
            raise _refused(where, f"$ref {schema['$ref']!r} leads nowhere; define it under $defs")
        schema, seen = defs[name], seen + 1
    if not isinstance(schema, dict):
        raise _refused(where, "it must be an object")
    if unknown := sorted(set(schema) - _KEYWORDS):
        raise _refused(where, f"{unknown[0]} cannot be promised; leave it out and check the answer")
    return schema


def _alternatives(schema: dict[str, Any], defs: object, where: str) -> list[dict[str, Any]]:
    """The schemas of which one is to fit, each of one type ("" for any)."""
    if "anyOf" in schema:
        if not isinstance(schema["anyOf"], list):
            raise _refused(where, "anyOf must be a list")
        return [one for part in schema["anyOf"] for one in _alternatives(_resolved(part, defs, where), defs, where)]
    types = schema.get("type", "")
    return [{**schema, "type": one} for one in (types if isinstance(types, list) else [types])]


def _object(schema: object, defs: object, where: str, fields: Mapping[str, tuple[str, bool]], depth: int) -> Fill:
    whole = _resolved(schema, defs, where)
    properties, required = whole.get("properties", {}), whole.get("required", [])
    if whole.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
        raise _refused(where, "its type must be object, with properties and a list of those required")
    fills: dict[str, Fill] = {}
    for name in dict.fromkeys((*properties, *map(str, required))):
        if name in fields:
            fills[name] = _field(name, properties.get(name, {}), defs, f"{where}.{name}", fields[name], depth)
        elif name in required:
            raise _refused(f"{where}.{name}", f"nothing here can fill it; what can be: {', '.join(fields)}")
    return lambda facts: {name: fill(facts) for name, fill in fills.items()}


def _field(name: str, schema: object, defs: object, where: str, field: tuple[str, bool], depth: int) -> Fill:
    kind, may_be_unknown = field
    options = _alternatives(_resolved(schema, defs, where), defs, where)
    types = {option["type"] for option in options}
    if kind == "lines":
        return _lines(name, [option for option in options if option["type"] in ("array", "")], defs, where, depth)
    is_free = "" in types
    if kind == "box":
        boxes = [option for option in options if option["type"] == "array"]
        if boxes and _resolved(boxes[0].get("items", {}), defs, where).get("type", "number") != "number":
            raise _refused(where, "a box is a list of numbers")
    wanted = {"time": ("number", "string"), "box": ("array",)}.get(kind, (kind,))
    if not is_free and not types & set(wanted):
        raise _refused(where, f"its type must be {' or '.join(wanted)}")
    if may_be_unknown and not is_free and not types & {"null", "string"}:
        raise _refused(where, "it may be unknown: allow null")
    as_clock = kind == "time" and not is_free and "number" not in types

    def fill(facts: Facts) -> Any:
        value = facts["clock"] if as_clock else facts["start_s"] if kind == "time" else facts[name]
        return "" if value is None and not is_free and "null" not in types else value

    return fill


def _lines(name: str, options: list[dict[str, Any]], defs: object, where: str, depth: int) -> Fill:
    if not options or depth > MAX_DEPTH:
        raise _refused(where, "its type must be array, of strings or of objects")
    items = _resolved(options[0].get("items", {"type": "string"}), defs, where)
    if items.get("type", "string") == "string":
        return lambda facts: [line["text"] for line in facts[name]]
    one = _object(items, defs, f"{where}[]", LINE_FIELDS, depth + 1)
    return lambda facts: [one(line) for line in facts[name]]
