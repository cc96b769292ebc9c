"""Reaching the gateway: the one that runs, or services started for one call and stopped after it."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from services.runtime.settings import service_address
from tools.errors import ServicesError
from tools.health import is_serving, until_serving
from tools.state import ServiceState, is_held, state_folder
from tools.supervisor import Supervisor, free_addresses, service_specs

START_S = 180.0
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "")

Report = Callable[[str], None]


def is_local(address: str) -> bool:
    """True for an address of this machine alone."""
    return address.rpartition(":")[0] in LOOPBACK


@asynccontextmanager
async def gateway_for(names: Sequence[str], say: Report) -> AsyncIterator[str]:
    """Address of a gateway that serves, for the block.

    Takes the one that runs. On this machine, where none does, starts the named services on free ports and
    stops them after the block; `say` hears what is waited for. Raises ServicesError.
    """
    address = service_address("gateway")
    if await is_serving(address):
        yield address
    elif not is_local(address):
        raise ServicesError(f"no gateway serves at {address}; is SENSORIUM_GATEWAY_ADDRESS right?")
    elif is_held(state_folder()):
        await wait_for({"gateway": address}, say)
        yield address
    else:
        async with _started(names, say) as address:
            yield address


@asynccontextmanager
async def _started(names: Sequence[str], say: Report) -> AsyncIterator[str]:
    every = (*(name for name in names if name != "gateway"), "gateway")
    *chosen, http = free_addresses(len(every) + 1)
    addresses = dict(zip(every, chosen, strict=True))
    folder = state_folder() / f"call-{os.getpid()}"
    failing = asyncio.Event()

    def notice(states: list[ServiceState]) -> None:
        if any(state.state == "failing" for state in states):
            failing.set()

    has_started = False
    try:
        async with Supervisor(service_specs(every, addresses, http), folder, on_change=notice) as supervisor:
            await wait_for(addresses, say, failing, supervisor)
            has_started = True
            yield addresses["gateway"]
    finally:
        if has_started:  # else the logs say why not
            shutil.rmtree(folder, ignore_errors=True)


async def wait_for(
    addresses: dict[str, str],
    say: Report,
    failing: asyncio.Event | None = None,
    supervisor: Supervisor | None = None,
    timeout_s: float = START_S,
) -> None:
    """Wait until all services serve. Raises ServicesError: too late, or one keeps failing at its start."""
    waiting = dict(addresses)

    def tell(name: str | None = None) -> None:
        if name is not None:
            waiting.pop(name, None)
        # One line is enough for a log; on a terminal people see it go on.
        if waiting and (name is None or sys.stderr.isatty()):
            say(f"waiting for {', '.join(waiting)}")

    tell()
    ready = asyncio.create_task(until_serving(addresses, tell))
    failed = asyncio.create_task((failing or asyncio.Event()).wait())
    try:
        await asyncio.wait((ready, failed), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            return
        names = ", ".join(waiting)
        if failed.done() and supervisor is not None:
            broken = [state.name for state in supervisor.states if state.state == "failing"]
            reasons = "; ".join(f"{name}: {last_words(supervisor.log_path(name))}" for name in broken)
            raise ServicesError(f"{', '.join(broken)} cannot start ({reasons}); logs are in {supervisor.folder}")
        raise ServicesError(f"{names} did not serve within {timeout_s:.0f} s; logs are in {state_folder()}")
    finally:
        ready.cancel()
        failed.cancel()
        await asyncio.gather(ready, failed, return_exceptions=True)


def last_words(log_path: Path) -> str:
    """The last thing a service wrote, as a sentence."""
    lines = log_path.read_text(errors="replace").splitlines() if log_path.exists() else []
    if not lines:
        return "it wrote nothing"
    try:
        return str(json.loads(lines[-1])["event"])
    except (ValueError, KeyError, TypeError):
        return lines[-1]
