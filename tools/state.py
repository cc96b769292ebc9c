"""What the running supervisor tells other commands: a lock that only it holds, and a state file."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tools.errors import AlreadyUpError


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One supervised service; `state` is starting, serving, failing or stopped."""

    name: str
    pid: int | None
    address: str
    state: str


def state_folder() -> Path:
    """$SENSORIUM_STATE, else $XDG_STATE_HOME/sensorium (~/.local/state/sensorium)."""
    if chosen := os.environ.get("SENSORIUM_STATE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "sensorium"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only supervisor of this folder for the block. Raises AlreadyUpError.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(folder).open("w") as file:
        if not _try_lock(file):
            raise AlreadyUpError("Sensorium is already up")
        try:
            yield
        finally:
            _state_file(folder).unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """True while a supervisor runs."""
    if not _lock_file(folder).exists():
        return False
    with _lock_file(folder).open("a") as file:
        return not _try_lock(file)


def wait_until_free(folder: Path, timeout_s: float) -> bool:
    """Wait until no supervisor runs; False when one still does after that time."""
    ends_s = time.monotonic() + timeout_s
    while is_held(folder):
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.05)
    return True


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(folder: Path) -> Path:
    return folder / "supervisor.lock"


def _state_file(folder: Path) -> Path:
    return folder / "state.json"


def write(folder: Path, services: list[ServiceState]) -> None:
    """Replace the state file in one step."""
    draft = folder / f".state-{os.getpid()}.json"
    draft.write_text(json.dumps({"supervisor_pid": os.getpid(), "services": [asdict(s) for s in services]}, indent=1))
    draft.replace(_state_file(folder))


def read(folder: Path) -> tuple[int, list[ServiceState]] | None:
    """The running supervisor's process id and services; None when none runs or it has only begun."""
    if not is_held(folder):
        return None
    try:
        state = json.loads(_state_file(folder).read_text())
    except FileNotFoundError:
        return None
    return state["supervisor_pid"], [ServiceState(**service) for service in state["services"]]
