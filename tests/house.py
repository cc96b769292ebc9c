"""The five real services in five real processes, on free ports, kept up by `sensorium up`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.supervisor import SERVICES, free_addresses

START_S = 120.0


@dataclass(frozen=True)
class House:
    """Where the services are; `environment` makes the command line find them."""

    environment: dict[str, str]
    log: Path

    @property
    def gateway(self) -> str:
        """gRPC address of the gateway."""
        return self.environment["SENSORIUM_GATEWAY_ADDRESS"]

    @property
    def page(self) -> str:
        """URL of the page."""
        return f"http://{self.environment['SENSORIUM_HTTP_ADDRESS']}"

    def cli(self, *arguments: str, timeout_s: float = 280.0) -> "subprocess.CompletedProcess[str]":
        """Run `sensorium` with its output caught."""
        command = [sys.executable, "-m", "tools.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def states(self) -> dict[str, dict[str, object]]:
        """What `sensorium status` says, by service."""
        answer = self.cli("status", "--format", "json")
        return {service["name"]: service for service in json.loads(answer.stdout)["services"]}

    def pid(self, name: str) -> int:
        """Process id of a service that runs."""
        pid = self.states()[name]["pid"]
        if not isinstance(pid, int):
            raise LookupError(f"{name} does not run: {self.states()[name]}")
        return pid

    def kill(self, name: str) -> int:
        """Kill a service with -9 and return the id its process had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_serving(self, is_alive: Callable[[], bool] = lambda: True) -> None:
        """Return when all five answer. Raises TimeoutError, RuntimeError when the supervisor is gone."""
        deadline = time.monotonic() + START_S
        while not all(service["state"] == "serving" for service in self.states().values()):
            if not is_alive():
                raise RuntimeError(f"the services do not start: {self.log.read_text()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all services serve after {START_S:.0f} s: {self.states()}")


@contextmanager
def running_house(folder: Path, **environment: str) -> Iterator[House]:
    """Start the services and stop them at the end; their data and logs lie in `folder`."""
    addresses = free_addresses(len(SERVICES) + 1)
    at = {f"SENSORIUM_{name.upper()}_ADDRESS": address for name, address in zip(SERVICES, addresses, strict=False)}
    house = House(
        {
            **os.environ,
            **at,
            "SENSORIUM_HTTP_ADDRESS": addresses[-1],
            "SENSORIUM_DATA": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            **environment,
        },
        folder / "up.log",
    )
    with house.log.open("wb") as output:
        command = [sys.executable, "-m", "tools.cli", "up"]
        up = subprocess.Popen(command, env=house.environment, stdout=output, stderr=output)
    try:
        house.wait_until_serving(lambda: up.poll() is None)
        yield house
    finally:
        up.terminate()
        up.wait(60)
