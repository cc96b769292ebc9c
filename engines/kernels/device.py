"""Launches on a card through PyCUDA: the primary context, which TensorRT shares, never one of our own."""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import SetupError, TensorError
from engines.kernels.launch import Launch


class DeviceError(SetupError):
    """There is no card, no driver, or it refused."""


@dataclass(frozen=True, slots=True)
class OnCard:
    """An array in a card's memory as kernels take it: PyCUDA looks for `gpudata`, its address.

    It holds for as long as somebody keeps `memory`, or it is its owner's to see to.
    """

    gpudata: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    memory: object = None
    c_contiguous: bool = True

    @property
    def flags(self) -> "OnCard":
        """What tells that it lies in one piece."""
        return self

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def reshape(self, shape: Sequence[int]) -> "OnCard":
        """The same numbers with other axes, as many."""
        return replace(self, shape=tuple(shape))

    def part(self, first: int, end: int) -> "OnCard":
        """[first, end) of its first axis, in the same memory."""
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        return replace(self, gpudata=self.gpudata + first * row, shape=(end - first, *self.shape[1:]))


class _Memory:
    """What goes back to the card when nobody refers to it, whatever thread that is in."""

    def __init__(self, device: "CudaDevice", nbytes: int) -> None:
        allocation = device.allocate(nbytes)
        self.address = int(allocation)
        weakref.finalize(self, device.free, allocation)


def _driver() -> Any:
    try:
        import pycuda.driver as driver
    except ImportError as error:
        what = "PyCUDA cannot be loaded; build it with `python -m tools.build_pycuda`, see docs/gpu.md"
        if "libcuda.so" in str(error):
            what = "there is no NVIDIA driver on this machine; run on the CPU or install the driver"
        raise DeviceError(f"{what} ({error})") from error
    return driver


class CudaDevice:
    """One card. Every method makes its context current for the call, so any thread may come."""

    def __init__(self, ordinal: int = 0) -> None:
        """Raises DeviceError."""
        self._driver = _driver()
        try:
            self._driver.init()
            device = self._driver.Device(ordinal)
            self._context = device.retain_primary_context()
        except self._driver.Error as error:
            raise DeviceError(f"card {ordinal} cannot be used: {error}") from error
        self.name: str = device.name()
        major, minor = device.compute_capability()
        self.compute_capability = f"SM{major}{minor}"
        self._modules: list[Any] = []
        self._functions: dict[str, Any] = {}

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this card's context the thread's for the block."""
        self._context.push()
        try:
            yield
        finally:
            self._driver.Context.pop()

    def load(self, fatbin: Path, names: Sequence[str]) -> None:
        """Take the named kernels out of a fat binary. Raises DeviceError."""
        with self.current():
            try:
                module = self._driver.module_from_buffer(fatbin.read_bytes())
                found = {name: module.get_function(name) for name in names}
            except self._driver.Error as error:
                raise DeviceError(f"{fatbin.name} does not load on {self.name}: {error}") from error
        self._modules.append(module)
        self._functions |= found

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        """An array on the card, of any contents. Raises DeviceError: no memory."""
        from pycuda import gpuarray

        with self.current():
            try:
                return gpuarray.empty(tuple(shape), np.dtype(dtype))
            except self._driver.Error as error:
                raise DeviceError(f"{list(shape)} {dtype} do not fit on {self.name}: {error}") from error

    def upload(self, values: NDArray[Any]) -> Any:
        """A copy on the card."""
        array = self.empty(values.shape, values.dtype.name)
        with self.current():
            array.set(np.ascontiguousarray(values))
        return array

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host, after everything before it is done."""
        with self.current():
            values: NDArray[Any] = array.get()
        return values

    def run(self, launch: Launch, stream: Any = None) -> None:
        """Queue a checked launch whose arrays lie on the card. Raises DeviceError, TensorError: an array does not."""
        function = self._functions.get(launch.kernel.name)
        if function is None:
            raise DeviceError(f"kernel {launch.kernel.name} is not loaded; it is in {launch.kernel.source}")
        for parameter, argument in zip(launch.kernel.parameters, launch.arguments, strict=True):
            if isinstance(argument, np.ndarray):
                raise TensorError(f"{launch.kernel.name}: {parameter.name} lies on the host; upload it first")
        with self.current():
            try:
                function(*launch.arguments, grid=launch.grid, block=launch.kernel.block, stream=stream)
            except self._driver.Error as error:
                raise DeviceError(f"{launch.kernel.name} failed on {self.name}: {error}") from error

    def time_ms(self, launch: Launch, repeats: int = 1) -> float:
        """Mean time on the card of one run, between two events. Raises DeviceError."""
        with self.current():
            begin, end = self._driver.Event(), self._driver.Event()
            begin.record()
            for _ in range(repeats):
                self.run(launch)
            end.record()
            end.synchronize()
            return float(end.time_since(begin)) / repeats

    def stream(self) -> Any:
        """A stream of its own; `handle` is the driver's. Raises DeviceError."""
        return self._try("a stream", self._driver.Stream)

    def allocate(self, nbytes: int) -> Any:
        """Memory on the card, whose int is its address. Raises DeviceError: no memory."""
        return self._try(f"{nbytes} bytes", self._driver.mem_alloc, nbytes)

    def free(self, allocation: Any) -> None:
        """Give what `allocate` gave back; what is under way with it ends first."""
        with self.current():
            allocation.free()

    def keep(self, shape: Sequence[int], dtype: str) -> OnCard:
        """An array of any contents, on the card for as long as somebody refers to it. Raises DeviceError: no memory."""
        kind = np.dtype(dtype)
        memory = _Memory(self, math.prod(shape) * kind.itemsize)
        return OnCard(memory.address, tuple(shape), kind, memory)

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Page-locked memory of the host, which the card copies without the processor. Raises DeviceError."""
        made: NDArray[np.uint8] = self._try(
            f"{nbytes} bytes of the host", self._driver.pagelocked_empty, nbytes, np.uint8
        )
        return made

    def copy_to_card(self, address: int, values: NDArray[np.uint8], stream: Any) -> None:
        """Queue a copy out of page-locked memory, which must stay until it is done. Raises DeviceError."""
        self._try("a copy to the card", self._driver.memcpy_htod_async, address, values, stream)

    def copy_to_host(self, values: NDArray[np.uint8], address: int, stream: Any) -> None:
        """Queue a copy into page-locked memory. Raises DeviceError."""
        self._try("a copy to the host", self._driver.memcpy_dtoh_async, values, address, stream)

    def wait(self, stream: Any) -> None:
        """Block until all that the stream was given is done. Raises DeviceError: something of it failed."""
        self._try("what was queued", stream.synchronize)

    def _try(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        with self.current():
            try:
                return call(*arguments)
            except self._driver.Error as error:
                raise DeviceError(f"{what} failed on {self.name}: {error}") from error

    def free_bytes(self) -> int:
        """Free memory of the card."""
        with self.current():
            return int(self._driver.mem_get_info()[0])

    def close(self) -> None:
        """Give kernels and the context back; arrays must be gone."""
        with self.current():
            self._functions.clear()
            self._modules.clear()
        self._context.detach()
