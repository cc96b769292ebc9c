"""`sensorium voices add | list | delete`: voices that are remembered, so that their owners are named."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from protos.session.v1 import session_pb2
from services.gateway.enrolment import MAX_FILE_BYTES, TIMEOUT_S
from services.gateway.transcript import plain
from services.runtime.settings import service_address
from tools import models
from tools.client import CALL_S, gateway
from tools.errors import InputError
from tools.output import say
from tools.services import gateway_for, is_local


def add(name: str, path: Path, consent_by: str, *, replace: bool) -> session_pb2.Voice:
    """Learn a voice from a file. Raises InputError, GatewayError, ServicesError, EngineError."""
    if not path.is_file():
        raise InputError(f"{path} is not a file" if path.exists() else f"there is no file {path}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, must have {MAX_FILE_BYTES} or fewer; a minute of speech is plenty"
        )
    request = session_pb2.AddVoiceRequest(name=name, media=path.read_bytes(), consent_by=consent_by, replace=replace)
    if is_local(service_address("diarization")):
        models.fetch(models.BY_SERVICE["diarization"])

    async def call() -> session_pb2.Voice:
        async with gateway_for(("diarization",), say) as address, gateway(address) as stub:
            answer: session_pb2.AddVoiceResponse = await stub.AddVoice(request, timeout=TIMEOUT_S + CALL_S)
            return answer.voice

    return asyncio.run(call())


def voices() -> list[session_pb2.Voice]:
    """All remembered voices, by name. Raises GatewayError, ServicesError."""

    async def call() -> list[session_pb2.Voice]:
        async with gateway_for((), say) as address, gateway(address) as stub:
            return list((await stub.ListVoices(session_pb2.ListVoicesRequest(), timeout=CALL_S)).voices)

    return asyncio.run(call())


def delete(name: str) -> None:
    """Forget one voice for good. Raises GatewayError, ServicesError."""

    async def call() -> None:
        async with gateway_for((), say) as address, gateway(address) as stub:
            await stub.DeleteVoice(session_pb2.DeleteVoiceRequest(name=name), timeout=CALL_S)

    asyncio.run(call())


def voice_json(voice: session_pb2.Voice) -> dict[str, Any]:
    """One voice as JSON has it."""
    consent = datetime.fromtimestamp(voice.consent_unix_ms / 1000, UTC)
    return {
        "name": plain(voice.name),
        "speech_s": round(voice.speech_s, 1),
        "consent_by": plain(voice.consent_by),
        "consent": consent.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "model": voice.space_id,
    }
