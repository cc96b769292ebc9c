"""`sensorium import`: a meeting out of what another tool wrote down."""

import asyncio
import sys
from pathlib import Path

from protos.session.v1 import session_pb2
from services.gateway.importing import MAX_FILE_BYTES
from tools.client import CALL_S, gateway
from tools.errors import InputError
from tools.output import say
from tools.services import gateway_for


def import_file(path: Path, title: str, language: str) -> session_pb2.SessionSummary:
    """Send one file to the gateway; "-" is standard input. Raises InputError, GatewayError, ServicesError."""
    if str(path) == "-":
        file = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        if not path.is_file():
            raise InputError(f"{path} is not a file" if path.exists() else f"there is no file {path}")
        with path.open("rb") as opened:
            file = opened.read(MAX_FILE_BYTES + 1)
        title = title or path.stem
    if len(file) > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES} bytes; import it in parts")
    request = session_pb2.ImportSessionRequest(file=file, title=title, language=language)

    async def call() -> session_pb2.SessionSummary:
        async with gateway_for((), say) as address, gateway(address) as stub:
            response: session_pb2.ImportSessionResponse = await stub.ImportSession(request, timeout=4 * CALL_S)
            return response.summary

    return asyncio.run(call())
