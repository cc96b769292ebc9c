"""The kernels on the CPU: the very sources, compiled by a C++ compiler over a small CUDA of our own.

`Runner` runs one launch in a process of its own, under sanitizers if wanted; `build_driver` makes a libcuda
with which the real PyCUDA runs. Neither says anything about speed.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import EngineError
from engines.kernels.build import FOLDER, SOURCES, KernelBuildError, nvcc
from engines.kernels.launch import Buffer, Launch

HERE = Path(__file__).parent
RUN_S = 300.0
SANITIZERS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"),
    "thread": ("-fsanitize=thread", "-DSIMULATOR_THREADS", "-g"),
}


class SimulationError(EngineError):
    """A kernel did on the simulator what it must not do; the message is the sanitizer's."""


def compiler() -> str:
    """The C++ compiler. Raises KernelBuildError."""
    for name in ("g++", "c++", "clang++"):
        if found := shutil.which(name):
            return found
    raise KernelBuildError("no C++ compiler was found; install g++")


def _compile(arguments: Sequence[str]) -> None:
    command = [compiler(), "-std=c++17", "-O1", "-pthread", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KernelBuildError(f"the C++ compiler failed: {done.stderr.strip()[-2000:]}")


@dataclass(frozen=True, slots=True)
class Runner:
    """A program that runs launches of one source file."""

    program: Path

    @classmethod
    def build(cls, source: Path, folder: Path, sanitizer: str = "none") -> "Runner":
        """Compile `source` into `folder` with one of SANITIZERS. Raises KernelBuildError."""
        program = folder / f"{source.stem}-{sanitizer}"
        flags = [*SANITIZERS[sanitizer], f"-I{FOLDER}", f'-DKERNELS="{source}"']
        _compile([*flags, str(HERE / "runner.cpp"), "-o", str(program)])
        return cls(program)

    def run(self, launch: Launch, order: int = 0) -> tuple[NDArray[np.generic], ...]:
        """What the written arrays hold afterwards; the given ones stay as they are.

        `order`: 0 forward, 1 reverse, more: shuffled with this seed. Raises SimulationError.
        """
        kernel = launch.kernel
        given, taken = self.program.with_suffix(".in"), self.program.with_suffix(".out")
        dimensions = " ".join(map(str, (*launch.grid, *kernel.block)))
        parts = [f"{kernel.name} {dimensions} {len(launch.arguments)}\n".encode()]
        for parameter, argument in zip(kernel.parameters, launch.arguments, strict=True):
            data = argument.tobytes()
            parts.append(f"{'b' if isinstance(parameter, Buffer) else 'v'} {len(data)}\n".encode() + data)
        given.write_bytes(b"".join(parts))
        done = subprocess.run(
            [str(self.program), str(given), str(taken)],
            env={"SIMULATOR_ORDER": str(order), "TSAN_OPTIONS": "halt_on_error=1"},
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        if done.returncode:
            raise SimulationError(f"{kernel.name} ended with {done.returncode}: {done.stderr.strip()[:2000]}")
        data, offset = taken.read_bytes(), 0
        written = []
        for parameter, argument in zip(kernel.parameters, launch.arguments, strict=True):
            if isinstance(parameter, Buffer):
                if parameter.is_written:
                    values = np.frombuffer(data, argument.dtype, argument.size, offset)
                    written.append(values.reshape(argument.shape).copy())
                offset += argument.nbytes
        return tuple(written)


@dataclass(frozen=True, slots=True)
class SimulatedPlace:
    """Where a `Raw` or `Reduced` is made by runners, by source file; `made` gets the graph's input under ""."""

    runners: Mapping[str, Runner]
    made: dict[str, NDArray[Any]]

    def put(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """A copy."""
        return np.ascontiguousarray(values).copy()

    def empty(self, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """An array of nines, so that what is not written shows."""
        return self.made.setdefault(name, np.full(shape, 9, dtype))

    def tensor(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """The graph's input."""
        return self.empty("", shape, "float32")

    def run(self, launch: Launch) -> None:
        """Run it at once, and keep what it writes. Raises SimulationError."""
        results = iter(self.runners[launch.kernel.source].run(launch))
        for parameter, array in zip(launch.kernel.parameters, launch.arguments, strict=True):
            if isinstance(parameter, Buffer) and parameter.is_written:
                array[...] = next(results)


def build_driver(folder: Path) -> Path:
    """Make libcuda.so.1 in `folder` that runs our kernels; needs cuda.h beside nvcc. Raises KernelBuildError.

    A process uses it when `folder` leads its LD_LIBRARY_PATH. `folder` also gets libcuda.so to link against.
    """
    headers = nvcc().resolve().parents[1] / "include"
    if not (headers / "cuda.h").is_file():
        raise KernelBuildError(f"{headers} has no cuda.h; `pip install 'sensorium[aot]'` brings it")
    objects = []
    for source in SOURCES:
        objects.append(str(folder / f"{source}.o"))
        _compile(["-fPIC", "-x", "c++", f"-I{FOLDER}", "-c", str(FOLDER / source), "-o", objects[-1]])
    objects.append(str(folder / "unsupported.o"))
    _compile(["-fPIC", "-c", str(HERE / "unsupported.cpp"), "-o", objects[-1]])
    library = folder / "libcuda.so.1"
    soname = "-Wl,-soname,libcuda.so.1"
    _compile(["-fPIC", "-shared", soname, f"-I{headers}", str(HERE / "driver.cpp"), *objects, "-o", str(library)])
    (folder / "libcuda.so").unlink(missing_ok=True)
    (folder / "libcuda.so").symlink_to(library.name)
    return library
