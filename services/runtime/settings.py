"""Settings of one process, read once in `__main__`: flags first, then the environment, then defaults."""

import argparse
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PORTS = {"gateway": 50050, "asr": 50051, "diarization": 50052, "vision": 50053, "decoder": 50054}
MAX_PORT = 65_535


def sensorium_version() -> str:
    """Version of the installed product."""
    try:
        return version("sensorium")
    except PackageNotFoundError:
        return "0"


def service_address(name: str) -> str:
    """Where a service is found: $SENSORIUM_<NAME>_ADDRESS, else its default port on loopback."""
    return os.environ.get(f"SENSORIUM_{name.upper()}_ADDRESS", f"127.0.0.1:{PORTS[name]}")


def host_and_port(address: str) -> tuple[str, int]:
    """HOST:PORT in two, an IPv6 host without its brackets. Raises ValueError with a sentence."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > MAX_PORT:
        raise ValueError(
            f"the address is {address!r}, must be HOST:PORT such as 127.0.0.1:8080; 0.0.0.0 is every network's"
        )
    return host, int(port)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What every service process is told.

    `address` is HOST:PORT (port 0 picks a free one); `threads` per graph run, 0: as measured on this machine,
    else one; `max_streams` are admitted, more get RESOURCE_EXHAUSTED; `drain_s` is how long open streams may go
    on after SIGTERM.
    """

    name: str
    address: str
    threads: int = 0
    max_streams: int = 16
    drain_s: float = 10.0


def service_parser(name: str, summary: str) -> argparse.ArgumentParser:
    """The flags that all services share; each default can be set by an environment variable."""
    env = os.environ.get
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=summary)
    parser.add_argument("--address", default=service_address(name), help="HOST:PORT to serve gRPC on")
    # Defaults are texts: argparse reads those of the environment as it reads a flag, and says what is wrong with them.
    threads = env("SENSORIUM_THREADS", "0")
    parser.add_argument("--threads", type=int, default=threads, help="of one model run; 0: as `engines tune` measured")
    parser.add_argument("--max-streams", type=int, default=env("SENSORIUM_MAX_STREAMS", "16"))
    parser.add_argument("--drain-s", type=float, default=env("SENSORIUM_DRAIN_S", "10"))
    return parser


def settings_from(name: str, flags: argparse.Namespace) -> ServiceSettings:
    """Settings out of parsed flags."""
    return ServiceSettings(name, flags.address, flags.threads, flags.max_streams, flags.drain_s)
