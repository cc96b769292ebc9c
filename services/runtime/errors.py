"""One table from exceptions to gRPC status codes, for every service."""

import logging
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from engines.engine import EngineError, SetupError
from services.runtime.stage import MediaError, OverloadedError

log = logging.getLogger(__name__)


class NotFoundError(LookupError):
    """What the caller names does not exist here."""


class ConflictError(RuntimeError):
    """Somebody else has it."""


class DrainingError(RuntimeError):
    """The process is about to stop; another replica may answer."""


_CODES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (MediaError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (ConflictError, grpc.StatusCode.ALREADY_EXISTS),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SetupError, grpc.StatusCode.FAILED_PRECONDITION),
    (EngineError, grpc.StatusCode.INTERNAL),
    (DrainingError, grpc.StatusCode.UNAVAILABLE),
)


def status_code(error: Exception) -> grpc.StatusCode:
    """The code that a client sees; INTERNAL for what nobody expected."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def failed_call(error: grpc.aio.AioRpcError | TimeoutError, away: str) -> Exception:
    """What a failed call to a service means to a user, who reads the service's own sentence where it has one.

    MediaError: the caller's fault, or a model is missing. OverloadedError: come again. DrainingError, with the
    sentence `away`: anything else.
    """
    if isinstance(error, grpc.aio.AioRpcError):
        match error.code():
            case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.FAILED_PRECONDITION:
                return MediaError(error.details() or error.code().name)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return OverloadedError(error.details() or away, _retry_after_s(error))
    return DrainingError(away)


def _retry_after_s(error: grpc.aio.AioRpcError) -> float:
    """As the status says, else a second."""
    status = rpc_status.from_call(error)
    retry = error_details_pb2.RetryInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(retry):
            return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return 1.0


async def fail(context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> None:
    """End a call that failed: as the service behind this one ended, or with the error's own code; logs what is ours."""
    if isinstance(error, grpc.aio.AioRpcError):
        metadata = error.trailing_metadata()  # where the details are, such as when to come again
        await context.abort(error.code(), error.details() or "", tuple(metadata) if metadata else ())
    if status_code(error) is grpc.StatusCode.INTERNAL:
        log.exception("call failed")
    await abort(context, error)


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> None:
    """End the call with the error's code and sentence; OverloadedError carries RetryInfo."""
    code = status_code(error)
    message = str(error) if code is not grpc.StatusCode.INTERNAL else f"internal error: {type(error).__name__}"
    if isinstance(error, OverloadedError):
        retry = error_details_pb2.RetryInfo(
            retry_delay=duration_pb2.Duration(
                seconds=int(error.retry_after_s), nanos=int(error.retry_after_s % 1 * 1e9)
            )
        )
        detail = any_pb2.Any()
        detail.Pack(retry)
        rich = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message=message, details=[detail])
        await context.abort_with_status(rpc_status.to_status(rich))
    await context.abort(code, message)
