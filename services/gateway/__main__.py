"""`python -m services.gateway`: gRPC for programs, HTTP and WebRTC for browsers."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvicorn

from protos.session.v1 import session_pb2_grpc
from services.gateway.http import MAX_UPLOAD_BYTES, new_app
from services.gateway.riva import add_riva
from services.gateway.service import SERVICE_NAME, SessionSkin
from services.gateway.sessions import Sessions
from services.gateway.store import Store
from services.gateway.voices import Voices
from services.runtime.server import serving, until_signal
from services.runtime.settings import ServiceSettings, host_and_port, service_parser, settings_from
from services.runtime.streams import Streams
from services.runtime.telemetry import configure_logging

log = logging.getLogger(__name__)

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`http` is host and port of the page, `data` the folder of kept sessions and remembered voices.

    `hosts` are further names that the page may be opened as; WebRTC media is taken at `media_addresses`;
    `max_upload_bytes` is the largest file that is taken for transcription.
    """

    service: ServiceSettings
    http: tuple[str, int]
    data: Path
    hosts: tuple[str, ...]
    media_addresses: tuple[str, ...]
    max_upload_bytes: int


def _settings() -> GatewaySettings:
    env = os.environ.get
    data = env("SENSORIUM_DATA") or os.path.join(env("XDG_DATA_HOME") or "~/.local/share", "sensorium")
    parser = service_parser("gateway", "gRPC for programs, HTTP and WebRTC for browsers.")
    parser.add_argument("--http", default=env("SENSORIUM_HTTP_ADDRESS", "127.0.0.1:8080"), help="HOST:PORT of the page")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of the session store")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[name for name in env("SENSORIUM_ALLOWED_HOSTS", "").split(",") if name],
        help="a further name that the page may be opened as; loopback always may",
    )
    upload_mib = env("SENSORIUM_MAX_UPLOAD_MIB", str(MAX_UPLOAD_BYTES // MIB))
    parser.add_argument("--max-upload-mib", type=int, default=upload_mib, help="largest file that may be uploaded")
    parser.add_argument(
        "--media-address",
        action="append",
        help="an IP address of this machine at which browsers send their media (default: 127.0.0.1)",
    )
    parser.set_defaults(max_streams=env("SENSORIUM_MAX_SESSIONS", "8"))
    flags = parser.parse_args()
    try:
        http = host_and_port(flags.http)
    except ValueError as error:
        parser.error(f"--http: {error}")
    return GatewaySettings(
        settings_from("gateway", flags),
        http,
        flags.data.expanduser(),
        tuple(flags.allow_host),
        tuple(flags.media_address or env("SENSORIUM_MEDIA_ADDRESSES", "127.0.0.1").split(",")),
        flags.max_upload_mib * MIB,
    )


class _HttpServer(uvicorn.Server):
    """Uvicorn on our loop; signals are handled by the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _listener(host: str, port: int) -> socket.socket:
    """Raises OSError: uvicorn itself would end the process without a sentence."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"the page cannot be at {host} port {port}: {error.strerror or error}") from error


async def _serve(settings: GatewaySettings) -> None:
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.data / "sessions.db")
        stack.push_async_callback(store.close)
        voices = await Voices.open(settings.data / "voices.db")
        stack.push_async_callback(voices.close)
        sessions = await Sessions.connect(store, voices, settings.service.max_streams, stack)
        stack.push_async_callback(sessions.close)
        skin = SessionSkin(sessions, Streams(settings.service.max_streams + 1))

        def add(server: grpc.aio.Server) -> Sequence[str]:
            session_pb2_grpc.add_SessionServiceServicer_to_server(skin, server)
            return [add_riva(sessions, skin.streams, server)]

        listener = _listener(*settings.http)
        app = new_app(
            sessions,
            allowed_hosts=settings.hosts,
            ice_addresses=settings.media_addresses,
            max_upload_bytes=settings.max_upload_bytes,
        )
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        # Event streams last as long as their readers look; they are cut after this.
        config.timeout_graceful_shutdown = 1
        http = _HttpServer(config)
        async with serving(settings.service, SERVICE_NAME, add, skin.streams):
            page = asyncio.create_task(http.serve([listener]))
            stop = asyncio.create_task(until_signal())
            await asyncio.wait((page, stop), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            app.state.stopping.set()
            http.should_exit = True
            await page


def main() -> None:
    """Serve until SIGTERM; exits 1 with a sentence on failure."""
    settings = _settings()
    configure_logging("gateway")
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        log.error("cannot start: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
