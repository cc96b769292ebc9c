"""`sensorium up | down | status`: the five services of this machine."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from services.runtime.server import until_signal
from services.runtime.settings import service_address
from tools import state
from tools.errors import AlreadyUpError, InputError, ServicesError
from tools.health import all_serving
from tools.output import say
from tools.services import last_words, wait_for
from tools.state import ServiceState, state_folder
from tools.supervisor import GRACE_S, SERVICES, ServiceSpec, Supervisor, require_free, service_specs


def parse_names(text: str) -> tuple[str, ...]:
    """Comma-separated services, each once, in the order they start. Raises InputError."""
    wanted = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := sorted(wanted - set(SERVICES)):
        raise InputError(f"--only: no service {unknown[0]!r}; services are {', '.join(SERVICES)}")
    return tuple(name for name in SERVICES if name in wanted) if wanted else SERVICES


def up(names: Sequence[str]) -> None:
    """Run the services here until SIGINT or SIGTERM. Raises AlreadyUpError, PortTakenError, ServicesError."""
    folder = state_folder()
    with state.held(folder):
        specs = service_specs(names)
        require_free(specs)
        asyncio.run(_supervise(specs, folder))


async def _supervise(specs: Sequence[ServiceSpec], folder: Path) -> None:
    begun_s = time.monotonic()
    failing = asyncio.Event()

    def notice(states: list[ServiceState]) -> None:
        state.write(folder, states)
        if any(service.state == "failing" for service in states):
            failing.set()

    stopped = asyncio.create_task(until_signal())
    async with Supervisor(specs, folder, on_change=notice) as supervisor:
        addresses = {spec.name: spec.address for spec in specs}
        ready = asyncio.create_task(wait_for(addresses, say, failing, supervisor))
        await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            say(f"up after {time.monotonic() - begun_s:.0f} s; Ctrl-C stops")
        ready.cancel()
        await stopped
        say("stopping")


def up_detached(names: Sequence[str]) -> None:
    """Start a supervisor of its own and return when all services serve. Raises AlreadyUpError, ServicesError."""
    folder = state_folder()
    if state.is_held(folder):
        raise AlreadyUpError("Sensorium is already up")
    folder.mkdir(parents=True, exist_ok=True)
    with _supervisor_log().open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", "up", "--no-fetch", "--only", ",".join(names)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    asyncio.run(_until_up(process, names))


def _supervisor_log() -> Path:
    return state_folder() / "supervisor.log"


async def _until_up(process: "subprocess.Popen[bytes]", names: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()

    def watch() -> None:
        process.wait()
        with suppress(RuntimeError):  # the loop ended first: nobody asks any more
            loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=watch, daemon=True).start()
    left = asyncio.create_task(gone.wait())
    ready = asyncio.create_task(wait_for({name: service_address(name) for name in names}, say))
    try:
        await asyncio.wait((left, ready), return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            raise ServicesError(last_words(_supervisor_log()).removeprefix("error: "))
        ready.result()
    except BaseException:
        process.terminate()
        raise
    finally:
        left.cancel()
        ready.cancel()
        await asyncio.gather(left, ready, return_exceptions=True)


def down() -> bool:
    """Stop the running supervisor and its services; False when none runs. Raises ServicesError."""
    folder = state_folder()
    if not state.is_held(folder):
        return False
    known = state.read(folder)
    if known is None:
        raise ServicesError("Sensorium is just starting; try again in a second")
    os.kill(known[0], signal.SIGTERM)
    if not state.wait_until_free(folder, GRACE_S + 5):
        raise ServicesError(f"the supervisor (process {known[0]}) does not stop; see {_supervisor_log()}")
    return True


def status() -> list[ServiceState]:
    """All services, as the supervisor and the services themselves say."""
    known = state.read(state_folder())
    told = {service.name: service for service in known[1]} if known is not None else {}
    states = [told.get(name) or ServiceState(name, None, service_address(name), "stopped") for name in SERVICES]
    serving = asyncio.run(all_serving([service.address for service in states]))
    return [
        replace(service, state="serving") if is_serving else service
        for service, is_serving in zip(states, serving, strict=True)
    ]


def status_json(states: Sequence[ServiceState]) -> dict[str, Any]:
    """The states as JSON has them."""
    return {"services": [asdict(service) for service in states]}
