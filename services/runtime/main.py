"""`main` of every perception service: flags, one expert, one server, until SIGTERM."""

import asyncio
import logging
import sys
from collections.abc import Callable

import grpc

from engines.engine import EngineError
from protos.expert.v1 import expert_pb2_grpc
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.server import serving, until_signal
from services.runtime.settings import ServiceSettings, service_parser, settings_from
from services.runtime.stage import Expert
from services.runtime.telemetry import configure_logging

log = logging.getLogger(__name__)


def expert_main(name: str, summary: str, new_expert: Callable[[int], Expert]) -> None:
    """Serve the expert that `new_expert(threads)` makes, until SIGTERM; exits 1 with a sentence on failure."""
    flags = service_parser(name, summary).parse_args()
    configure_logging(name)
    try:
        asyncio.run(_serve(settings_from(name, flags), new_expert))
    except (OSError, EngineError) as error:
        log.error("cannot start: %s", error)
        sys.exit(1)


async def _serve(settings: ServiceSettings, new_expert: Callable[[int], Expert]) -> None:
    skin = ExpertSkin(new_expert(settings.threads), settings)

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    try:
        async with serving(settings, SERVICE_NAME, add, skin.streams):
            await until_signal()
    finally:
        skin.close()
