"""Hosting once for all: options, health v1, reflection v1, ready line, SIGTERM drain."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from services.runtime.channel import SERVER_OPTIONS
from services.runtime.settings import ServiceSettings
from services.runtime.streams import Streams

log = logging.getLogger(__name__)

REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"


@asynccontextmanager
async def serving(
    settings: ServiceSettings,
    service_name: str,
    add_services: Callable[[grpc.aio.Server], Sequence[str] | None],
    streams: Streams,
) -> AsyncIterator[int]:
    """Run a server inside the block and yield its port; on exit drain and stop.

    `service_name` is the full protobuf name for health and reflection ("" stands for the process);
    `add_services` returns the names of further services, if any.
    Draining: health says NOT_SERVING, new streams are refused, open ones have `drain_s` to end.
    Raises OSError when the address cannot be bound.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS)
    names = (service_name, *(add_services(server) or ()))
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    _add_reflection((*names, health.SERVICE_NAME, REFLECTION_V1, reflection.SERVICE_NAME), server)
    try:
        port = server.add_insecure_port(settings.address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {settings.address}: is something else running there?") from error
    await server.start()
    for name in ("", *names):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    log.info("serving", extra={"fields": {"address": settings.address, "port": port}})
    try:
        yield port
    finally:
        await health_servicer.enter_graceful_shutdown()
        await streams.drain(settings.drain_s)
        await server.stop(1.0)
        log.info("stopped")


def _add_reflection(names: Sequence[str], server: grpc.aio.Server) -> None:
    """Reflection v1 and v1alpha: their messages are the same, the package has only the old name."""
    servicer = reflection.aio.ReflectionServicer(service_names=names)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (REFLECTION_V1, reflection.SERVICE_NAME):
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )


async def until_signal(signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
    """Return when the process is asked to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for sig in signals:
        loop.add_signal_handler(sig, stop.set)
    await stop.wait()
