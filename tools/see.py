"""`sensorium see`: one picture, or a document's pages, through the experts of the named tasks and no other."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.engine import EngineError
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway.seen import seen_json
from services.gateway.transcript import plain
from services.runtime.settings import service_address
from tools import models
from tools.client import gateway
from tools.errors import InputError
from tools.output import say
from tools.services import gateway_for, is_local

TASKS = ("ocr", "gui", "objects")
# The first call on a cold service loads its models.
SEE_S = 120.0


def parse_tasks(text: str, queries: Sequence[str] = ()) -> tuple[str, ...]:
    """Comma-separated tasks in order, each once; "" is ocr, or with queries those that they need. Raises InputError."""
    if not text:
        return () if queries else ("ocr",)
    tasks = tuple(dict.fromkeys(task.strip() for task in text.split(",") if task.strip()))
    if unknown := [task for task in tasks if task not in TASKS]:
        raise InputError(f"--tasks: no task {unknown[0]!r}; tasks are {', '.join(TASKS)}")
    if not tasks:
        raise InputError(f"--tasks: name at least one of {', '.join(TASKS)}")
    return tasks


def look(path: Path, tasks: Sequence[str], queries: Sequence[str] = (), *, as_json: bool) -> str:
    """What a picture or a PDF shows, as JSON or text. Raises InputError, GatewayError, ServicesError, EngineError."""
    from services.gateway import document
    from tools import see_document

    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if document.is_document(start):
        if queries:
            raise InputError(f"--query: {path} is a document; queries are about pictures: send a page as a picture")
        seen = see_document.see_document(path, tasks)
        return see_document.as_json_text(seen) if as_json else see_document.as_text(seen)
    response = see(path, tasks, queries)
    return as_json_text(response) if as_json else as_text(response)


def see(path: Path, tasks: Sequence[str], queries: Sequence[str] = ()) -> session_pb2.SeeResponse:
    """Look at one picture. Raises InputError, GatewayError, ServicesError, EngineError."""
    try:
        image = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not image:
        raise InputError(f"{path} is empty")
    if is_local(service_address("gateway")):
        models.fetch(models.for_tasks((*tasks, *(("queries",) if queries else ()))))
    return asyncio.run(_see(image, tasks, queries))


async def _see(image: bytes, tasks: Sequence[str], queries: Sequence[str]) -> session_pb2.SeeResponse:
    async with gateway_for(["vision"], say) as address, gateway(address) as stub:
        return await look_at(stub, image, tasks, queries)


async def look_at(
    stub: Any, image: bytes, tasks: Sequence[str], queries: Sequence[str] = ()
) -> session_pb2.SeeResponse:
    """One picture; the data of a script that is met for the first time are fetched, and it is looked at again."""
    request = session_pb2.SeeRequest(image=image, tasks=tasks, queries=queries)
    response: session_pb2.SeeResponse = await stub.See(request, timeout=SEE_S)
    if is_local(service_address("gateway")) and (missing := _missing_data(response)):
        try:
            await asyncio.to_thread(models.fetch, missing)
        except EngineError as error:
            say(f"some lines are not read: {error}")
        else:
            response = await stub.See(request, timeout=SEE_S)
    return response


def _missing_data(response: session_pb2.SeeResponse) -> list[str]:
    unread = {region.script for region in response.screen.regions if region.script and not region.text}
    return models.missing(models.for_scripts(unread))


def as_text(response: session_pb2.SeeResponse) -> str:
    """One line for each thing seen; with queries, for each thing found."""
    if response.screen.answers:
        return "".join(line + "\n" for answer in response.screen.answers for line in _found(answer))
    lines = [plain(region.text) for region in response.screen.regions if region.text]
    lines += [
        f"[{', '.join((e.class_name, *e.states))}] {plain(e.text)}".rstrip() + _at(e.box)
        for e in response.screen.elements
    ]
    lines += [f"({o.class_name}){_at(o.box)}" for o in response.screen.objects]
    lines += [f"no {task}: {reason}" for task, reason in sorted(response.screen.unavailable.items())]
    return "".join(line + "\n" for line in lines)


def _found(answer: media_pb2.QueryAnswer) -> list[str]:
    head = f"{plain(answer.query)}: "
    if answer.coverage == media_pb2.QueryAnswer.COVERAGE_NOT_COVERED:
        return [f"{head}not covered: {plain(answer.reason)}"]
    return [f"{head}{plain(m.name)}{_at(m.box)}, {m.score:.2f}" for m in answer.matches] or [f"{head}not found"]


def as_json_text(response: session_pb2.SeeResponse) -> str:
    """The JSON as text."""
    return json.dumps(seen_json(response), ensure_ascii=False, indent=1) + "\n"


def _at(box: media_pb2.Box) -> str:
    return f" at {box.x0:.0f},{box.y0:.0f} to {box.x1:.0f},{box.y1:.0f}"
