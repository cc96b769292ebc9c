"""From .cu to one fat binary with nvcc: machine code for every supported card and PTX for later ones.

`python -m engines.kernels.build` makes those that the engines load, so that nvcc is not needed where they run.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engines.cache import kernels_root
from engines.engine import SetupError

FOLDER = Path(__file__).parent
SOURCES = ("letterbox.cu", "change.cu", "spectrum.cu", "heads.cu", "past.cu")
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
FATBIN_SUFFIX = ".fatbin"


class KernelBuildError(SetupError):
    """nvcc is missing or refused a kernel."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What ptxas says of one kernel on one architecture."""

    kernel: str
    architecture: str
    registers: int
    spilled_bytes: int
    shared_bytes: int


def nvcc() -> Path:
    """The compiler: of the nvidia-cuda-nvcc package, else on the PATH. Raises KernelBuildError."""
    for folder in map(Path, sys.path):
        for candidate in sorted(folder.glob("nvidia/cu*/bin/nvcc")):
            return candidate
    if found := shutil.which("nvcc"):
        return Path(found)
    raise KernelBuildError("nvcc was not found; install CUDA 13 or `pip install 'sensorium[aot]'`")


def build(source: str, out: Path, architectures: tuple[int, ...] = ARCHITECTURES) -> list[Usage]:
    """Compile one of SOURCES into the folder `out`; returns what it takes. Raises KernelBuildError."""
    result = out / Path(source).with_suffix(FATBIN_SUFFIX).name
    partial = result.with_suffix(".partial")
    command = [str(nvcc()), "-std=c++17", "-O3", "-fatbin", "-Xptxas", "-v", "-o", str(partial)]
    for number in architectures:
        code = f"[sm_{number},compute_{number}]" if number == architectures[-1] else f"sm_{number}"
        command += ["-gencode", f"arch=compute_{number},code={code}"]
    done = subprocess.run([*command, str(FOLDER / source)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise KernelBuildError(f"{source}: nvcc failed: {done.stderr.strip()[-2000:]}")
    partial.replace(result)
    return _usage(done.stderr)


def fatbin(source: str) -> Path:
    """The fat binary of one of SOURCES in the cache, made at its first use. Raises KernelBuildError."""
    digest = hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in (source, "portable.cuh"))).hexdigest()
    kept = kernels_root() / f"{Path(source).stem}-{digest[:12]}{FATBIN_SUFFIX}"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            build(source, Path(folder))
            (Path(folder) / source).with_suffix(FATBIN_SUFFIX).replace(kept)
    return kept


_ENTRY = re.compile(r"Compiling entry function '(?P<kernel>\w+)' for '(?P<architecture>\w+)'")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def _usage(log: str) -> list[Usage]:
    found = []
    kernel = architecture = ""
    spilled = 0
    for line in log.splitlines():
        if entry := _ENTRY.search(line):
            kernel, architecture = entry["kernel"], entry["architecture"]
        elif spills := _SPILLS.search(line):
            spilled = int(spills[1]) + int(spills[2])
        elif used := _USED.search(line):
            found.append(Usage(kernel, architecture, int(used[1]), spilled, int(used[2] or 0)))
    return found


if __name__ == "__main__":
    for name in SOURCES:
        fatbin(name)
