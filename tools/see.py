"""`sensorium see`: one picture through the experts of the named tasks and no other."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway.transcript import plain
from services.runtime import wire
from services.runtime.settings import service_address
from tools import models
from tools.client import gateway
from tools.errors import InputError
from tools.output import say
from tools.services import gateway_for, is_local

TASKS = ("ocr", "gui", "objects")
# The first call on a cold service loads its models.
SEE_S = 120.0


def parse_tasks(text: str) -> tuple[str, ...]:
    """Comma-separated tasks in order, each once. Raises InputError."""
    tasks = tuple(dict.fromkeys(task.strip() for task in text.split(",") if task.strip()))
    if unknown := [task for task in tasks if task not in TASKS]:
        raise InputError(f"--tasks: no task {unknown[0]!r}; tasks are {', '.join(TASKS)}")
    if not tasks:
        raise InputError(f"--tasks: name at least one of {', '.join(TASKS)}")
    return tasks


def see(path: Path, tasks: Sequence[str]) -> session_pb2.SeeResponse:
    """Look at one picture. Raises InputError, GatewayError, ServicesError, EngineError."""
    try:
        image = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not image:
        raise InputError(f"{path} is empty")
    if is_local(service_address("gateway")):
        models.fetch(models.for_tasks(tasks))
    return asyncio.run(_see(image, tasks))


async def _see(image: bytes, tasks: Sequence[str]) -> session_pb2.SeeResponse:
    async with gateway_for(["vision"], say) as address, gateway(address) as stub:
        response: session_pb2.SeeResponse = await stub.See(
            session_pb2.SeeRequest(image=image, tasks=tasks), timeout=SEE_S
        )
    return response


def as_json(response: session_pb2.SeeResponse) -> dict[str, Any]:
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
            "total_ms": round(sum(activation.milliseconds for activation in response.activation), 1),
        },
    }
    if screen.unavailable:
        shown["unavailable"] = dict(screen.unavailable)
    return shown


def as_text(response: session_pb2.SeeResponse) -> str:
    """One line for each thing seen."""
    lines = [plain(region.text) for region in response.screen.regions if region.text]
    lines += [
        f"[{', '.join((e.class_name, *e.states))}] {plain(e.text)}".rstrip() + _at(e.box)
        for e in response.screen.elements
    ]
    lines += [f"({o.class_name}){_at(o.box)}" for o in response.screen.objects]
    lines += [f"no {task}: {reason}" for task, reason in sorted(response.screen.unavailable.items())]
    return "".join(line + "\n" for line in lines)


def as_json_text(response: session_pb2.SeeResponse) -> str:
    """The JSON as text."""
    return json.dumps(as_json(response), ensure_ascii=False, indent=1) + "\n"


def _box(box: tuple[float, float, float, float]) -> list[float]:
    return [round(edge, 2) for edge in box]


def _confidence(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _at(box: media_pb2.Box) -> str:
    return f" at {box.x0:.0f},{box.y0:.0f} to {box.x1:.0f},{box.y1:.0f}"
