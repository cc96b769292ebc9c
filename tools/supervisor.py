"""Keeps the services of one machine running: starts them, brings back what dies, stops them all.

A child that dies comes back at once; one that dies again and again comes back ever later and is called
failing. No child outlives the supervisor, however that ends.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.runtime.settings import PORTS, host_and_port, service_address
from tools.errors import InputError, PortTakenError
from tools.state import ServiceState

SERVICES = ("asr", "diarization", "vision", "decoder", "gateway")
HTTP_ADDRESS = "127.0.0.1:8080"

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 10.0
# A child that lived this long has not failed at its start. On a busy machine one takes a quarter of a minute to find
# out that it cannot.
STABLE_S = 60.0
FAILING_AFTER = 3
GRACE_S = 15.0

LIFELINE = Path(__file__).with_name("lifeline.py")


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process: what is run, where it serves, what is added to its environment."""

    name: str
    address: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def page_address() -> str:
    """HOST:PORT of the page: $SENSORIUM_HTTP_ADDRESS, else the fixed port."""
    return os.environ.get("SENSORIUM_HTTP_ADDRESS") or HTTP_ADDRESS


def service_specs(
    names: Sequence[str] = SERVICES,
    addresses: Mapping[str, str] | None = None,
    http_address: str | None = None,
) -> list[ServiceSpec]:
    """The named services of Sensorium at the given addresses (default: environment, then fixed ports)."""
    at = {name: (addresses or {}).get(name) or service_address(name) for name in PORTS}
    http = http_address or page_address()
    environment = {f"SENSORIUM_{name.upper()}_ADDRESS": address for name, address in at.items()}
    specs = []
    for name in names:
        command = [sys.executable, "-m", f"services.{name}", "--address", at[name]]
        if name == "gateway":
            command += ["--http", http]
        specs.append(ServiceSpec(name, at[name], tuple(command), environment))
    return specs


def require_free(specs: Sequence[ServiceSpec], http_address: str | None = None) -> None:
    """Raises PortTakenError when an address of these services is in use, InputError when it is none."""
    wanted = [(spec.name, spec.address) for spec in specs]
    if any(spec.name == "gateway" for spec in specs):
        wanted.append(("the page", http_address or page_address()))
    for name, address in wanted:
        try:
            host, port = host_and_port(address)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise PortTakenError(
                    f"{address} ({name}) cannot be used: {error.strerror or error}; stop what is running there, "
                    f"or choose another address"
                ) from error


def free_addresses(n: int) -> list[str]:
    """That many loopback addresses on which nothing listens now."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()


class _Child:
    """One service and the task that keeps it running."""

    def __init__(self, spec: ServiceSpec, log_path: Path, on_change: Callable[[], None]) -> None:
        self.spec = spec
        self.log_path = log_path
        self.process: asyncio.subprocess.Process | None = None
        self.failures = 0
        self._on_change = on_change

    async def keep(self) -> None:
        """Run the process again and again until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            await self._spawn()
            self._on_change()
            if self.process is not None:
                await self.process.wait()
                self.process = None
            self.failures = 0 if loop.time() - begun_s > STABLE_S else self.failures + 1
            self._on_change()
            await asyncio.sleep(min(FIRST_DELAY_S * 2**self.failures, MAX_DELAY_S))

    async def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), *self.spec.command),
                env={**os.environ, **self.spec.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal is for us: we tell the children in good order.
                start_new_session=True,
            )

    @property
    def state(self) -> ServiceState:
        """Whether it runs; only asking the service itself tells whether it serves."""
        is_running = self.process is not None and self.process.returncode is None
        state = "failing" if self.failures >= FAILING_AFTER else "starting"
        pid = self.process.pid if is_running and self.process is not None else None
        return ServiceState(self.spec.name, pid, self.spec.address, state)


class Supervisor:
    """Runs services inside an `async with` block.

    Their output goes to `folder`/NAME.log; `on_change` is called with all states when one changes.
    """

    def __init__(
        self,
        specs: Sequence[ServiceSpec],
        folder: Path,
        *,
        on_change: Callable[[list[ServiceState]], None] = lambda states: None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.folder = folder
        self._children = [_Child(spec, self.log_path(spec.name), self._changed) for spec in specs]
        self._on_change = on_change
        self._grace_s = grace_s
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def states(self) -> list[ServiceState]:
        """All services in the order they were given."""
        return [child.state for child in self._children]

    def log_path(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.folder / f"{name}.log"

    def _changed(self) -> None:
        self._on_change(self.states)

    async def __aenter__(self) -> "Supervisor":
        self.folder.mkdir(parents=True, exist_ok=True)
        for child in self._children:
            child.log_path.write_bytes(b"")
        self._keepers = [asyncio.create_task(child.keep()) for child in self._children]
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop the gateway first, so that it closes its streams; then what it talked to."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in reversed(self._children):
            if child.process is not None and child.process.returncode is None:
                child.process.terminate()
        await asyncio.gather(*(self._stopped(child) for child in self._children))

    async def _stopped(self, child: _Child) -> None:
        if child.process is None:
            return
        try:
            async with asyncio.timeout(self._grace_s):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
            await child.process.wait()
