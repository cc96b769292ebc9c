"""`sensorium minutes`: what a meeting came to."""

import asyncio

from protos.session.v1 import session_pb2
from services.runtime.settings import service_address
from tools import models
from tools.client import gateway
from tools.output import say
from tools.services import gateway_for, is_local

MINUTES_S = 150.0


def minutes(session_id: str, format: str) -> str:
    """The minutes of one session as "md" or "json". Raises GatewayError, ServicesError, EngineError."""
    if is_local(service_address("gateway")):
        models.fetch(models.BY_SERVICE["decoder"])
    request = session_pb2.GetMinutesRequest(session_id=session_id, format=format)

    async def call() -> str:
        async with gateway_for(("decoder",), say) as address, gateway(address) as stub:
            response: session_pb2.GetMinutesResponse = await stub.GetMinutes(request, timeout=MINUTES_S)
            return response.text

    return asyncio.run(call())
