"""The runtime half as far as it goes without a card, with the real PyCUDA over the simulated driver."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines import plans
from engines.backends.tensorrt import checked_feeds
from engines.engine import TensorError, TensorSpec
from engines.kernels.build import build
from engines.kernels.simulator import build_driver
from engines.plans import Target
from tests.conftest import ROOT

STAGING = """
import threading
import numpy as np
from engines.backends.staging import Staging
from engines.kernels.device import CudaDevice

device = CudaDevice()
before = device.free_bytes()
staging = Staging(device)
put = []
copy = device.copy_to_card
for size in (3, 1000, 5):
    values = np.arange(size, dtype=np.float32)
    staging.put("x", values)
    values += 1  # what was put is a copy
    staging.fetch("x", 4 * size)
    staging.wait()
    assert np.array_equal(staging.result("x", np.dtype("float32"), (size,)), np.arange(size))
device.copy_to_card = lambda *arguments: (put.append(arguments), copy(*arguments))
fixed = np.arange(100, dtype=np.float32)
fixed.flags.writeable = False
for values, copies in ((fixed, 1), (fixed, 1), (fixed.copy(), 2), (fixed, 3), (fixed, 3)):
    staging.put("fixed", values)
    assert len(put) == copies, "what cannot change is copied once, as long as nothing else comes between"
staging.array("fixed", (3,), np.dtype("float32"))
staging.put("fixed", fixed)
assert len(put) == 4, "nor where something may have been written meanwhile"
assert staging.generation == 3, "a buffer that is large enough is used again"
assert staging.bytes_on_card == 4096 + 512
assert staging.put("nothing", np.zeros((1, 0, 4), np.int64)) != 0, "an empty tensor has an address"
staging.fetch("nothing", 0)
staging.wait()
assert staging.result("nothing", np.dtype("int64"), (1, 0, 4)).shape == (1, 0, 4)


def in_another_thread():
    with device.current():
        staging.put("x", np.zeros(5000, np.float32))  # frees what this thread did not allocate
        staging.fetch("x", 20_000)
    staging.wait()


other = threading.Thread(target=in_another_thread)
other.start()
other.join()
assert not staging.result("x", np.dtype("float32"), (5000,)).any()
with device.current():
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


LOADING = """
import sys
from pathlib import Path
import tensorrt_rtx
from engines.backends.tensorrt import TensorRTEngine
from engines.kernels.device import CudaDevice, DeviceError

try:
    TensorRTEngine(tensorrt_rtx, CudaDevice(), Path(sys.argv[2]).read_bytes())
except DeviceError as error:
    assert "the plan does not load on simulated on the CPU: " in str(error), error
    assert "Cuda Runtime" in str(error), error
else:
    raise SystemExit("a plan was loaded by a driver that runs none")
"""


@pytest.mark.parametrize("program", [STAGING, GRAPH], ids=["buffers", "graphs"])
def test_it_does_over_the_simulated_driver_what_it_says(folder: Path, program: str) -> None:
    run(program, folder)


def test_a_plan_that_does_not_load_says_what_tensorrt_says(folder: Path, own_cache: Path) -> None:
    plan = plans.build("silero-vad", "silero_vad.onnx", "tensorrt_rtx", Target(("SM89",)))
    run(LOADING, folder, str(plan.path))


INPUTS = (TensorSpec("x", "float32", ("?", 4)), TensorSpec("sr", "int64", ()))
LIMITS = [{"x": ([1, 4], [2, 4], [3, 4])}, {"x": ([6, 4], [7, 4], [9, 4])}]


def test_what_the_plan_takes_goes_to_the_card_and_nothing_else() -> None:
    feeds = {"x": np.zeros((3, 4), np.float32), "sr": np.array(16_000)}
    left, profile = checked_feeds(feeds, INPUTS, LIMITS, {"sr": 16_000})
    assert list(left) == ["x"] and profile == 0


def test_the_profile_is_the_one_that_holds_the_shapes() -> None:
    _, profile = checked_feeds({"x": np.zeros((6, 4), np.float32)}, INPUTS, LIMITS, {"sr": 16_000})
    assert profile == 1


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        (
            {"x": np.zeros((4, 4), np.float32)},
            "'x' is float32[4, 4], the plan is for [1, 4] to [3, 4] or [6, 4] to [9, 4]",
        ),
        ({"x": np.zeros((1, 4), np.float64)}, "'x' is float64[1, 4], must be float32['?', 4]"),
        ({"x": np.zeros(4, np.float32)}, "'x' is float32[4], must be"),
        ({"y": np.zeros(4, np.float32)}, "no input 'y'; inputs are ['sr', 'x']"),
        ({"sr": np.array(8_000)}, "'sr' is 8000, must be 16000 on this backend"),
        ({"sr": np.array(16_000)}, "'x' is missing"),
    ],
)
def test_a_misfit_is_refused_before_it_reaches_the_card(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(TensorError, match=re.escape(message)):
        checked_feeds(feeds, INPUTS, LIMITS, {"sr": 16_000})


def run(program: str, folder: Path, *arguments: str) -> None:
    """Run a program over the simulated driver."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), *arguments],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr
