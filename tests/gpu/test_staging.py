"""Buffers, streams and CUDA graphs through the real PyCUDA over the simulated driver."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.kernels.build import build
from engines.kernels.simulator import build_driver
from tests.conftest import ROOT

STAGING = """
import numpy as np
from engines.backends.staging import Staging
from engines.kernels.device import CudaDevice

device = CudaDevice()
before = device.free_bytes()
staging = Staging(device)
for size in (3, 1000, 5):
    values = np.arange(size, dtype=np.float32)
    staging.put("x", values)
    values += 1  # what was put is a copy
    staging.fetch("x", 4 * size)
    staging.wait()
    assert np.array_equal(staging.result("x", np.dtype("float32"), (size,)), np.arange(size))
assert staging.generation == 2, "a buffer that is large enough is used again"
assert staging.bytes_on_card == 4096
assert staging.put("nothing", np.zeros((1, 0, 4), np.int64)) != 0, "an empty tensor has an address"
staging.fetch("nothing", 0)
staging.wait()
assert staging.result("nothing", np.dtype("int64"), (1, 0, 4)).shape == (1, 0, 4)
staging.close()
assert device.free_bytes() == before, "memory leaks"
"""

GRAPH = """
import sys
from pathlib import Path
import numpy as np
from engines.backends.cuda_graph import CudaGraph
from engines.kernels import heads
from engines.kernels.device import CudaDevice, DeviceError

device = CudaDevice()
device.load(Path(sys.argv[1]) / "heads.fatbin", ["best_class_f32"])
stream = device.stream()
logits = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
on_card = device.upload(logits), device.upload(np.full(4, -1, np.int32)), device.upload(np.zeros(4, np.float32))
launch = heads.best_class(*on_card)
with device.current():
    graph = CudaGraph(stream.handle, lambda: device.run(launch, stream))
assert device.download(on_card[1]).tolist() == [-1] * 4, "recording does not run"
for values in (logits, -logits):
    with device.current():
        on_card[0].set(values)
        graph.launch(stream.handle)
    device.wait(stream)
    assert device.download(on_card[1]).tolist() == values.argmax(axis=1).tolist()

def fails():
    raise DeviceError("on purpose")

try:
    with device.current():
        CudaGraph(stream.handle, fails)
except DeviceError as error:
    assert "on purpose" in str(error)
device.wait(stream)  # refused while a stream is captured
try:
    with device.current():
        CudaGraph(stream.handle, lambda: device.wait(stream))
except DeviceError as error:
    assert "what was queued failed" in str(error)
graph.close()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fat binary and the simulated libcuda."""
    made = tmp_path_factory.mktemp("driver")
    build("heads.cu", made, (89,))
    build_driver(made)
    return made


@pytest.mark.parametrize("program", [STAGING, GRAPH], ids=["buffers", "graphs"])
def test_it_does_over_the_simulated_driver_what_it_says(folder: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
