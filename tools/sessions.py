"""`sensorium sessions | show | delete | ask`: the meetings that were kept."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from protos.decoder.v1 import decoder_pb2
from protos.session.v1 import session_pb2
from services.gateway.answers import answer_json
from services.gateway.formats import seconds
from services.gateway.transcript import Document, fold, plain
from services.runtime.settings import service_address
from tools import models
from tools.client import CALL_S, gateway, pages
from tools.output import say
from tools.services import gateway_for, is_local

ASK_S = 120.0
EXPORT_S = 300.0


@asynccontextmanager
async def _gateway(*also: str) -> AsyncIterator[Any]:
    async with gateway_for(also, say) as address, gateway(address) as stub:
        yield stub


def sessions() -> list[session_pb2.SessionSummary]:
    """All kept sessions, newest first. Raises GatewayError, ServicesError."""

    async def call() -> list[session_pb2.SessionSummary]:
        async with _gateway() as stub:
            return [summary async for summary in pages(stub)]

    return asyncio.run(call())


def session_json(summary: session_pb2.SessionSummary) -> dict[str, Any]:
    """One line of the list as JSON has it."""
    started = datetime.fromtimestamp(summary.started_unix_ms / 1000, UTC)
    return {
        "session": summary.session_id,
        "title": plain(summary.title),
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": seconds(summary.end_sample),
        "language": summary.language,
        "utterances": summary.utterances,
        "is_live": summary.is_live,
    }


def show(session_id: str) -> Document:
    """The document of one session. Raises GatewayError, ServicesError."""

    async def call() -> Document:
        title, events = "", []
        async with _gateway() as stub:
            async for part in stub.GetSession(session_pb2.GetSessionRequest(session_id=session_id), timeout=EXPORT_S):
                if part.HasField("summary"):
                    title = part.summary.title
                else:
                    events.append(part.event)
        return fold(events, session_id=session_id, title=title)

    return asyncio.run(call())


def delete(session_id: str) -> None:
    """Forget one session for good. Raises GatewayError, ServicesError."""

    async def call() -> None:
        async with _gateway() as stub:
            await stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id), timeout=CALL_S)

    asyncio.run(call())


def ask(
    session_id: str, question: str, on_text: Callable[[str], None], *, escalate: bool = False, schema: str = ""
) -> decoder_pb2.Answer:
    """Ask about one session; `on_text` hears the answer as it comes. `escalate` lets the question leave the machine.

    With a JSON Schema the answer's text is JSON of its shape.
    Raises GatewayError, ServicesError, EngineError.
    """
    if is_local(service_address("gateway")):
        models.fetch(models.BY_SERVICE["decoder"])

    async def call() -> decoder_pb2.Answer:
        answer = decoder_pb2.Answer()
        async with _gateway("decoder") as stub:
            policy = decoder_pb2.ESCALATION_ALLOWED if escalate else decoder_pb2.ESCALATION_UNSPECIFIED
            request = session_pb2.AskRequest(session_id=session_id, question=question, escalation=policy, schema=schema)
            async for response in stub.Ask(request, timeout=ASK_S):
                match response.part.WhichOneof("part"):
                    case "delta":
                        on_text(response.part.delta)
                    case "answer":
                        answer = response.part.answer
        return answer

    return asyncio.run(call())


def print_answer(session_id: str, question: str, *, escalate: bool = False) -> None:
    """Print an answer as it comes, then what it stands on."""
    heard: list[str] = []

    def tell(text: str) -> None:
        heard.append(text)
        sys.stdout.write("".join(c for c in text if c.isprintable() or c == "\n"))
        sys.stdout.flush()

    answer = ask(session_id, question, tell, escalate=escalate)
    if "".join(heard) != answer.text:
        sys.stdout.write(("\n" if heard else "") + plain(answer.text))
    sys.stdout.write("\n")
    for item in answer.evidence:
        who = "(screen)" if item.kind == "screen" else item.speaker_name or item.speaker or "somebody"
        print(f"  {seconds(item.start_sample):8.1f} s  {plain(who)}: {plain(item.text)}")
    report = answer.activation.escalation
    if report.outcome not in ("", "off", "not_needed"):
        say(report.reason)


def answer_text(answer: decoder_pb2.Answer) -> str:
    """An answer as JSON text."""
    return json.dumps(answer_json(answer), ensure_ascii=False, indent=1) + "\n"
