"""The real PyCUDA over the simulated driver: what was checked on the CPU is what a card is given."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.kernels.build import ARCHITECTURES, SOURCES, build
from engines.kernels.simulator import build_driver
from tests.conftest import ROOT
from tests.gpu.conftest import KERNELS, Case

PROGRAM = """
import pickle, sys
from pathlib import Path
import numpy as np
from engines.engine import TensorError
from engines.kernels.device import CudaDevice, DeviceError
from engines.kernels.launch import Buffer

folder, wanted = Path(sys.argv[1]), pickle.load(sys.stdin.buffer)
device = CudaDevice()
assert device.compute_capability == "SM89"
for source in {launch.kernel.source for launch in wanted}:
    names = [launch.kernel.name for launch in wanted if launch.kernel.source == source]
    device.load((folder / source).with_suffix(".fatbin"), names)
before = device.free_bytes()
results = []
for launch in wanted:
    kernel = launch.kernel
    arguments = [
        device.upload(value) if isinstance(parameter, Buffer) else value
        for parameter, value in zip(kernel.parameters, launch.arguments)
    ]
    try:
        device.run(launch)
    except TensorError as error:
        assert "upload it first" in str(error)
    else:
        raise SystemExit("arrays of the host were taken")
    device.run(kernel.launch(launch.grid, *arguments))
    written = [isinstance(parameter, Buffer) and parameter.is_written for parameter in kernel.parameters]
    results.append([device.download(value) for value, is_result in zip(arguments, written) if is_result])
    assert device.time_ms(kernel.launch(launch.grid, *arguments)) >= 0
del arguments
assert device.free_bytes() == before, "memory leaks"
try:
    device.load(folder / "letterbox.fatbin", ["no_such_kernel"])
except DeviceError as error:
    assert "does not load" in str(error)
else:
    raise SystemExit("a missing kernel was found")
try:
    device.empty((1 << 40,), "float32")
except DeviceError as error:
    assert "do not fit" in str(error)
else:
    raise SystemExit("too much memory was given")
device.close()
pickle.dump(results, sys.stdout.buffer)
"""


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every fat binary and the simulated libcuda."""
    folder = tmp_path_factory.mktemp("binaries")
    usage = [use for source in SOURCES for use in build(source, folder)]
    assert {(use.kernel, use.architecture) for use in usage} == {
        (name, f"sm_{number}") for name in KERNELS for number in ARCHITECTURES
    }
    assert [use for use in usage if use.spilled_bytes] == []
    assert max(use.registers for use in usage) <= 64 and max(use.shared_bytes for use in usage) <= 48 * 1024
    build_driver(folder)
    return folder


def test_every_kernel_runs_through_pycuda_as_its_reference_says(binaries: Path, case: Callable[[str], Case]) -> None:
    import pickle

    import numpy as np

    cases = [case(name) for name in KERNELS]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(binaries)],
        input=pickle.dumps([one.launch for one in cases]),
        env={**os.environ, "LD_LIBRARY_PATH": str(binaries), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    for one, results in zip(cases, pickle.loads(done.stdout), strict=True):
        for result, expected in zip(results, one.expected, strict=True):
            assert np.abs(result.astype(float) - expected.astype(float)).max() <= one.tolerance


BUILD = """
import sys
from pathlib import Path
from engines.engine import EngineError
from tools.build_pycuda import _driver

cuda, chosen, folder = (Path(each) if each else None for each in sys.argv[1:])
try:
    print((_driver(cuda, chosen, folder) / "libcuda.so").resolve())
except EngineError as error:
    print(error)
"""


def test_pycuda_is_linked_with_the_chosen_driver_the_toolkit_s_stub_or_the_machine_s(
    binaries: Path, tmp_path: Path
) -> None:
    def driver(cuda: Path, chosen: Path | str = "", library: Path | None = None) -> str:
        path = {"LD_LIBRARY_PATH": str(library)} if library else {}
        return subprocess.run(
            [sys.executable, "-c", BUILD, str(cuda), str(chosen), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **path},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()

    simulated = str((binaries / "libcuda.so.1").resolve())
    toolkit = tmp_path / "cuda"
    (toolkit / "lib64").mkdir(parents=True)
    assert "neither a stub of libcuda.so in" in driver(toolkit) and "--driver" in driver(toolkit)
    assert driver(toolkit, library=binaries) == simulated
    (toolkit / "lib64/stubs").symlink_to(binaries)
    assert driver(toolkit) == driver(tmp_path, binaries) == simulated
    assert (
        driver(toolkit, tmp_path / "elsewhere")
        == f"{tmp_path}/elsewhere has no libcuda.so; name its folder with --driver"
    )


def test_without_a_driver_the_error_says_so() -> None:
    program = "from engines.kernels.device import CudaDevice; CudaDevice()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert "there is no NVIDIA driver on this machine" in done.stderr
