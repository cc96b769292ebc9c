"""`python -m services.runtime.probe HOST:PORT`: exit 0 when the service there says SERVING."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.channel import CLIENT_OPTIONS


def is_serving(address: str, timeout_s: float = 2.0) -> bool:
    """Ask grpc.health.v1 once."""
    with grpc.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if is_serving(sys.argv[1]) else 1)
