"""Asking services whether they serve (grpc.health.v1)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.channel import CLIENT_OPTIONS

CHECK_S = 2.0


async def is_serving(address: str, timeout_s: float = CHECK_S) -> bool:
    """One question; False when nothing answers in time, or not with SERVING."""
    async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def all_serving(addresses: Sequence[str]) -> list[bool]:
    """Ask several services at the same time."""
    return list(await asyncio.gather(*(is_serving(address) for address in addresses)))


async def until_serving(addresses: Mapping[str, str], on_serving: Callable[[str], None] = lambda name: None) -> None:
    """Wait until all services (name to address) serve; `on_serving` is called with each name. Waits for ever."""

    async def wait(name: str, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    async for answer in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
                        if answer.status == health_pb2.HealthCheckResponse.SERVING:
                            on_serving(name)
                            return
                except grpc.aio.AioRpcError:
                    # It went away while we watched, or something else answers there.
                    await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        for name, address in addresses.items():
            group.create_task(wait(name, address))
