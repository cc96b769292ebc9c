"""Checkpoints of the real classes with random weights; what is imported lies in a cache of the test's own."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from engines import models
from engines.fetch import fetch
from engines.manifest import manifest
from protos.expert.v1 import expert_pb2_grpc
from services.runtime.channel import CLIENT_OPTIONS
from tools.supervisor import free_addresses

# Of the product's own models these tests use three small ones.
OURS = ("silero-vad", "segmentation-3.0", "campplus")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The frameworks warn of much that is not ours to mend; the rest of the tests keeps warnings as errors."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model cache that has `OURS` and what the tests import."""
    fetch(OURS)
    folders = [models.folder(manifest(name)) for name in OURS]
    root = tmp_path_factory.mktemp("models")
    for folder in folders:
        (root / folder.name).symlink_to(folder, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENSORIUM_MODELS", str(root))
        yield root


@pytest.fixture(scope="session")
def cli(cache: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `sensorium` with its output caught."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tools.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    return run


@contextlib.asynccontextmanager
async def serving_process(service: str, **environment: str):  # type: ignore[no-untyped-def]
    """A real `python -m services.SERVICE` with these variables; gives its stub, stops it at the end."""
    (address,) = free_addresses(1)
    command = [sys.executable, "-m", f"services.{service}", "--address", address]
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    try:
        async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
            yield expert_pb2_grpc.ExpertServiceStub(channel)
    finally:
        process.terminate()
        assert await process.wait() == 0


@pytest.fixture
def served():  # type: ignore[no-untyped-def]
    """`serving_process`, for tests."""
    return serving_process
