"""`main` of every perception service: flags, one expert, one server, until SIGTERM."""

import asyncio
import ctypes
import logging
import sys
from collections.abc import Callable, Sequence

import grpc

from engines.engine import EngineError
from engines.residency import process
from protos.expert.v1 import expert_pb2_grpc
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.server import serving, until_signal
from services.runtime.settings import ServiceSettings, service_parser, settings_from
from services.runtime.stage import Expert
from services.runtime.telemetry import configure_logging

log = logging.getLogger(__name__)

# mallopt's name for the number of heaps (malloc.h of glibc).
_M_ARENA_MAX = -8
# Adds a service beside ExpertService on the same port and returns its full name.
AddService = Callable[[ExpertSkin, grpc.aio.Server], str]


def expert_main(
    name: str, summary: str, new_expert: Callable[[int], Expert], *, more: Sequence[AddService] = ()
) -> None:
    """Serve the expert that `new_expert(threads)` makes, until SIGTERM; exits 1 with a sentence on failure.

    `more` are services for clients that speak something else than ExpertService.
    """
    flags = service_parser(name, summary).parse_args()
    configure_logging(name)
    _share_heaps()
    try:
        process()  # a budget that cannot be read is found out now
        asyncio.run(_serve(settings_from(name, flags), new_expert, more))
    except (OSError, EngineError) as error:
        log.error("cannot start: %s", error)
        sys.exit(1)


def _share_heaps() -> None:
    """Two heaps for all threads: glibc gives each its own, and 16 streams took twice the memory that way."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 2)


async def _serve(settings: ServiceSettings, new_expert: Callable[[int], Expert], more: Sequence[AddService]) -> None:
    skin = ExpertSkin(new_expert(settings.threads), settings)

    def add(server: grpc.aio.Server) -> Sequence[str]:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)
        return [add_service(skin, server) for add_service in more]

    try:
        async with serving(settings, SERVICE_NAME, add, skin.streams):
            await until_signal()
    finally:
        skin.close()
