"""A gateway that cannot start says why in one sentence."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_variable_that_is_no_number_is_told_in_a_sentence() -> None:
    for name in ("SENSORIUM_MAX_SESSIONS", "SENSORIUM_MAX_UPLOAD_MIB", "SENSORIUM_THREADS", "SENSORIUM_DRAIN_S"):
        ended = subprocess.run(
            [sys.executable, "-m", "services.gateway"],
            env={**os.environ, name: "many"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 2
        assert "value: 'many'" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("page", "code", "sentence"),
    [
        ("8080", 2, "--http: the address is '8080', must be HOST:PORT"),
        ("taken", 1, "cannot start: the page cannot be at 127.0.0.1 port {port}: Address already in use"),
    ],
)
def test_a_page_that_cannot_be_served_is_told_in_a_sentence(
    tmp_path: Path, page: str, code: int, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        http = f"127.0.0.1:{port}" if page == "taken" else page
        command = [sys.executable, "-m", "services.gateway", "--address", "127.0.0.1:0", "--http", http]
        ended = subprocess.run(
            [*command, "--data", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
        )
    assert ended.returncode == code
    assert sentence.format(port=port) in ended.stderr
    assert "Traceback" not in ended.stderr
