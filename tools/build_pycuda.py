"""Build and install PyCUDA for a CUDA toolkit: `python -m tools.build_pycuda [--cuda FOLDER] [--driver FOLDER]`.

PyCUDA has no wheels. Its own set-up looks for nvcc on the PATH and wants cuRAND, which nothing here uses.
"""

import argparse
import ctypes
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from engines.engine import EngineError
from engines.kernels.build import nvcc

VERSION = "2026.1"
SHA256 = "759516160628ba06f32ce7e563e3f5b9214691dc9528a03ea99ea1073f4e14ba"
DRIVER_STUBS = ("lib64/stubs", "lib/stubs")
DRIVER = "libcuda.so.1"


class PyCudaBuildError(EngineError):
    """The source could not be had, is another one, or does not compile."""


def siteconf(cuda: Path, driver: Path, runtime: Path) -> str:
    """PyCUDA's settings: the toolkit, and the folders of libcuda and of libcudart."""
    settings = {
        "CUDA_ROOT": str(cuda),
        "CUDA_ENABLE_CURAND": False,
        "CUDADRV_LIB_DIR": [str(driver)],
        "CUDART_LIB_DIR": [str(runtime)],
    }
    return "".join(f"{key} = {value!r}\n" for key, value in settings.items())


def main() -> None:
    """Install PyCUDA, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda", type=Path, help="the CUDA toolkit; default: where nvcc is")
    parser.add_argument(
        "--driver", type=Path, help="folder of libcuda.so; default: the toolkit's stub, else this machine's driver"
    )
    flags = parser.parse_args()
    try:
        cuda = flags.cuda or nvcc().resolve().parents[1]
        install(cuda.resolve(), flags.driver)
    except EngineError as error:
        sys.exit(str(error))


def install(cuda: Path, driver: Path | None) -> None:
    """Download, check, build, install; `driver` as --driver. Raises PyCudaBuildError."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        libraries = _driver(cuda, driver, folder), _runtime(cuda, folder)
        _pip("download", "--no-deps", "--no-binary", "pycuda", "--dest", str(folder), f"pycuda=={VERSION}")
        archive = folder / f"pycuda-{VERSION}.tar.gz"
        if (digest := hashlib.sha256(archive.read_bytes()).hexdigest()) != SHA256:
            raise PyCudaBuildError(f"{archive.name} has sha256 {digest}, must be {SHA256}")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        source = folder / f"pycuda-{VERSION}"
        (source / "siteconf.py").write_text(siteconf(cuda, *libraries))
        _pip("install", "--no-deps", str(source))


def _driver(cuda: Path, chosen: Path | None, folder: Path) -> Path:
    """A folder with libcuda.so: the chosen one, the toolkit's stub, or a link to the driver that programs here load."""
    candidates = [chosen.resolve()] if chosen else [cuda / stubs for stubs in DRIVER_STUBS]
    for candidate in candidates:
        if (candidate / "libcuda.so").exists():
            return candidate
    if chosen:
        raise PyCudaBuildError(f"{chosen} has no libcuda.so; name its folder with --driver")
    try:
        ctypes.CDLL(DRIVER)
    except OSError as error:
        raise PyCudaBuildError(
            f"there is neither a stub of libcuda.so in {cuda} nor a driver on this machine ({error}); "
            "name a folder with libcuda.so with --driver"
        ) from error
    # The linker wants the name without a number, which packages of the driver alone do not have.
    loaded = next(
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libcuda.so" in line
    )
    (folder / "libcuda.so").symlink_to(loaded)
    return folder


def _runtime(cuda: Path, folder: Path) -> Path:
    """A folder with libcudart.so: the toolkit's, or links to what the nvidia-cuda-runtime package has."""
    for candidate in (cuda / "lib64", cuda / "lib"):
        if (candidate / "libcudart.so").exists():
            return candidate
    libraries = sorted((cuda / "lib").glob("libcudart.so.*"))
    if not libraries:
        raise PyCudaBuildError(f"{cuda} has no libcudart.so; name the toolkit with --cuda")
    (folder / "libcudart.so").symlink_to(libraries[0])
    return folder


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PyCudaBuildError(f"pip {arguments[0]} failed: {done.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    main()
