"""The self-test runs end to end without a card, says that it was simulated, and finds what is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.engine import EngineError
from engines.kernels.cases import cases
from engines.manifest import manifest
from tests.conftest import ROOT
from tests.gpu.conftest import KERNELS
from tools import gpu_selftest


def selftest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "tools.gpu_selftest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


def test_without_a_card_it_is_simulated_and_says_so(own_cache: Path) -> None:
    report = own_cache / "report.json"
    done = selftest("--simulate", "--report", str(report), "silero-vad", "gui-elements")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED (simulated)" in done.stdout
    found = json.loads(report.read_text())
    assert found["passed"] and found["mode"] == "simulated" and "No card was used" in found["note"]
    assert {check["what"] for check in found["kernels"]} == set(KERNELS)
    assert len(found["outputs"]) == 3
    assert all(check["figures"]["bytes"] < check["figures"]["of_bytes"] / 50 for check in found["outputs"])
    assert len(found["inputs"]) == 4 and all(check["figures"]["largest_difference"] <= 1 for check in found["inputs"])
    wanted = {"silero-vad/silero_vad.onnx", "gui-elements/gui-elements.onnx"}
    assert {check["what"] for check in found["plans"]} == {check["what"] for check in found["models"]} == wanted
    assert all(check["figures"]["backend"] == "onnxruntime-cpu" for check in found["models"])
    assert not any("tensorrt" in check["figures"] for check in found["models"])
    assert all("per_second" in check["figures"]["onnxruntime_cpu"] for check in found["models"])
    (leak,) = found["leaks"]
    assert leak["figures"]["iterations"] == 1000


def test_without_a_card_and_not_simulated_it_does_not_start(own_cache: Path) -> None:
    done = selftest("silero-vad")
    assert done.returncode == 1
    assert "self-test cannot start: there is no NVIDIA driver on this machine" in done.stderr


def test_what_is_wrong_fails(own_cache: Path, tmp_path: Path) -> None:
    tested = gpu_selftest.Simulated()
    tested.prepare(tmp_path)
    right = cases()[0]
    wrong = replace(right, expected=tuple(np.asarray(values) + 1 for values in right.expected))
    with pytest.raises(EngineError, match="differs by 1.00e"):
        gpu_selftest._kernel(tested, wrong)
    with pytest.raises(EngineError, match="differs by .* from what the processor makes"):
        gpu_selftest._made(tested, gpu_selftest._inputs_to_make()[2][1], 0.0)
    (profile,) = manifest("silero-vad").profile
    with pytest.raises(EngineError, match="differs by .* at most -1.00e"):
        gpu_selftest._model(tested, "silero-vad", replace(profile, tolerance=-1.0), precision="float32")
