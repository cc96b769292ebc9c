"""What was seen on a picture as programs get it: one JSON object, the same from the command line and over HTTP."""

from typing import Any

from protos.session.v1 import session_pb2
from services.runtime import wire


def seen_json(response: session_pb2.SeeResponse) -> dict[str, Any]:
    """The answer as JSON has it; `unavailable` says why a task has no result and is there only then."""
    screen = wire.screen_from_proto(response.screen)
    shown: dict[str, Any] = {
        "width_px": screen.width_px,
        "height_px": screen.height_px,
        "regions": [
            {"text": r.text, "box": _box(r.box), "confidence": _confidence(r.confidence), "script": r.script or None}
            for r in screen.regions
        ],
        "elements": [
            {
                "class": e.class_name,
                "box": _box(e.box),
                "confidence": _confidence(e.confidence),
                "text": e.text,
                "states": list(e.states),
            }
            for e in screen.elements
        ],
        "objects": [
            {
                "class": o.class_name,
                "class_id": o.class_id,
                "box": _box(o.box),
                "confidence": _confidence(o.confidence),
            }
            for o in screen.objects
        ],
        "activation": {
            "experts": [activation.expert for activation in response.activation],
            "tasks": [task for activation in response.activation for task in activation.tasks],
            "parameters": sum(activation.parameters for activation in response.activation),
            "bytes_read": sum(activation.bytes_read for activation in response.activation),
            "total_ms": round(sum(activation.milliseconds for activation in response.activation), 1),
        },
    }
    if screen.answers:
        shown["queries"] = [
            {
                "query": answer.query,
                "coverage": answer.coverage.value,
                "matches": [
                    {"box": _box(m.box), "score": round(m.score, 4), "source": m.source, "name": m.name}
                    for m in answer.matches
                ],
                "reason": answer.reason or None,
            }
            for answer in screen.answers
        ]
    if screen.unavailable:
        shown["unavailable"] = dict(screen.unavailable)
    return shown


def _box(box: tuple[float, float, float, float]) -> list[float]:
    return [round(edge, 2) for edge in box]


def _confidence(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
